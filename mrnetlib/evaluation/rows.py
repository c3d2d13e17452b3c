"""The rows of Table I: which models each averages, on the exams and seeds that they share.

Every row is a mean over one model (a class), over the tasks (an average, the best planes) or over
planes and tasks (all planes), and over the seeds of each; `every_row` decides which, for numbers,
intervals and tests alike.
"""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from mrnetlib.evaluation.metrics import best_planes, seeded
from mrnetlib.evaluation.optimism import bootstrap_auc, bootstrap_counts
from mrnetlib.evaluation.predictions import aligned, of_split
from mrnetlib.files import InputError
from mrnetlib.names import PLANES

#: Draws of the tuning exams behind what the choice of a plane adds to an interval.
DRAWS = 500

#: What the mean over the architectures is called.
ALL = "all architectures"

Key = tuple[str, str]  # architecture and task


class Model(NamedTuple):
    """What one model says of the exams that all models share."""

    label: np.ndarray  # (E,) 0 or 1
    probability: np.ndarray  # (E,) of one training, or (E, S) of S seeds, 0..1
    architecture: str = ""  # models of one architecture are paired seed by seed
    #: where it was chosen among planes: the planes' probabilities, each as `probability`
    planes: tuple[np.ndarray, ...] = ()
    picks: np.ndarray | None = None  # (B,) which plane is chosen in each draw of the tuning exams


class Row(NamedTuple):
    """One row of Table I: which models it averages."""

    architecture: str
    views: str
    kind: str  # the class, or "average"
    models: list[Model]

    @property
    def name(self) -> str:
        return f"{self.architecture} {self.views}"


def rows(predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str = "tune") -> list[Row]:
    """The rows of Table I, with the test predictions that they are computed from.

    Per architecture: the fused model per task and the mean of the tasks (views ``multi``), the
    mean over tasks of the plane that was best on `select_on` (``single-best``), and the mean over
    all planes and tasks (``single-mean``). The paper prints one single-view row without saying
    which of the two it is.

    Parameters
    ----------
    predictions, fused : from `mrnetlib.evaluation.predictions`; any planes, tasks, architectures.
        Without a column seed all are of one.
    select_on : the split that chose the best planes.

    Raises
    ------
    InputError
        Naming what is fused but has no single views, what has single views but is not fused, a
        plane that some model lacks, and what does not hold the same exams or seeds.
    """
    every = every_row(predictions, fused, select_on)
    return [row for row in every if row.views == "multi" or row.kind == "average"]


def every_row(predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str = "tune") -> list[Row]:
    """The rows of Table I and, beyond it, both single-view rows per class; as for `rows`."""
    multi, single = _models(predictions, fused)
    _refuse_gaps(set(multi), set(single))
    tasks = list(dict.fromkeys(task for _, task in multi))
    planes = list(dict.fromkeys(plane for *_, plane in single))
    chosen = _chosen(single, predictions, select_on)
    found = []
    for name in dict.fromkeys(architecture for architecture, _ in multi):
        views = {
            "multi": {task: [multi[name, task]] for task in tasks},
            "single-best": {task: [chosen[name, task]] for task in tasks},
            "single-mean": {
                task: [single[name, task, plane] for plane in planes] for task in tasks
            },
        }
        for view, own in views.items():
            found += [Row(name, view, task, models) for task, models in own.items()]
            found.append(Row(name, view, "average", [m for models in own.values() for m in models]))
    return found


def together(found: Iterable[Row]) -> list[Row]:
    """The means over the architectures (`ALL`) of rows of several; none where there is one."""
    groups: dict[Key, list[Row]] = {}
    for row in found:
        groups.setdefault((row.views, row.kind), []).append(row)
    return [
        Row(ALL, *key, [model for row in group for model in row.models])
        for key, group in groups.items()
        if len(group) > 1
    ]


def _models(predictions: pd.DataFrame, fused: pd.DataFrame) -> tuple[dict, dict]:
    """Models by (architecture, task), and by (architecture, task, plane), in one order of exams."""
    keys = ["architecture", "task"]
    parts = []
    for given, by in ((fused, keys), (predictions, [*keys, "plane"])):
        test = of_split(seeded(given), "test")
        parts += [(len(by), key, own) for key, own in test.groupby([*by, "seed"], sort=False)]
    several = len({key[-1] for _, key, _ in parts}) > 1
    tables = aligned(
        (f"{' '.join(key[:-1])}, test exams{f' of seed {key[-1]}' * several}", key[1], table)
        for _, key, table in parts
    )
    by_seed: dict[tuple, dict] = {}
    for (_, key, _), table in zip(parts, tables, strict=True):
        by_seed.setdefault(key[:-1], {})[key[-1]] = table
    _refuse_other_seeds(by_seed)
    models = {
        key: Model(
            own[min(own)]["label"].to_numpy(),
            np.column_stack([own[seed]["probability"] for seed in sorted(own)]),
            key[0],
        )
        for key, own in by_seed.items()
    }
    multi = {key: model for key, model in models.items() if len(key) == len(keys)}
    return multi, {key: model for key, model in models.items() if key not in multi}


def _refuse_other_seeds(by_seed: dict[tuple, dict]) -> None:
    """Refuse models of one architecture that were not trained with the same seeds."""
    first: dict[str, tuple] = {}
    for key, own in by_seed.items():
        before = first.setdefault(key[0], key)
        if set(own) != set(by_seed[before]):
            raise InputError(
                f"{' '.join(key)}: has the seeds {sorted(own)}, {' '.join(before)} has "
                f"{sorted(by_seed[before])}, expected the same for all models of an architecture. "
                "Run what is missing."
            )


def _chosen(single: dict[tuple, Model], predictions: pd.DataFrame, select_on: str) -> dict:
    """The best plane's model per (architecture, task), with what it could have been."""
    best = best_planes(predictions, select_on)
    draws = plane_draws(predictions, select_on)
    found = {}
    for name, task, plane, _ in best.itertuples(index=False):
        names = sorted({key[2] for key in single if key[:2] == (name, task)}, key=PLANES.index)
        planes = tuple(single[name, task, other].probability for other in names)
        model = single[name, task, plane]
        if len(planes) > 1:  # of one plane there is no choice
            model = model._replace(planes=planes, picks=draws[name, task])
        found[name, task] = model
    return found


def plane_draws(
    predictions: pd.DataFrame, select_on: str = "tune", draws: int = DRAWS, seed: int = 0
) -> dict[Key, np.ndarray]:
    """Which plane is chosen when the exams that choose are drawn again, with replacement.

    Draws keep the number of exams of each combination of labels, and are the same for all
    architectures and tasks, whose choices therefore err together.

    Returns
    -------
    For each (architecture, task) the chosen plane's place (draws,) among its planes in the order
    of `mrnetlib.names.PLANES`: the highest mean over seeds of the AUC, the first of equals.
    """
    given = of_split(seeded(predictions), select_on)
    labels = given.pivot_table(index="exam", columns="task", values="label", aggfunc="first")
    counts = bootstrap_counts(labels.to_numpy(), draws, np.random.default_rng(seed))
    found = {}
    for key, own in given.groupby(["architecture", "task"], sort=False):
        planes = sorted(own["plane"].unique(), key=PLANES.index)
        wide = own.pivot(index="exam", columns=["plane", "seed"], values="probability")
        wide = wide.loc[labels.index]
        areas = [
            bootstrap_auc(labels[key[1]], wide[plane], counts).mean(axis=1) for plane in planes
        ]
        # without rounding, equal planes would differ by the order of their sums
        found[key] = np.column_stack(areas).round(9).argmax(axis=1)
    return found


def _refuse_gaps(multi: set[tuple], single: set[tuple]) -> None:
    """Refuse models that have no counterpart."""
    odd = sorted(multi ^ {key[:2] for key in single})
    if odd:
        kinds = ("fused", "single-view")
        has, lacks = kinds if odd[0] in multi else kinds[::-1]
        raise InputError(
            f"{' '.join(odd[0])}: has {has} predictions but no {lacks} predictions. Read both for "
            "the same architectures and tasks."
        )
    gaps = sorted(set(product(*map(set, zip(*single, strict=True)))) - single)
    if gaps:
        raise InputError(
            f"{' '.join(gaps[0])}: no predictions. Expected every architecture's for every task "
            "and plane. Predict them, or leave out what is not there for all."
        )
