"""How much too good a chosen number is: the bootstrap, and the price of choosing a plane."""

from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.evaluation.metrics import best_planes, measured, seeded
from mrnetlib.evaluation.predictions import of_split
from mrnetlib.evaluation.roc import checked
from mrnetlib.files import InputError

KEYS = ["architecture", "task"]


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


def plane_choice(
    predictions: pd.DataFrame, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """What choosing the best plane on the test exams adds to the number that is reported.

    Parameters
    ----------
    predictions : a study's single views, see `mrnetlib.evaluation.predictions`.
    draws, seed : of the bootstrap behind `optimism`.

    Returns
    -------
    DataFrame, a row per architecture: ``chosen_on_tune`` and ``chosen_on_test`` (mean test AUC
    over the tasks), their difference ``inflated_by``, which is never negative and therefore not
    tested, and ``optimism``: by how much an AUC is too high on average when its plane was chosen on
    the same exams, whichever plane it is. In bootstrap samples of the test exams it is the AUC
    there of the plane that is best there, minus the same plane's AUC on the test exams as they are
    (Efron 1983; Harrell 2015). ``draws_low`` and ``draws_high`` hold `level` of the samples.
    """
    areas = measured(predictions, [*KEYS, "plane"])
    chosen = {
        f"chosen_on_{split}": areas.merge(best_planes(predictions, split)[[*KEYS, "plane"]])
        .groupby("architecture", sort=False)["auc"]
        .mean()
        for split in ("tune", "test")
    }
    table = pd.DataFrame(chosen)
    table["inflated_by"] = table["chosen_on_test"] - table["chosen_on_tune"]
    test = of_split(seeded(predictions), "test")
    for architecture, single in test.groupby("architecture", sort=False):
        extra = _optimism(single, draws, np.random.default_rng(seed))
        limits = np.quantile(extra, [(1 - level) / 2, (1 + level) / 2])
        table.loc[architecture, ["optimism", "draws_low", "draws_high"]] = extra.mean(), *limits
    return table.reset_index()


def _optimism(test: pd.DataFrame, draws: int, generator: np.random.Generator) -> np.ndarray:
    """What the chosen plane's AUC is too high by, mean over tasks and seeds, per sample (B,)."""
    labels = test.pivot_table(index="exam", columns="task", values="label", aggfunc="first")
    counts = bootstrap_counts(labels.to_numpy(), draws, generator)
    found = []
    for task, group in test.groupby("task"):
        drawn, whole = [], []  # per plane
        for _, own in group.groupby("plane"):
            seeds = own.pivot(index="exam", columns="seed", values="probability")
            seeds = seeds.loc[labels.index].to_numpy()
            drawn.append(bootstrap_auc(labels[task], seeds, counts).mean(axis=1))
            whole.append(bootstrap_auc(labels[task], seeds, np.ones((1, len(seeds)))).mean())
        drawn = np.column_stack(drawn)  # (B, planes)
        found.append(drawn.max(axis=1) - np.array(whole)[drawn.argmax(axis=1)])
    return np.mean(found, axis=0)
