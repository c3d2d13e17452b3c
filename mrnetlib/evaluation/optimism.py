"""Many samples of the same exams: the bootstrap, for one model, two, or a whole table at once."""

from typing import Any

import numpy as np

from mrnetlib.evaluation.comparisons import Comparison, two_models
from mrnetlib.evaluation.roc import checked
from mrnetlib.files import InputError


def bootstrap_counts(strata: Any, draws: int, generator: np.random.Generator) -> np.ndarray:
    """How often each exam is drawn in each of `draws` bootstrap samples.

    Exams are drawn with replacement within their stratum, so every sample keeps the class sizes;
    models measured with the same counts are compared in pairs.

    Parameters
    ----------
    strata : (E,) or (E, K); exams with equal rows are one stratum, for example the label, or the
        labels of three tasks.
    draws : number of samples.
    generator : source of randomness.

    Returns
    -------
    (draws, E) float64 counts.
    """
    strata = np.asarray(strata).reshape(len(strata), -1)
    _, group = np.unique(strata, axis=0, return_inverse=True)
    counts = np.empty((draws, len(strata)))
    for code in range(group.max() + 1):
        members = np.flatnonzero(group == code)
        even = np.full(len(members), 1 / len(members))
        counts[:, members] = generator.multinomial(len(members), even, size=draws)
    return counts


def bootstrap_auc(label: Any, probability: Any, counts: np.ndarray) -> np.ndarray:
    """Areas under the curve of every model in every bootstrap sample, ties counted half.

    A pair of exams wins, loses or ties in every sample alike; only its weight changes. So the
    pairs are compared once per model and the samples are one matrix product.

    Parameters
    ----------
    label : (E,) 0 or 1.
    probability : (E, M) 0..1.
    counts : (B, E) from `bootstrap_counts` with the label among the strata.

    Returns
    -------
    (B, M) areas.
    """
    positive, probability = checked(label, probability)
    columns = probability.reshape(len(positive), -1)
    of_positives, of_negatives = counts[:, positive], counts[:, ~positive]  # (B, m), (B, n)
    pairs = of_positives.sum(axis=1) * of_negatives.sum(axis=1)
    if not pairs.all():
        raise InputError(
            "a bootstrap sample holds one class only: draw the counts with the label among the "
            "strata, so that every sample keeps the class sizes."
        )
    areas = np.empty((len(counts), columns.shape[1]))
    for model, column in enumerate(columns.T):
        wins = (np.sign(column[positive][:, None] - column[~positive]) + 1) / 2  # (m, n)
        areas[:, model] = np.einsum("bn,bn->b", of_positives @ wins, of_negatives) / pairs
    return areas


def from_draws(estimate: float, draws: np.ndarray, level: float = 0.95) -> Comparison:
    """Percentile interval and two-sided p-value of a difference from its bootstrap draws.

    The p-value is twice the smaller share of draws on either side of 0, with one draw added, so
    that it is never 0.
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    smaller = min((draws <= 0).sum(), (draws >= 0).sum())
    p = min(1.0, 2 * (smaller + 1) / (len(draws) + 1))
    return Comparison(float(estimate), float(low), float(high), float(p), "paired bootstrap")


def paired_bootstrap(
    label: Any,
    first: Any,
    second: Any,
    generator: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Comparison:
    """Difference of two areas by drawing the same exams for both, within each class.

    Parameters as for `paired_delong`; `generator` is the only source of randomness. For many
    models at once use `bootstrap_counts` and `bootstrap_auc`.
    """
    positive, columns = two_models(label, first, second)
    areas = bootstrap_auc(positive, columns, np.ones((1, len(positive))))[0]
    counts = bootstrap_counts(positive, draws, generator)
    drawn = bootstrap_auc(positive, columns, counts)
    return from_draws(areas[0] - areas[1], drawn[:, 0] - drawn[:, 1], level)
