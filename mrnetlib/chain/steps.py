"""The steps of a study's chain, said once: what each reads, makes and depends on.

The Snakefile takes its rules' inputs and outputs from here, and `mrnetlib.chain.freshness` what a
result is compared by. A step stands for one job; for a rule's patterns an architecture and a plane
may be Snakemake's wildcards.
"""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import product

from mrnetlib.chain.extras import (
    ADDED,
    choices_notebook,
    choices_preparation,
    gathered,
    lab_notebook,
    looks_notebook,
    retraining,
)
from mrnetlib.chain.step import (
    LEARNING,
    NUMBERS,
    Step,
    banks,
    data,
    exams_folder,
    figures,
    fused,
    histories,
    in_results,
    networks,
    note,
    results,
    tissues,
    weights,
)
from mrnetlib.names import checkpoint_path, history_path, prediction_path
from mrnetlib.study import Study, files_of, taken_over


def exams(study: Study) -> Step:
    """Notebook 00: the exams, made or found, and their inventory."""
    made = study.settings.data == "phantom"
    folder = exams_folder(study)
    return Step(
        "exams",
        "00_exams",
        () if made else (folder,),
        (
            f"{data(study)}/exams.csv",
            note(study, "00_exams"),
            *figures(study, "labels", "exam", "pipeline"),
            *in_results(study, "00_exams.html"),
        ),
        (folder, f"{data(study)}/lesions/", *tissues(study)) if made else (),
        ("exams",),
        ("00_exams", "dicom", "phantom", "exams"),
        (*NUMBERS, "pydicom"),
        draws=True,
    )


def preprocessing(study: Study) -> Step:
    """Notebook 01: landmarks, banks, and what brightness alone says."""
    return Step(
        "preprocessing",
        "01_preprocessing",
        (f"{data(study)}/exams.csv", exams_folder(study)),
        (
            *banks(study, study.settings.planes),
            f"{data(study)}/landmarks.json",
            note(study, "01_preprocessing"),
            *figures(study, "histograms"),
            *in_results(study, "baseline.csv", "01_preprocessing.html"),
        ),
        (),
        ("preprocessing",),
        ("01_preprocessing", "exams", "evaluation/baseline", "evaluation/roc"),
        (*NUMBERS, "torch", "scikit-learn"),
        draws=True,
    )


def pretraining(study: Study, architecture: str) -> Step:
    """The starting weights that a study makes itself."""
    run = f"pretraining_{architecture}"
    return Step(
        "pretraining",
        run,
        (*banks(study, study.settings.planes, ("train",)), *tissues(study)),
        (
            f"{data(study)}/weights/{architecture}.pt",
            *in_results(study, f"pretraining/{architecture}.csv"),
            note(study, run),
        ),
        (),
        ("pretraining",),
        ("training", "exams/banks"),
        LEARNING,
    )


def training(study: Study, architecture: str, plane: str) -> Step:
    """Notebook 02: the networks of an architecture and a plane."""
    run, place = f"02_per_plane_training_{architecture}_{plane}", results(study)
    units = [(architecture, plane, task) for task in study.settings.tasks]
    seeds = study.settings.seeds_of(architecture)
    return Step(
        "training",
        run,
        (*weights(study, architecture), *banks(study, [plane])),
        (
            *(prediction_path(place, *unit).as_posix() for unit in units),
            *(history_path(place, *unit).as_posix() for unit in units),
            note(study, run),
            f"{place}/{run}.html",
        ),
        tuple(
            checkpoint_path(data(study), *unit, seed).as_posix()
            for unit, seed in product(units, seeds)
        ),
        ("training",),
        ("02_per_plane_training", "training", "exams/banks", "exams/subsets", "evaluation/roc"),
        (*LEARNING, "scipy", "pandas"),
        draws=True,
    )


def fusion(study: Study) -> Step:
    """Notebook 03: the planes' probabilities become one."""
    curves = (f"training_{name}" for name in study.settings.architectures)
    return Step(
        "fusion",
        "03_fusion",
        networks(study) + histories(study),
        (
            *fused(study),
            *in_results(study, "fusion.csv", "03_fusion.html"),
            *figures(study, "fusion_weights", *curves),
            note(study, "03_fusion"),
        ),
        (),
        ("fusion",),
        ("03_fusion", "fusion", "evaluation"),
        (*NUMBERS, "scikit-learn"),
        draws=True,
    )


def comparison(study: Study) -> Step:
    """Notebook 04: Table I, its intervals and figures."""
    run, scratch = "04_single_vs_multi_view", study.settings.scratch_study
    beside = f"results/{scratch}/provenance.json"
    tables = ["table1.csv", "table1.md", "table1.html", "single_view.csv", "table1_intervals.csv"]
    tables += ["calibration.csv", "gain.csv", *["scratch.csv"] * bool(scratch), f"{run}.html"]
    return Step(
        "comparison",
        run,
        (
            *networks(study),
            *fused(study),
            *in_results(study, "baseline.csv"),
            *(beside,) * bool(scratch and (study.root / beside).is_file()),
        ),
        (
            *in_results(study, *tables),
            *figures(study, "gain", "roc", "single_vs_multi", "confusion", "calibration"),
            note(study, run),
        ),
        (),
        ("comparison",),
        (run, "evaluation"),
        (*NUMBERS, "scikit-learn"),
        draws=True,
    )


def models(study: Study, architecture: str, seed: str) -> Step:
    """The networks of an architecture and seed as files that people can carry."""
    run, shape = f"models_{architecture}_{seed}", (study.settings.planes, study.settings.tasks)
    units = [(architecture, *unit) for unit in product(*shape)]
    folder, *cards = in_results(
        study, f"models/{architecture}/{seed}/", "table1_intervals.csv", "calibration.csv"
    )
    return Step(
        "models",
        run,
        (
            *banks(study, study.settings.planes),
            *(prediction_path(results(study), *unit).as_posix() for unit in units),
            *(history_path(results(study), *unit).as_posix() for unit in units),
            f"{data(study)}/landmarks.json",
            *cards,
        ),
        (f"{folder}manifest.json", note(study, run)),
        (folder,),
        ("fusion", "comparison", "drawing"),
        (
            *("evaluation", "exams/banks", "exams/intensity", "training/networks"),
            *("training/predict", "fusion"),
            *(f"reading/{part}" for part in ("export", "models", "distances", "card")),
        ),
        LEARNING,
    )


def provenance(study: Study, of: list[Step] | None = None) -> Step:
    """What the runs of all these steps noted, together."""
    notes = tuple(step.mark() for step in of or main_steps(study))
    return Step("provenance", "provenance", notes, in_results(study, "provenance.json"))


#: The step of each rule of the Snakefile, by its name.
RULES: dict[str, Callable[..., Step]] = {
    step.__name__: step
    for step in (
        exams, preprocessing, pretraining, training, fusion, comparison, models, provenance,
        choices_preparation, retraining, choices_notebook, lab_notebook, looks_notebook,
    )
}  # fmt: skip
RULES |= {f"{name}_provenance": partial(gathered, name=name) for name in ADDED}


def main_steps(study: Study) -> list[Step]:
    """The steps from the exams to Table I, each after those that it reads."""
    settings = study.settings
    own = settings.architectures if settings.weights == "pretrained" else ()
    named = settings.architectures
    units = product(named, settings.planes)
    return [
        exams(study),
        preprocessing(study),
        *(pretraining(study, name) for name in own),
        *(training(study, *unit) for unit in units),
        fusion(study),
        comparison(study),
        *(models(study, name, str(seed)) for name in named for seed in settings.seeds_of(name)),
    ]


def steps(study: Study, extras: Iterable[str] = ()) -> list[Step]:
    """All steps of a study's chain, or also of extras; those that it takes over are another's."""
    first, (_, taken) = main_steps(study), taken_over(study)
    names = {f"{data(study)}/{name}" for name in files_of(study, taken)}
    own = [step for step in first if not names & set(step.outputs)]
    found = [*own, provenance(study, first)]
    for name in extras:
        added = ADDED[name](study)
        found += [*added, gathered(study, name, added)]
    return found
