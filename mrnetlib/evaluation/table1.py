"""Table I with intervals, and its comparisons with tests.

Every row of Table I is a mean over one model (a class), three (an average, the best planes) or
nine (all planes). All models saw the same test exams, so the deviations of a mean are sums over
exams: `Row.share` holds each exam's part, which makes an interval of a row and a paired test of
two rows the same computation, whatever they average.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from mrnetlib.evaluation.comparisons import Comparison, contrast, holm, mcnemar, square_and_add
from mrnetlib.evaluation.metrics import MEASURES, best_planes, confusion, table_1
from mrnetlib.evaluation.predictions import same_exams
from mrnetlib.evaluation.roc import (
    Interval,
    auc_interval,
    influence,
    logit_interval,
    wilson_interval,
)
from mrnetlib.files import InputError
from mrnetlib.names import PLANES, TASKS


class Row(NamedTuple):
    """One row of Table I: which models it averages."""

    architecture: str
    views: str
    kind: str  # the class, or "average"
    models: list[tuple[np.ndarray, np.ndarray]]  # label (E,) and probability (E,), same exams

    @property
    def name(self) -> str:
        return f"{self.architecture} {self.views}"


def _rows(predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str) -> list[Row]:
    """The rows of `table_1` with the test predictions they are computed from."""
    for name in set(fused["architecture"]) - set(predictions["architecture"]):
        raise InputError(
            f"{name}: has fused predictions but no single-view predictions. Read both for the "
            "same architectures."
        )
    test = fused[fused["split"] == "test"]
    exams = test["exam"].drop_duplicates()
    # pairs of arrays in one order of exams, by (architecture, task) and (architecture, task, plane)
    found: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}
    single = predictions[predictions["split"] == "test"]
    reference = test.groupby("task", sort=False)
    for table, keys in (
        (test, ["architecture", "task"]),
        (single, ["architecture", "task", "plane"]),
    ):
        for key, group in table.groupby(keys, sort=False):
            same_exams(reference.get_group(key[1]).drop_duplicates("exam"), group, " ".join(key))
            group = group.set_index("exam").loc[exams]
            found[key] = group["label"].to_numpy(), group["probability"].to_numpy()
    best = best_planes(predictions, select_on).set_index(["architecture", "task"])["plane"]
    tasks = [task for task in TASKS if task in set(fused["task"])]
    planes = [plane for plane in PLANES if plane in set(predictions["plane"])]
    rows = []
    for name in fused["architecture"].unique():
        multi = [found[name, task] for task in tasks]
        chosen = [found[name, task, best[name, task]] for task in tasks]
        every = [found[name, task, plane] for plane in planes for task in tasks]
        rows += [Row(name, "multi", task, [own]) for task, own in zip(tasks, multi, strict=True)]
        rows.append(Row(name, "multi", "average", multi))
        rows.append(Row(name, "single-best", "average", chosen))
        rows.append(Row(name, "single-mean", "average", every))
    return rows


def estimate_and_share(
    label: np.ndarray, probability: np.ndarray, measure: str
) -> tuple[float, np.ndarray]:
    """One model's measure and each exam's part (E,) in its deviation; sum of squares: variance.

    Parameters
    ----------
    label, probability : (E,) of one model.
    measure : ``auc``, or ``sensitivity``, ``specificity``, ``accuracy`` of probability >= 0.5.
    """
    if measure == "auc":
        areas, share = influence(label, probability)
        return areas[0], share[:, 0]
    positive = label == 1
    classes = {"sensitivity": positive, "specificity": ~positive, "accuracy": positive | ~positive}
    if measure not in classes:
        raise InputError(f"measure '{measure}': expected auc or one of {', '.join(classes)}.")
    kept, right = classes[measure], (probability >= 0.5) == positive
    count = int(kept.sum())
    if count < 2:
        raise InputError(f"{measure}: {count} exam of its class leaves no variance to estimate.")
    estimate = right[kept].mean()
    return estimate, np.where(kept, right - estimate, 0) / np.sqrt(count * (count - 1))


def _row_share(row: Row, measure: str) -> np.ndarray | None:
    """The part of each exam in a row's deviation; None where a class has a single exam."""
    try:
        return np.mean([estimate_and_share(*m, measure)[1] for m in row.models], axis=0)
    except InputError:
        return None


def _model_interval(model: tuple, measure: str, level: float) -> Interval:
    if measure == "auc":
        return auc_interval(*model, level)
    count = confusion(*model)
    right, n = {
        "sensitivity": (count["tp"], count["tp"] + count["fn"]),
        "specificity": (count["tn"], count["tn"] + count["fp"]),
        "accuracy": (count["tp"] + count["tn"], sum(count.values())),
    }[measure]
    return wilson_interval(right, n, level)


def _row_interval(row: Row, measure: str, level: float) -> Interval:
    """DeLong/logit or Wilson for one model; logit scale with the joint variance for a mean."""
    own = [_model_interval(model, measure, level) for model in row.models]
    if len(own) == 1:
        return own[0]
    estimate = float(np.mean([one.estimate for one in own]))
    share = _row_share(row, measure)
    if share is not None and 0 < estimate < 1 and (share**2).sum() > 1e-12:
        low, high = logit_interval(estimate, (share**2).sum(), level)
        return Interval(estimate, float(low), float(high), "joint variance, logit scale")
    # all models perfect, or a class of one exam: as wide as if the models erred together
    low, high = (float(np.mean([getattr(one, end) for one in own])) for end in ("low", "high"))
    return Interval(estimate, low, high, "mean of the models' limits")


def table_1_intervals(
    predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str = "tune", level: float = 0.95
) -> pd.DataFrame:
    """Table I with an interval behind every number, for ``table1_intervals.csv``.

    Classes: DeLong's variance on the logit scale for the AUC, Wilson's interval for the rates.
    Averages: logit scale with the joint variance of the averaged models on the same exams.

    Parameters
    ----------
    predictions, fused : from `mrnetlib.evaluation.predictions`.
    select_on : the split that chose the best planes.
    level : coverage aimed at.

    Returns
    -------
    The rows of `table_1` with the columns architecture, views, class, then auc, auc_low,
    auc_high and the same for sensitivity, specificity and accuracy, then n.
    """
    table = table_1(predictions, fused, select_on)
    limits = []
    for row in _rows(predictions, fused, select_on):
        found = {measure: _row_interval(row, measure, level) for measure in MEASURES}
        limits.append(
            {"architecture": row.architecture, "views": row.views, "class": row.kind}
            | {f"{measure}_low": one.low for measure, one in found.items()}
            | {f"{measure}_high": one.high for measure, one in found.items()}
        )
    key = ["architecture", "views", "class"]
    joined = table.merge(pd.DataFrame(limits), on=key, validate="one_to_one")
    ends = [f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")]
    return joined[[*key, *ends, "n"]]


def _compare(first: Row, second: Row, measure: str, level: float) -> Comparison:
    one, other = (_row_interval(row, measure, level) for row in (first, second))
    shares = [_row_share(row, measure) for row in (first, second)]
    difference = one.estimate - other.estimate
    if any(share is None for share in shares):
        return square_and_add(one, other, level)
    share = shares[0] - shares[1]
    if (share**2).sum() > 1e-12:
        found = contrast(difference, share, level)
        found = found if measure == "auc" else found._replace(method="normal, paired")
    elif difference == 0:
        found = Comparison(0.0, 0.0, 0.0, 1.0, "no exam differs")
    else:
        found = square_and_add(one, other, level)
    if measure == "auc" or len(first.models) + len(second.models) > 2:
        return found
    label, probability = first.models[0]
    p = mcnemar(label, probability, second.models[0][1], measure=measure)["p"]
    return found._replace(p=p, method="McNemar, exact")


def table_1_comparisons(
    predictions: pd.DataFrame,
    fused: pd.DataFrame,
    measure: str = "auc",
    select_on: str = "tune",
    level: float = 0.95,
) -> pd.DataFrame:
    """Every comparison Table I invites, tested on the same exams and corrected for their number.

    Architectures in pairs, multi-view, per class and on average; and per architecture multi-view
    against both single-view rows.

    Parameters
    ----------
    measure : ``auc`` (paired DeLong), or ``sensitivity``, ``specificity``, ``accuracy``
        (McNemar's exact test for a class, a paired normal test for averages).
    predictions, fused, select_on, level : as for `table_1_intervals`.

    Returns
    -------
    DataFrame with the columns first, second (architecture and views), class, difference (first
    minus second), low, high, p, p_holm (Holm's correction over all rows), method.
    """
    if measure not in MEASURES:
        raise InputError(f"measure '{measure}': expected one of {', '.join(MEASURES)}.")
    rows = _rows(predictions, fused, select_on)
    multi = [row for row in rows if row.views == "multi"]
    pairs = [pair for pair in combinations(multi, 2) if pair[0].kind == pair[1].kind]
    pairs += [
        (first, second)
        for first in multi
        for second in rows
        if first.kind == "average" and second.views != "multi"
        if first.architecture == second.architecture
    ]
    table = pd.DataFrame(
        [
            (first.name, second.name, first.kind, *_compare(first, second, measure, level))
            for first, second in pairs
        ],
        columns=["first", "second", "class", *Comparison._fields],
    )
    table.insert(len(table.columns) - 1, "p_holm", holm(table["p"]))
    return table
