"""The exercises of notebook 02: the maximum over slices, luck, stopping, learning by heart."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.evaluation.metrics import measured
from mrnetlib.evaluation.predictions import read_history, read_predictions
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise, choice, function, number, numbers

#: The network that the exercises look at; a study without it uses its first.
NETWORK = ("alexnet", "sagittal", "acl")


def network_of(study: Study, wanted: tuple[str, str, str] = NETWORK) -> tuple[str, str, str]:
    """The architecture, plane and task that exercises ask about."""
    known = study.settings.architectures, study.settings.planes, study.settings.tasks
    return tuple(
        name if name in names else names[0] for name, names in zip(wanted, known, strict=True)
    )


def _strongest(answer: Any, study: Study) -> str | None:
    generator = np.random.default_rng(0)
    lengths = [[3, 1, 4], [1], [2, 2]]
    cases = [(generator.normal(size=(sum(counts), 6)), counts) for counts in lengths]

    def right(features: np.ndarray, counts: list[int]) -> np.ndarray:
        exams = np.split(features, np.cumsum(counts)[:-1])
        return np.stack([exam.max(axis=0) for exam in exams])

    return function(answer, right, cases, "One row for each exam, made of its own slices alone.")


def _luck(answer: Any, study: Study) -> str | None:
    one = [[name] for name in network_of(study)]
    areas = measured(read_predictions(study.results, *one), ["seed"], "tune")["auc"]
    hint = "Highest minus lowest AUC over the seeds, on the tuning exams only."
    return number(answer, areas.max() - areas.min(), 0.005, hint)


def _kept(answer: Any, study: Study) -> str | None:
    history = read_history(study.results, *network_of(study))
    first = history[history["seed"] == history["seed"].min()].set_index("epoch")
    truth = first["tune_loss"].idxmin(), first["tune_auc"].idxmax()
    hints = (
        "Which column decides which epoch is kept, and is small or large good?",
        "The first epoch at which the AUC on the tuning exams is at its highest.",
    )
    return numbers(answer, truth, 0, hints)


def _by_heart(answer: Any, study: Study) -> str | None:
    architecture = network_of(study)[0]
    known = list(product(study.settings.planes, study.settings.tasks))
    gaps = {}
    for key in known:
        last = read_history(study.results, architecture, *key).groupby("seed").last()
        gaps[key] = float((last["tune_loss"] - last["train_loss"]).mean())
    hint = "Take the last epoch of every seed, tuning minus training loss, and their mean."
    return choice(answer, pd.Series(gaps).idxmax(), known, hint)


EXERCISES = {
    "02-1": Exercise("a function of an array and a list", _strongest),
    "02-2": Exercise("a number", _luck),
    "02-3": Exercise("two epochs, as in (1, 2)", _kept),
    "02-4": Exercise('a plane and a task, as in ("axial", "abnormal")', _by_heart),
}
