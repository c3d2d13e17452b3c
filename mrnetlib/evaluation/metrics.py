"""The measures of Table I, each said once, and a study's predictions measured by them.

An entry of `MEASURES` is all that a measure consists of: its column in every table, its intervals,
its tests and its name in print follow from it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mrnetlib.evaluation.comparisons import mcnemar
from mrnetlib.evaluation.predictions import of_split
from mrnetlib.evaluation.roc import (
    Interval,
    auc,
    auc_interval,
    checked,
    influence,
    wilson_interval,
)
from mrnetlib.files import InputError
from mrnetlib.names import PLANES

#: An exam is called positive from this probability on; the paper's.
THRESHOLD = 0.5


class Measure(NamedTuple):
    """What a measure is, of labels (E,) 0 or 1 and probabilities (E,) 0..1 of the same exams.

    Each function raises an `InputError` where a class is missing, `influence` also where a class
    has a single exam, which leaves nothing to estimate a variance from.
    """

    title: str
    #: (label, probability) -> 0..1
    estimate: Callable[[Any, Any], float]
    #: (label, probability) -> the estimate, and each exam's share (E,) in its deviation: the sum of
    #: squares is the variance, the sum of products of two models' shares their covariance
    influence: Callable[[Any, Any], tuple[float, np.ndarray]]
    #: (label, probability, level) -> one model's interval
    interval: Callable[[Any, Any, float], Interval]
    #: (label, first, second) -> p of two models and the test's name, where there is an exact test
    exact: Callable[[Any, Any, Any], tuple[float, str]] | None = None
    #: whether it is made of decisions at `THRESHOLD`
    decides: bool = True
    #: what a test of differences by the exams' shares is called
    by_share: str = "normal, paired"


def _rate(title: str, counted: Callable[[np.ndarray], np.ndarray]) -> Measure:
    """The share of right decisions among the exams that `counted` finds by being positive."""

    def right(label: Any, probability: Any) -> tuple[np.ndarray, np.ndarray]:
        """(E,) bool: which exams count, and which are decided rightly."""
        positive, probability = checked(label, probability)
        return counted(positive), (probability >= THRESHOLD) == positive

    def estimate(label: Any, probability: Any) -> float:
        kept, correct = right(label, probability)
        return float(correct[kept].mean())

    def shares(label: Any, probability: Any) -> tuple[float, np.ndarray]:
        kept, correct = right(label, probability)
        count, mean = int(kept.sum()), correct[kept].mean()
        if count < 2:
            raise InputError(f"{title}: a single exam of its class leaves no variance to estimate.")
        return mean, np.where(kept, correct - mean, 0) / np.sqrt(count * (count - 1))

    def interval(label: Any, probability: Any, level: float = 0.95) -> Interval:
        kept, correct = right(label, probability)
        return wilson_interval(int(correct[kept].sum()), int(kept.sum()), level)

    def exact(label: Any, first: Any, second: Any) -> tuple[float, str]:
        kept, correct = right(label, first)
        return mcnemar(correct[kept], right(label, second)[1][kept]), "McNemar, exact"

    return Measure(title, estimate, shares, interval, exact)


def _auc_influence(label: Any, probability: Any) -> tuple[float, np.ndarray]:
    areas, share = influence(label, probability)
    return areas[0], share[:, 0]


#: The paper's four, in the order of its Table I.
MEASURES = {
    "auc": Measure(
        "AUC", auc, _auc_influence, auc_interval, decides=False, by_share="DeLong, paired"
    ),
    "sensitivity": _rate("Sensitivity", lambda positive: positive),
    "specificity": _rate("Specificity", lambda positive: ~positive),
    "accuracy": _rate("Accuracy", np.ones_like),
}


def named(measure: str) -> Measure:
    """An entry of `MEASURES`; an unknown name is an `InputError` that lists the known ones."""
    if measure not in MEASURES:
        raise InputError(f"measure '{measure}': expected one of {', '.join(MEASURES)}.")
    return MEASURES[measure]


def rates() -> list[str]:
    """The measures that are made of decisions, and so move with the threshold."""
    return [name for name, measure in MEASURES.items() if measure.decides]


def seeded(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions with a column seed; without one they are of one training, seed 0."""
    return predictions if "seed" in predictions else predictions.assign(seed=0)


def each_seed(probability: Any) -> list[np.ndarray]:
    """The probabilities (E,) of each seed, of an array (E, S), or (E,) for one seed."""
    probability = np.asarray(probability)
    return list(probability.reshape(len(probability), -1).T)


def measures(label: Any, probability: Any) -> dict[str, float]:
    """One model's measures (0..1) and ``n``, the number of exams."""
    found = {name: one.estimate(label, probability) for name, one in MEASURES.items()}
    return {**found, "n": len(np.asarray(label))}


def measured(predictions: pd.DataFrame, keys: Sequence[str], split: str = "test") -> pd.DataFrame:
    """The measures of each group of `keys` on one split, in the table's own order.

    Parameters
    ----------
    predictions : long table with the columns `keys`, split, label and probability, and seed where
        there are several trainings.

    Returns
    -------
    DataFrame with the columns `keys`, one per measure (unrounded; the mean over the seeds of the
    measure of each), and n, the exams of a seed.

    Raises
    ------
    InputError
        Where no exam is of this split, or a group cannot be measured; the group is named.
    """
    rows = []
    for values, group in of_split(seeded(predictions), split).groupby(list(keys), sort=False):
        try:
            found = [measures(own["label"], own["probability"]) for _, own in group.groupby("seed")]
        except InputError as error:
            raise InputError(f"{' '.join(map(str, values))}, {split} exams: {error}") from None
        mean = {**pd.DataFrame(found).mean(), "n": found[0]["n"]}
        rows.append({**dict(zip(keys, values, strict=True)), **mean})
    return pd.DataFrame(rows)


def single_view(predictions: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Every network's own measures: one row per architecture, plane and class (task).

    Returns
    -------
    DataFrame with the columns architecture, plane, class, one per measure, n; unrounded.
    """
    table = measured(predictions, ["architecture", "plane", "task"], split)
    return table.rename(columns={"task": "class"})


def best_planes(predictions: pd.DataFrame, split: str = "tune") -> pd.DataFrame:
    """The plane with the best AUC, mean over seeds, per architecture and task, chosen on `split`.

    The tuning exams choose by default: a plane chosen on the test exams is reported too well.
    A tie goes to the plane that comes first in `mrnetlib.names.PLANES`.

    Returns
    -------
    DataFrame with the columns architecture, task, plane, auc (on `split`), in the predictions' own
    order of architectures and tasks.
    """
    table = measured(predictions, ["architecture", "task", "plane"], split)
    rows = []
    for key, own in table.groupby(["architecture", "task"], sort=False):
        areas = own.set_index("plane")["auc"]
        plane = max(sorted(areas.index, key=PLANES.index), key=areas.get)  # first of equals
        rows.append([*key, plane, areas[plane]])
    return pd.DataFrame(rows, columns=["architecture", "task", "plane", "auc"])
