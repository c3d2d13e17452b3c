"""Variants of a study's recipe: what is changed, on which exams, and where the results are.

A *variant* is the study's recipe with one thing changed. For each, a network per seed, plane, task
and architecture is trained again (`mrnetlib.variants.retrain`) and its predictions are kept in the
study's results, ``choices/predictions/<architecture>_<plane>.csv``. The recipe as it is, at the
seeds that the study itself trains, is not trained again: those are the study's own predictions.

Notebook 06 and the command line read these files, so torch stays out of here.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mrnetlib.evaluation.predictions import (
    COLUMNS,
    Form,
    read_columns,
    read_file,
    read_predictions,
    same_exams,
)
from mrnetlib.files import InputError, write_csv
from mrnetlib.settings import Settings, augmentations, did_you_mean
from mrnetlib.study import Study

#: The share of the training exams that a variant uses.
SHARES = {"half": 1 / 2, "quarter": 1 / 4, "eighth": 1 / 8}

KEYS = ["variant", "seed", "architecture", "plane", "task"]

RESULT = [column for column in COLUMNS if column not in KEYS]

#: In the files; 7 digits are what a network's single precision carries.
FILE_COLUMNS = ["variant", "task", *COLUMNS]
DIGITS = 7
REMEDY = "Run 'make choices', which makes it."
NETWORK_COLUMNS = [
    *("variant", "seed", "task", "fold"),
    *("train_exams", "epochs", "kept_epoch", "seconds"),
]
FORM = Form(FILE_COLUMNS, REMEDY, keys=["variant", "seed", "task", "exam"])


@dataclass(frozen=True)
class Run:
    """One training: a variant of the recipe, a seed, a task; `fold` counts from 0."""

    variant: str
    seed: int
    task: str
    fold: int | None = None

    @property
    def name(self) -> str:
        """For files, as in ``half_acl_2020`` or ``out_of_fold_acl_2020_1``."""
        words = [self.variant, self.task, self.seed, *([] if self.fold is None else [self.fold])]
        return "_".join(map(str, words))


def variants(settings: Settings) -> list[str]:
    """The variants that differ from a study's recipe, after ``as_is``.

    ``stopped_on_test``: the test exams stop the training and choose the epoch.
    ``not_standardized``: slices on the scanners' own grey scales; left out where the study's are.
    ``not_augmented``: training exams as they are; left out where the study changes none.
    ``half``, ``quarter``, ``eighth``: of the training exams, in as many steps as with all.
    ``out_of_fold``: each training exam is predicted by a network that was trained on other folds.
    """
    augmented = any(getattr(settings, name) for name in augmentations())
    return [
        "as_is",
        "stopped_on_test",
        *(["not_standardized"] if settings.standardize else []),
        *(["not_augmented"] if augmented else []),
        *SHARES,
        "out_of_fold",
    ]


def seeds(settings: Settings) -> list[int]:
    """The seeds of a study's retraining, from the study's first on."""
    return [settings.seed + more for more in range(settings.choices_seeds)]


def own_seeds(settings: Settings, architecture: str) -> list[int]:
    """Those of `seeds` with which the study itself trains an architecture."""
    return [seed for seed in seeds(settings) if seed in settings.seeds_of(architecture)]


def runs(settings: Settings, architecture: str) -> list[Run]:
    """All trainings of one architecture and plane."""
    found, own = [], own_seeds(settings, architecture)
    for seed in seeds(settings):
        for task in settings.choices_tasks:
            for variant in variants(settings):
                if variant == "out_of_fold":
                    folds = range(settings.choices_folds)
                    found += [Run(variant, seed, task, fold) for fold in folds]
                elif variant != "as_is" or seed not in own:
                    found.append(Run(variant, seed, task))
    return found


def check(study: Study, architecture: str | None = None, plane: str | None = None) -> None:
    """Refuse to retrain what is none of the study's, whose own predictions are compared with."""
    settings = study.settings
    asked = [
        ("choices_architectures", settings.choices_architectures, settings.architectures),
        ("choices_tasks", settings.choices_tasks, settings.tasks),
    ]
    if architecture is not None:
        asked.append(("architecture", [architecture], settings.choices_architectures))
    if plane is not None:
        asked.append(("plane", [plane], settings.planes))
    for key, words, known in asked:
        for word in words:
            if word not in known:
                raise InputError(
                    f"study {study.name}: {key}: '{word}' is none of {', '.join(known)}, which the "
                    f"study itself trains. {did_you_mean(word, list(known))}"
                )


def not_standardized(study: Study) -> Study:
    """Where the banks and the pretrained weights without standardization are."""
    return study.inside("choices/not_standardized", standardize=False)


def path_of(study: Study, kind: str, architecture: str, plane: str) -> Path:
    """A file of the retraining; `kind` is ``predictions`` or ``networks``."""
    return study.results / "choices" / kind / f"{architecture}_{plane}.csv"


def write(path: Path, predictions: pd.DataFrame) -> None:
    """Write a file of the retraining, probabilities to `DIGITS` significant digits."""
    rounded = predictions["probability"].map(lambda value: float(f"{value:.{DIGITS}g}"))
    write_csv(path, predictions.assign(probability=rounded)[FILE_COLUMNS])


def _guarded(
    settings: Settings, architecture: str, table: pd.DataFrame, own: pd.DataFrame, path: Path
) -> pd.DataFrame:
    """The rows that the study's settings ask for, each group on the study's own exams."""
    parts, own = [], own.drop_duplicates(["task", "exam"])  # the same exams for every seed
    groups = dict(list(table.groupby(["variant", "seed", "task"])))
    asked = runs(settings, architecture)
    for run in dict.fromkeys((run.variant, run.seed, run.task) for run in asked):
        name = f"{path}, {run[0]}, seed {run[1]}, {run[2]}"
        if run not in groups:
            raise InputError(f"{name}: not in the file. Run 'make choices' again.")
        found, wanted = groups[run], own[own["task"] == run[2]]
        if run[0] == "out_of_fold":
            wanted = wanted[wanted["split"] == "train"]
        elif run[0] in SHARES:
            trained = set(found.loc[found["split"] == "train", "exam"])
            wanted = wanted[(wanted["split"] != "train") | wanted["exam"].isin(trained)]
        same_exams(wanted, found, name)
        parts.append(found)
    return pd.concat(parts)


def read(study: Study) -> pd.DataFrame:
    """All predictions of the retraining, the study's own among them as ``as_is``.

    Returns
    -------
    DataFrame with the columns variant, seed, architecture, plane, task, exam, split, label,
    probability.

    Raises
    ------
    InputError
        Naming the file that is missing, cannot be read, lacks a variant or seed, or holds other
        exams, splits or labels than the study's own predictions.
    """
    check(study)
    settings, parts = study.settings, []
    shape = settings.choices_architectures, settings.planes, settings.choices_tasks
    own = read_predictions(study.results, *shape)
    for architecture in settings.choices_architectures:
        for plane in settings.planes:
            path = path_of(study, "predictions", architecture, plane)
            chosen = own[(own["architecture"] == architecture) & (own["plane"] == plane)]
            table = _guarded(settings, architecture, read_file(path, FORM), chosen, path)
            parts.append(table.assign(architecture=architecture, plane=plane))
    own = _of_own_seeds(study, own).assign(variant="as_is")
    return pd.concat([own, *parts], ignore_index=True)[[*KEYS, *RESULT]]


def _of_own_seeds(study: Study, own: pd.DataFrame) -> pd.DataFrame:
    """The study's own predictions that stand for the recipe as it is."""
    parts = []
    for architecture, table in own.groupby("architecture", sort=False):
        wanted, found = own_seeds(study.settings, architecture), set(table["seed"])
        if not found.issuperset(wanted):
            raise InputError(
                f"study {study.name}: the predictions of {architecture} are of the seeds "
                f"{', '.join(map(str, sorted(found)))}, expected {', '.join(map(str, wanted))}, as "
                f"the study file says. Run 'python -m mrnetlib study {study.name}' again."
            )
        parts.append(table[table["seed"].isin(wanted)])
    return pd.concat(parts)


def read_networks(study: Study) -> pd.DataFrame:
    """What is noted of every retraining.

    Returns
    -------
    DataFrame with the columns architecture, plane, variant, seed, task, fold (empty outside
    ``out_of_fold``), train_exams, epochs, kept_epoch, seconds.
    """
    parts = []
    for architecture in study.settings.choices_architectures:
        for plane in study.settings.planes:
            path = path_of(study, "networks", architecture, plane)
            table = read_columns(path, Form(NETWORK_COLUMNS, REMEDY))
            parts.append(table.assign(architecture=architecture, plane=plane))
    return pd.concat(parts, ignore_index=True)[["architecture", "plane", *NETWORK_COLUMNS]]
