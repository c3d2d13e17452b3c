"""The exercises of notebook 00: labels, lesions, and what a step reads."""

from typing import Any

import numpy as np

from mrnetlib.evaluation.metrics import MEASURES
from mrnetlib.exams.intake import read_inventory
from mrnetlib.files import InputError
from mrnetlib.names import PLANES
from mrnetlib.phantom.lesions import LESIONS
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise, by_name, chain_and_first, names, numbers


def _rubber_stamp(answer: Any, study: Study) -> str | None:
    inventory = read_inventory(study.data / "exams.csv")
    positive = inventory[inventory["split"] == "train"]["acl"].mean() >= 0.5
    test = inventory[inventory["split"] == "test"]["acl"]
    truth = float(positive), float(not positive), float((test == positive).mean())
    hints = (
        "Sensitivity is the share of the torn ligaments that were found; what does this program "
        "say of every one of them?",
        "Specificity is the share of the whole ligaments that were left in peace.",
        "Accuracy is the share of all test exams that it gets right, whatever their label.",
    )
    return numbers(answer, truth, 0.005, hints)


def _slices_with_the_tear(answer: Any, study: Study) -> str | None:
    inventory = read_inventory(study.data / "exams.csv")
    chosen = inventory.query("split == 'train' and acl == 1 and meniscus == 0")
    if chosen.empty or study.settings.data != "phantom":
        raise InputError("It needs lesion masks, and a training exam with a torn ligament alone.")
    truth = {}
    for plane in PLANES:
        path = study.data / "lesions" / plane / f"{chosen['exam'].iloc[0]}.npy"
        mask = np.load(path, allow_pickle=False)  # (S, H, W)
        truth[plane] = int((mask == LESIONS["ACL tear"]).any(axis=(1, 2)).sum())
    hint = "Count slices, not pixels, and only those that hold the code of an ACL tear."
    return by_name(answer, truth, 0, hint)


def _moved_by_the_mixture(answer: Any, study: Study) -> str | None:
    label = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    probability = np.array([0.1, 0.2, 0.6, 0.7, 0.4, 0.65, 0.8, 0.9])  # half right, three of four
    more = np.concatenate([np.arange(8), np.repeat(np.flatnonzero(label), 3)])
    one, other = (
        {name: measure.estimate(label[i], probability[i]) for name, measure in MEASURES.items()}
        for i in (np.arange(8), more)
    )
    truth = {name for name in MEASURES if abs(one[name] - other[name]) > 1e-9}
    hint = (
        "Which of them is counted within one class only, or in pairs of a positive and a negative?"
    )
    return names(answer, truth, list(MEASURES), hint)


def _done_anew(answer: Any, study: Study) -> str | None:
    wanted = ("phantom_severity", "fuse_on")
    if not isinstance(answer, dict) or set(answer) != set(wanted):
        return f"expected a dict with the keys {', '.join(wanted)}, a list of steps for each."
    for key in wanted:
        chain, first = chain_and_first(key)
        hint = "A step is done anew when it reads the setting, or anything that an anew step made."
        if reason := names(answer[key], chain[first:], chain, hint):
            return f"{key}: {reason}"
    return None


EXERCISES = {
    "00-1": Exercise("three numbers from 0 to 1", _rubber_stamp),
    "00-2": Exercise("a dict with a number of slices for each plane", _slices_with_the_tear),
    "00-3": Exercise(f"a list with some of {', '.join(MEASURES)}", _moved_by_the_mixture),
    "00-4": Exercise("a dict with a list of steps for each of the two settings", _done_anew),
}
