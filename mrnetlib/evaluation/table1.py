"""Table I with intervals, and its comparisons with tests.

Every row of Table I is a mean over one model (a class), over the tasks (an average, the best
planes) or over planes and tasks (all planes); `rows` decides which, for numbers, intervals and
tests alike. All models saw the same test exams, so the deviations of a mean are sums over exams:
`share` holds each exam's part, which makes an interval of a row and a paired test of two rows the
same computation, whatever they average.
"""

from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pandas as pd

from mrnetlib.evaluation.comparisons import Comparison, contrast, holm, square_and_add
from mrnetlib.evaluation.metrics import MEASURES, best_planes, measures, named
from mrnetlib.evaluation.predictions import aligned, of_split
from mrnetlib.evaluation.roc import Interval, logit_interval
from mrnetlib.files import InputError

#: Label (E,) and probability (E,) of one model, on the exams that all models share.
Model = tuple[np.ndarray, np.ndarray]

#: Variances below this are rounding.
NOTHING = 1e-12


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
    select_on : the split that chose the best planes.

    Raises
    ------
    InputError
        Naming what is fused but has no single views, what has single views but is not fused, a
        plane that some model lacks, and what does not hold the same exams.
    """
    multi, single = _models(predictions, fused)
    _refuse_gaps(set(multi), set(single))
    tasks = list(dict.fromkeys(task for _, task in multi))
    planes = list(dict.fromkeys(plane for *_, plane in single))
    best = best_planes(predictions, select_on).set_index(["architecture", "task"])["plane"]
    found = []
    for name in dict.fromkeys(architecture for architecture, _ in multi):
        own = {task: [multi[name, task]] for task in tasks}
        chosen = [single[name, task, best[name, task]] for task in tasks]
        every = [single[name, task, plane] for plane in planes for task in tasks]
        found += [Row(name, "multi", task, model) for task, model in own.items()]
        found.append(Row(name, "multi", "average", [model for (model,) in own.values()]))
        found.append(Row(name, "single-best", "average", chosen))
        found.append(Row(name, "single-mean", "average", every))
    return found


def _models(predictions: pd.DataFrame, fused: pd.DataFrame) -> tuple[dict, dict]:
    """Models by (architecture, task), and by (architecture, task, plane), in one order of exams."""
    keys = ["architecture", "task"]
    groups = list(of_split(fused, "test").groupby(keys, sort=False))
    count = len(groups)
    groups += of_split(predictions, "test").groupby([*keys, "plane"], sort=False)
    tables = aligned((f"{' '.join(key)}, test exams", key[1], table) for key, table in groups)
    models = [
        (key, (table["label"].to_numpy(), table["probability"].to_numpy()))
        for (key, _), table in zip(groups, tables, strict=True)
    ]
    return dict(models[:count]), dict(models[count:])


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


def share(row: Row, measure: str) -> np.ndarray | None:
    """The part of each exam (E,) in a row's deviation; None where a class has a single exam."""
    try:
        return np.mean([named(measure).influence(*model)[1] for model in row.models], axis=0)
    except InputError:
        return None


def interval(row: Row, measure: str, level: float = 0.95) -> Interval:
    """The measure's own interval for one model; logit scale with the joint variance for a mean."""
    own = [named(measure).interval(*model, level) for model in row.models]
    if len(own) == 1:
        return own[0]
    estimate = float(np.mean([one.estimate for one in own]))
    joint = share(row, measure)
    if joint is not None and 0 < estimate < 1 and (joint**2).sum() > NOTHING:
        low, high = logit_interval(estimate, (joint**2).sum(), level)
        return Interval(estimate, float(low), float(high), "joint variance, logit scale")
    # all models perfect, or a class of one exam: as wide as if the models erred together
    low, high = (float(np.mean([getattr(one, end) for one in own])) for end in ("low", "high"))
    return Interval(estimate, low, high, "mean of the models' limits")


def compare(first: Row, second: Row, measure: str, level: float = 0.95) -> Comparison:
    """First minus second row on the same exams; the measure's exact test for two models."""
    one, other = (interval(row, measure, level) for row in (first, second))
    shares = [share(row, measure) for row in (first, second)]
    difference, entry = one.estimate - other.estimate, named(measure)
    if any(part is None for part in shares):
        return square_and_add(one, other, level)
    apart = shares[0] - shares[1]
    if (apart**2).sum() > NOTHING:
        found = contrast(difference, apart, level)._replace(method=entry.by_share)
    elif difference == 0:
        found = Comparison(0.0, 0.0, 0.0, 1.0, "no exam differs")
    else:
        found = square_and_add(one, other, level)
    if entry.exact is None or len(first.models) + len(second.models) > 2:
        return found
    (label, probability), (_, others) = first.models[0], second.models[0]
    p, method = entry.exact(label, probability, others)
    return found._replace(p=p, method=method)


def _numbers(row: Row) -> dict[str, float]:
    """The measures of a row, and its number of exams."""
    try:
        table = pd.DataFrame([measures(*model) for model in row.models])
    except InputError as error:
        raise InputError(f"{row.name} {row.kind}, test exams: {error}") from None
    return {**table[list(MEASURES)].mean().to_dict(), "n": int(table["n"].iloc[0])}


def table_1(
    predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str = "tune"
) -> pd.DataFrame:
    """The paper's Table I on the test exams, unrounded; parameters as for `rows`.

    Returns
    -------
    DataFrame with the columns architecture, views, class, one per measure, n.
    """
    return pd.DataFrame(
        [[*row[:3], *_numbers(row).values()] for row in rows(predictions, fused, select_on)],
        columns=["architecture", "views", "class", *MEASURES, "n"],
    )


def table_1_intervals(
    predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str = "tune", level: float = 0.95
) -> pd.DataFrame:
    """Table I with an interval behind every number, for ``table1_intervals.csv``.

    Classes: DeLong's variance on the logit scale for the AUC, Wilson's interval for the rates.
    Averages: logit scale with the joint variance of the averaged models on the same exams.

    Parameters
    ----------
    predictions, fused, select_on : as for `rows`.
    level : coverage aimed at.

    Returns
    -------
    The rows of `table_1` with the columns architecture, views, class, then auc, auc_low,
    auc_high and the same for every other measure, then n.
    """
    table = []
    for row in rows(predictions, fused, select_on):
        found, ends = _numbers(row), []
        for measure in MEASURES:
            limits = interval(row, measure, level)
            ends += [found[measure], limits.low, limits.high]
        table.append([*row[:3], *ends, found["n"]])
    names = [f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")]
    return pd.DataFrame(table, columns=["architecture", "views", "class", *names, "n"])


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
    measure : an entry of `mrnetlib.evaluation.metrics.MEASURES`: ``auc`` (paired DeLong), or
        ``sensitivity``, ``specificity``, ``accuracy`` (McNemar's exact test for a class, a paired
        normal test for averages).
    predictions, fused, select_on, level : as for `table_1_intervals`.

    Returns
    -------
    DataFrame with the columns first, second (architecture and views), class, difference (first
    minus second), low, high, p, p_holm (Holm's correction over all rows), method.
    """
    named(measure)
    found = rows(predictions, fused, select_on)
    multi = [row for row in found if row.views == "multi"]
    pairs = [pair for pair in combinations(multi, 2) if pair[0].kind == pair[1].kind]
    pairs += [
        (first, second)
        for first in multi
        for second in found
        if first.kind == "average" and second.views != "multi"
        if first.architecture == second.architecture
    ]
    table = pd.DataFrame(
        [
            (first.name, second.name, first.kind, *compare(first, second, measure, level))
            for first, second in pairs
        ],
        columns=["first", "second", "class", *Comparison._fields],
    )
    table.insert(len(table.columns) - 1, "p_holm", holm(table["p"]))
    return table
