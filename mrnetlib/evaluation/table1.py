"""Table I with intervals, and its comparisons with tests.

All models saw the same test exams, so the deviations of a mean are sums over exams, and an interval
of a row and a paired test of two rows are the same computation, whatever they average.
`mrnetlib.evaluation.rows` says what the rows are, `mrnetlib.evaluation.scores` how exams, seeds and
the choice of the planes come together.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from mrnetlib.evaluation import scores
from mrnetlib.evaluation.comparisons import Comparison, holm, square_and_add
from mrnetlib.evaluation.metrics import MEASURES, each_seed, named
from mrnetlib.evaluation.roc import Interval
from mrnetlib.evaluation.rows import Model, Row, rows, together
from mrnetlib.files import InputError


def _parts(label: np.ndarray, probability: np.ndarray, measure: str) -> tuple:
    """One model's measure by each seed (S,) and each exam's share (E,) in their mean, or None."""
    entry, seeds = named(measure), each_seed(probability)
    try:
        found = [entry.influence(label, own) for own in seeds]
    except InputError:
        return np.array([entry.estimate(label, own) for own in seeds]), None
    estimates, shares = zip(*found, strict=True)
    return np.array(estimates, dtype=float), np.mean(shares, axis=0)


def _choice(model: Model, measure: str) -> scores.Choice | None:
    """What the draws of a model's plane change, per draw; None where it was not chosen."""
    if model.picks is None:
        return None
    parts = [_parts(model.label, plane, measure) for plane in model.planes]
    if any(share is None for _, share in parts):
        return None
    by_seed = np.stack([estimates for estimates, _ in parts])[model.picks]  # (B, S)
    share = np.stack([share for _, share in parts])[model.picks]  # (B, E)
    return scores.Choice(by_seed.mean(axis=1), share, {model.architecture: by_seed})


def score(row: Row, measure: str) -> scores.Score:
    """A row's measure in parts: its mean over models by seed, by exam and by what was chosen."""
    models = [Model(*given) for given in row.models]
    total = scores.Score({}, np.zeros(len(models[0].label)))
    for model in models:
        estimates, share = _parts(model.label, model.probability, measure)
        own = scores.Score({model.architecture: estimates}, share, _choice(model, measure))
        total = scores.plus(total, own, 1 / len(models))
    return total


def networks(*found: Row) -> list[tuple[np.ndarray, np.ndarray]]:
    """Label (E,) and probability (E,) of every network of rows, seed by seed."""
    models = [model for row in found for model in row.models]
    return [(model[0], seed) for model in models for seed in each_seed(model[1])]


def interval(
    row: Row, measure: str, level: float = 0.95, found: scores.Score | None = None
) -> Interval:
    """The measure's own interval for one network; else logit scale with the joint variance.

    `found` is the row's `score` where it is known already.
    """
    found = score(row, measure) if found is None else found
    own = networks(row)
    ends = scores.limits(found, level)
    if ends is not None and (len(own) > 1 or found.choice is not None):
        return Interval(found.estimate, *ends, "joint variance, logit scale")
    limits = [named(measure).interval(*network, level) for network in own]
    if len(limits) == 1:
        return limits[0]
    # all models perfect, or a class of one exam: as wide as if the models erred together
    low, high = (float(np.mean([getattr(one, end) for one in limits])) for end in ("low", "high"))
    return Interval(found.estimate, low, high, "mean of the models' limits")


def compare(first: Row, second: Row, measure: str, level: float = 0.95) -> Comparison:
    """First minus second row on the same exams; the measure's exact test for two networks."""
    ((*_, found, _),) = compared([(first, second)], measure, level)
    return found


def compared(
    pairs: list[tuple[Row, Row]], measure: str, level: float = 0.95
) -> list[tuple[Row, Row, Comparison, str]]:
    """Every pair of rows, what `compare` says of it, and what the interval covers, in words."""
    known = {id(row): score(row, measure) for row in {id(r): r for p in pairs for r in p}.values()}
    found = []
    for pair in pairs:
        parts = [known[id(row)] for row in pair]
        apart = scores.minus(*parts)
        found.append((*pair, _compare(pair, parts, apart, measure, level), scores.covers(apart)))
    return found


def _compare(
    pair: tuple[Row, Row],
    parts: list[scores.Score],
    apart: scores.Score,
    measure: str,
    level: float,
) -> Comparison:
    entry = named(measure)
    found = scores.against_zero(apart, entry.by_share, level)
    if found is None and apart.share is not None and apart.estimate == 0:
        found = Comparison(0.0, 0.0, 0.0, 1.0, "no exam differs")
    if found is None:
        own = [interval(row, measure, level, part) for row, part in zip(pair, parts, strict=True)]
        return square_and_add(*own, level)
    given = networks(*pair)
    if entry.exact is None or len(given) > 2 or apart.choice is not None:
        return found
    (label, probability), (_, others) = given
    p, method = entry.exact(label, probability, others)
    return found._replace(p=p, method=method)


def _numbers(row: Row) -> dict[str, float]:
    """The measures of a row, and its number of exams."""
    found = {}
    try:
        for name, entry in MEASURES.items():
            own = [[entry.estimate(label, seed) for seed in each_seed(probability)]
                   for label, probability, *_ in row.models]  # fmt: skip
            found[name] = float(np.mean([np.mean(seeds) for seeds in own]))
    except InputError as error:
        raise InputError(f"{row.name} {row.kind}, test exams: {error}") from None
    return {**found, "n": len(row.models[0][0])}


def table_1(
    predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str = "tune"
) -> pd.DataFrame:
    """The paper's Table I on the test exams, unrounded; parameters as for `rows.rows`.

    Returns
    -------
    DataFrame with the columns architecture, views, class, one per measure (the mean over the seeds
    of the measure of each), n (test exams).
    """
    return pd.DataFrame(
        [[*row[:3], *_numbers(row).values()] for row in rows(predictions, fused, select_on)],
        columns=["architecture", "views", "class", *MEASURES, "n"],
    )


def table_1_intervals(
    predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str = "tune", level: float = 0.95
) -> pd.DataFrame:
    """Table I with an interval behind every number, for ``table1_intervals.csv``.

    One network: DeLong's variance on the logit scale for the AUC, Wilson's interval for the rates.
    Several, by seed, plane or task: logit scale with the joint variance over exams, seeds and the
    choice of the planes (`mrnetlib.evaluation.scores`).

    Parameters
    ----------
    predictions, fused, select_on : as for `rows.rows`.
    level : coverage aimed at.

    Returns
    -------
    The rows of `table_1` with the columns architecture, views, class, then auc, auc_low,
    auc_high and the same for every other measure, then n and covers: in words, what the intervals
    are about.
    """
    table = []
    for row in rows(predictions, fused, select_on):
        found, ends = _numbers(row), []
        parts = {measure: score(row, measure) for measure in MEASURES}
        for measure, own in parts.items():
            limits = interval(row, measure, level, own)
            ends += [found[measure], limits.low, limits.high]
        table.append([*row[:3], *ends, found["n"], scores.covers(parts["auc"])])
    names = [f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")]
    return pd.DataFrame(table, columns=["architecture", "views", "class", *names, "n", "covers"])


def pairs_of_views(found: list[Row]) -> list[tuple[Row, Row]]:
    """Multi-view and either single-view row of the same architecture and class."""
    return [
        (first, second)
        for first in found
        for second in found
        if first.views == "multi" and second.views != "multi"
        if (first.architecture, first.kind) == (second.architecture, second.kind)
    ]


def table_1_comparisons(
    predictions: pd.DataFrame,
    fused: pd.DataFrame,
    measure: str = "auc",
    select_on: str = "tune",
    level: float = 0.95,
) -> pd.DataFrame:
    """Every comparison Table I invites, tested on the same exams and corrected for their number.

    Architectures in pairs, multi-view, per class and on average; and multi-view against both
    single-view rows, per architecture and on the mean over the architectures.

    Parameters
    ----------
    measure : an entry of `mrnetlib.evaluation.metrics.MEASURES`: ``auc`` (paired DeLong), or
        ``sensitivity``, ``specificity``, ``accuracy`` (McNemar's exact test for two networks, a
        paired test by the exams' shares for averages).
    predictions, fused, select_on, level : as for `table_1_intervals`.

    Returns
    -------
    DataFrame with the columns first, second (architecture and views), class, difference (first
    minus second), low, high, p, p_holm (Holm's correction over all rows), method, covers.
    """
    named(measure)
    found = rows(predictions, fused, select_on)
    multi = [row for row in found if row.views == "multi"]
    pairs = [pair for pair in combinations(multi, 2) if pair[0].kind == pair[1].kind]
    averages = [row for row in found if row.kind == "average"]
    pairs += pairs_of_views([*averages, *together(averages)])
    table = pd.DataFrame(
        [
            (first.name, second.name, first.kind, *found, covers)
            for first, second, found, covers in compared(pairs, measure, level)
        ],
        columns=["first", "second", "class", *Comparison._fields, "covers"],
    )
    table.insert(table.columns.get_loc("method"), "p_holm", holm(table["p"]))
    return table
