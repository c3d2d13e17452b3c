"""The exercises of notebook 01: the broken line, the leak, and the area under the curve."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mrnetlib.evaluation import roc
from mrnetlib.exams import intensity, layout
from mrnetlib.exams.intake import read_inventory
from mrnetlib.names import PLANES
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise, choice, function, number

MEDIAN = intensity.PERCENTILES.index(50)


def _broken_line(answer: Any, study: Study) -> str | None:
    generator = np.random.default_rng(0)
    cases = []
    for scale in intensity.load(study.data / "landmarks.json").values():
        own = np.sort(generator.choice(np.arange(20, 900), len(scale.standard), replace=False))
        cases.append(
            (generator.uniform(0, 1000, (3, 5)), own.astype(float), np.array(scale.standard))
        )

    def right(greys: np.ndarray, own: np.ndarray, standard: np.ndarray) -> np.ndarray:
        return np.clip(intensity.map_values(greys, own, standard), 0, intensity.TOP)

    hint = (
        "Each of the exam's own landmarks has to land on the standard one of the same percentile."
    )
    return function(answer, right, cases, hint)


def _darkest_plane(answer: Any, study: Study) -> str | None:
    scales = intensity.load(study.data / "landmarks.json")
    medians = {plane: scale.standard[MEDIAN] for plane, scale in scales.items()}
    hint = "Look for the column of the percentile that half of a knee's pixels lie below."
    return choice(answer, min(medians, key=medians.get), PLANES, hint)


def _leak(answer: Any, study: Study) -> str | None:
    inventory = read_inventory(study.data / "exams.csv")

    def measured(split: str) -> Iterator[np.ndarray]:
        for exam in inventory[inventory["split"] == split]["exam"]:
            path = layout.volume_path(study.exams, split, "sagittal", exam)
            yield intensity.measure(layout.read_volume(path))

    train, test = list(measured("train")), list(measured("test"))
    fair, leaky = intensity.average(train), intensity.average([*train, *test])
    truth = abs(leaky.standard[MEDIAN] - fair.standard[MEDIAN])
    hint = (
        "Average the landmarks of the training exams, then of the training and the test exams "
        "together; the tuning exams are in neither."
    )
    return number(answer, truth, 0.05, hint)


def _share_of_pairs(answer: Any, study: Study) -> str | None:
    generator = np.random.default_rng(1)
    cases = [(generator.integers(0, 9, 7) / 8, generator.integers(0, 7, 5) / 8) for _ in range(5)]

    def right(positive: np.ndarray, negative: np.ndarray) -> float:
        label = np.repeat([1, 0], [len(positive), len(negative)])
        return roc.auc(label, np.concatenate([positive, negative]))

    hint = "Compare every positive exam with every negative one; what is a tie worth?"
    return function(answer, right, cases, hint)


EXERCISES = {
    "01-1": Exercise("a function of three arrays", _broken_line),
    "01-2": Exercise("the name of a plane", _darkest_plane),
    "01-3": Exercise("a number of grey levels, to one decimal", _leak),
    "01-4": Exercise("a function of two arrays", _share_of_pairs),
}
