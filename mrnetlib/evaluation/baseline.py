"""What brightness alone says: a baseline without a network, which every network must beat.

Ten numbers describe how bright the slices of one plane of an exam are, without a word about where
in the picture; a logistic regression per plane and task makes a probability of them. An AUC well
above one half says that a lesion shows in the histogram of the grey values: a network with a high
AUC on such exams has not shown that it sees a knee.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mrnetlib.evaluation import roc
from mrnetlib.exams.banks import ExamBank, bank_path
from mrnetlib.files import InputError

PERCENTILES = (50.0, 90.0, 99.0, 99.9)

#: Grey values above which a pixel is bright, and very bright, of at most 255.
BRIGHT = (200, 240)

STATISTICS = (
    "mean",
    "standard deviation",
    *(f"percentile {percentile:g}" for percentile in PERCENTILES),
    "brightest slice's mean",
    "brightest slice's percentile 99",
    *(f"share above {value}" for value in BRIGHT),
)

#: Inverse strength of the regression's L2 penalty, scikit-learn's usual one: few numbers, which are
#: standardized, need no stronger one.
C = 1.0

COLUMNS = ["plane", "task", "auc"]


def _percentile(counts: np.ndarray, percentile: float) -> np.ndarray:
    """The grey value up to which that share of pixels lies; counts (..., 256) -> (...)."""
    share = counts.cumsum(axis=-1) / counts.sum(axis=-1, keepdims=True)
    return (share >= percentile / 100 - 1e-12).argmax(axis=-1)


def brightness(slices: np.ndarray) -> np.ndarray:
    """The `STATISTICS` of one exam's plane.

    Parameters
    ----------
    slices : uint8 (S, H, W).

    Returns
    -------
    (10,) float64: grey values 0..255, the last two shares 0..1.
    """
    values = np.arange(256)
    counts = np.stack([np.bincount(one.ravel(), minlength=256) for one in slices])  # (S, 256)
    means = counts @ values / counts.sum(axis=1)
    whole = counts.sum(axis=0)
    mean = float(np.average(values, weights=whole))
    return np.array(
        [
            mean,
            np.sqrt(np.average((values - mean) ** 2, weights=whole)),
            *(_percentile(whole, percentile) for percentile in PERCENTILES),
            means.max(),
            _percentile(counts, 99.0).max(),
            *(whole[value + 1 :].sum() / whole.sum() for value in BRIGHT),
        ]
    )


def regression() -> Pipeline:
    """The regression on `brightness`, not yet fitted: standardized, both classes weigh the same."""
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=C, class_weight="balanced", max_iter=1000)
    )


def measure(folder: Path, planes: Iterable[str], tasks: Iterable[str]) -> pd.DataFrame:
    """The AUC that brightness alone reaches on the test exams, for each plane and task.

    The statistics are standardized, and the `regression` is fitted, on the training exams.

    Parameters
    ----------
    folder : of the banks.

    Returns
    -------
    DataFrame with the columns plane, task, auc (0..1), a row per plane and task.

    Raises
    ------
    InputError
        Where the training or test exams have one label of a task only; the bank is named.
    """
    tasks, rows = list(tasks), []
    for plane in planes:
        opened = {split: ExamBank.open(folder, split, plane) for split in ("train", "test")}
        numbers = {
            split: np.stack([brightness(bank.exam(place).numpy()) for place in range(len(bank))])
            for split, bank in opened.items()
        }
        for task in tasks:
            label = {split: _labels(folder, bank, task) for split, bank in opened.items()}
            fitted = regression().fit(numbers["train"], label["train"])
            probability = fitted.predict_proba(numbers["test"])[:, 1]
            rows.append((plane, task, roc.auc(label["test"], probability)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _labels(folder: Path, bank: ExamBank, task: str) -> np.ndarray:
    """The bank's labels of a task, (E,) of 0 and 1, both of them there."""
    labels = bank.labels[task].to_numpy()
    if len(set(labels)) < 2:
        raise InputError(
            f"{bank_path(folder, bank.split, bank.plane)}: all {len(labels)} exams have the label "
            f"{labels[0]} for {task}, expected both labels. Use more exams, or leave {task} out."
        )
    return labels
