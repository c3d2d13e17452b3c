"""The steps of the chain that only `mrnetlib.names.EXTRAS` add; the study needs none of them."""

from collections.abc import Callable
from itertools import product

from mrnetlib.chain.step import (
    LEARNING,
    NUMBERS,
    Step,
    banks,
    data,
    figures,
    fused,
    in_results,
    networks,
    note,
    tissues,
    weights,
)
from mrnetlib.study import Study


def choices_preparation(study: Study) -> Step:
    """What the variants of the recipe start from."""
    settings, within = study.settings, "choices/not_standardized/"
    made: tuple[str, ...] = ()
    if settings.standardize:
        made += banks(study, settings.planes, within=within)
        if settings.weights == "pretrained":
            for name in settings.choices_architectures:
                made += (f"{data(study)}/{within}weights/{name}.pt",)
                made += in_results(study, f"{within}pretraining/{name}.csv")
    return Step(
        "choices_preparation",
        "choices_preparation",
        (
            f"{data(study)}/exams.csv",
            *banks(study, settings.planes),
            *tissues(study) * (settings.weights == "pretrained"),
        ),
        (*made, note(study, "choices_preparation")),
        (),
        ("preprocessing", "pretraining"),
        ("exams", "training", "variants/recipes", "variants/retrain"),
        LEARNING,
    )


def retraining(study: Study, architecture: str, plane: str) -> Step:
    """The networks of all variants, of an architecture and a plane."""
    run, within = f"choices_{architecture}_{plane}", "choices/not_standardized/"
    inputs = (*weights(study, architecture), *banks(study, [plane]))
    if study.settings.standardize:
        inputs += banks(study, [plane], within=within)
        if study.settings.weights == "pretrained":
            inputs += (f"{data(study)}/{within}weights/{architecture}.pt",)
    return Step(
        "retraining",
        run,
        inputs,
        (
            *in_results(
                study,
                f"choices/predictions/{architecture}_{plane}.csv",
                f"choices/networks/{architecture}_{plane}.csv",
            ),
            note(study, run),
        ),
        (),
        ("training", "choices"),
        (
            *("training", "exams/banks", "exams/subsets", "evaluation/roc"),
            *("variants/recipes", "variants/retrain"),
        ),
        (*LEARNING, "scipy", "pandas"),
    )


def choices_notebook(study: Study) -> Step:
    """Notebook 06: what the choices move."""
    run = "06_choices_that_move_the_number"
    pictures = ("retraining", "seeds", "exams", "fusion", "plane", "threshold", "all")
    units = product(study.settings.choices_architectures, study.settings.planes)
    return Step(
        "choices_notebook",
        run,
        (
            *networks(study),
            *fused(study),
            *(path for unit in units for path in retraining(study, *unit).outputs[:2]),
        ),
        (
            *in_results(study, "choices/summary.csv", "choices/summary.md"),
            *in_results(study, "choices/comparisons.csv", f"{run}.html"),
            *figures(study, *(f"choices_{name}" for name in pictures)),
            note(study, run),
        ),
        (),
        ("fusion", "comparison", "choices"),
        (run, "fusion", "evaluation", "variants", "training", "exams/banks", "exams/subsets"),
        (*NUMBERS, "scikit-learn"),
        draws=True,
    )


def choice_steps(study: Study) -> list[Step]:
    """The steps that only the choices add."""
    settings = study.settings
    units = product(settings.choices_architectures, settings.planes)
    first = [choices_preparation(study)] if settings.standardize else []
    return [*first, *(retraining(study, *unit) for unit in units), choices_notebook(study)]


def lab_notebook(study: Study) -> Step:
    """Notebook 09: ways to use the same weights."""
    run, names = "09_transfer_learning_lab", study.settings.architectures
    tables = ("predictions.csv", "curves.csv", "summary.csv", "claims.csv", "summary.md")
    return Step(
        "lab_notebook",
        run,
        (
            *weights(study, "alexnet" if "alexnet" in names else names[0]),
            *banks(study, study.settings.planes),
        ),
        (
            *in_results(study, *(f"lab/{name}" for name in tables), f"{run}.html"),
            *figures(study, "lab_curves", "lab_exams", "lab_claims", "lab_overfitting"),
            note(study, run),
        ),
        (),
        ("training",),
        (
            *(run, "training", "exams/banks", "exams/subsets", "evaluation"),
            *("teaching/lab", "teaching/looking"),  # and no checks of exercises
        ),
        (*LEARNING, "scipy", "pandas"),
        draws=True,
    )


def lab_steps(study: Study) -> list[Step]:
    """The step that only the lab adds."""
    return [lab_notebook(study)]


def looks_notebook(study: Study) -> Step:
    """Notebook 07: where the networks look, and where the lesions are."""
    run, results = "07_where_the_networks_look", ("looks.csv", "looks_removed.csv")
    pictures = ("controls", "planes", "cases", "removed", "severity")
    parts = ("evidence", "gradcam", "looks", "models", "removed", "scores")
    return Step(
        "looks_notebook",
        run,
        (*networks(study), *fused(study), *banks(study, study.settings.planes)),
        (
            *in_results(study, *results, "looks/summary.md", f"{run}.html"),
            *figures(study, *(f"looks_{name}" for name in pictures)),
            note(study, run),
        ),
        (),
        ("exams", "training", "fusion"),
        (
            *(run, "training", "phantom", "exams/intensity", "exams/banks", "fusion"),
            "evaluation",
            *(f"reading/{part}" for part in parts),
        ),
        (*LEARNING, "scipy", "pandas"),
        draws=True,
    )


def looks_steps(study: Study) -> list[Step]:
    """The step that only the looks add."""
    return [looks_notebook(study)]


#: The steps that each of `mrnetlib.names.EXTRAS` adds.
ADDED: dict[str, Callable[[Study], list[Step]]] = {
    "choices": choice_steps,
    "lab": lab_steps,
    "looks": looks_steps,
}


def gathered(study: Study, name: str, of: list[Step] | None = None) -> Step:
    """What the runs of an extra's steps noted, together."""
    notes = tuple(step.mark() for step in of or ADDED[name](study))
    made = in_results(study, f"{name}/provenance.json")
    return Step(f"{name}_provenance", f"{name}_provenance", notes, made)
