"""Which of the training exams are used, where not all are: drawn from a seed, as like as can be."""

import numpy as np
import pandas as pd

from mrnetlib.names import TASKS


def _shuffled(labels: pd.DataFrame, seed: int) -> list[np.ndarray]:
    """Indices of the exams of each label combination, in an order drawn from the seed.

    All tasks count, so that the exams are the same for every task, plane and architecture.
    """
    generator = np.random.default_rng([seed, 6])
    groups = labels.reset_index(drop=True).groupby(list(TASKS), sort=True)
    return [generator.permutation(group.index.to_numpy()) for _, group in groups]


def subset(labels: pd.DataFrame, count: int, seed: int) -> np.ndarray:
    """Indices of so many of the exams, ascending, stratified by label combination.

    Of one seed, a smaller subset lies within every larger one.

    Parameters
    ----------
    labels : (E rows), a column of 0 and 1 per task.
    count : of all that there are at most.
    """
    place = np.empty(len(labels))
    for members in _shuffled(labels, seed):
        # A combination's first exam comes when half of its share is due.
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    first = np.argsort(place, kind="stable")[: max(1, count)]
    return np.sort(first)


def folds(labels: pd.DataFrame, count: int, seed: int) -> np.ndarray:
    """The fold of each training exam, (E,) int from 0 to count - 1, stratified as `subset`."""
    fold = np.empty(len(labels), int)
    fold[np.concatenate(_shuffled(labels, seed))] = np.arange(len(labels)) % count
    return fold
