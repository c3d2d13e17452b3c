"""The exercises of notebook 09, as its first cell stands: the study's start, one plane and task.

The fifth reads the trainings that the student has kept, the last what ``make lab-results`` files.
"""

import functools
from typing import Any

import numpy as np
import torch

from mrnetlib.evaluation.roc import auc
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError
from mrnetlib.settings import augmentations
from mrnetlib.study import Study
from mrnetlib.teaching import lab, looking
from mrnetlib.teaching.answers import Exercise, choice, number, numbers, table_of
from mrnetlib.teaching.networks import network_of
from mrnetlib.training import blocks, devices, recipe
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.starting import probe_head, starting_backbone, starting_network

#: What the notebook is about; a study without it uses its first.
NETWORK = ("alexnet", "axial", "acl")

#: The two trainings of 09-5, by their names as cases.
WITH, WITHOUT = "with", "without"


def case(study: Study, way: str) -> lab.Case:
    """One of the two trainings of 09-5: the last block on 12 exams, 6 epochs."""
    changes: dict[str, Any] = {"freeze": "early", "head": "probe"}
    if way == WITHOUT:
        changes |= dict.fromkeys(augmentations(), 0.0)
    return lab.Case(
        way, tuple(changes.items()), 12, 6, study.settings.seed, *network_of(study, NETWORK)
    )


@functools.lru_cache(maxsize=1)
def _start(study: Study) -> torch.nn.Module:
    device = devices.use_machine(study.settings)
    return recipe.starting_point(study, network_of(study, NETWORK)[0], device)


def _learned(answer: Any, study: Study) -> str | None:
    backbone = starting_backbone(network_of(study, NETWORK)[0], "none")
    network = ExamNetwork(backbone, mean=0, std=1)
    blocks.freeze(network, "early")
    truth = sum(one.numel() for one in network.parameters() if one.requires_grad)
    hint = "Weights and biases of the last block and of the head, whose requires_grad is left."
    return number(answer, truth, 0, hint)


def _of_twenty(answer: Any, study: Study) -> str | None:
    _, plane, task = network_of(study, NETWORK)
    said = lab.probes(study, _start(study), plane, task, [20], [study.settings.seed])
    tuning = said[said["split"] == "tune"]
    hint = "Fitted on the 20 exams that recipe.chosen says, judged on the tuning exams, no others."
    reason = number(answer, auc(tuning["label"], tuning["probability"]), 1e-3, hint)
    if reason and number(answer, _of_first(study, 20), 1e-3, "") is None:
        call = "recipe.chosen(train, settings.changed(this.settings.of_seed(first), exams=20))"
        return f"these are the first rows in their order; those of the seed are {call}."
    return reason


def _of_first(study: Study, count: int) -> float:
    """The tuning AUC of a probe on the first rows; NaN where these have one label only."""
    _, plane, task = network_of(study, NETWORK)
    network, features = lab.cached_features(study, _start(study), plane)
    train, tune = (ExamBank.open(study.banks, split, plane) for split in ("train", "tune"))
    labels = train.labels[task].to_numpy()[:count]
    if len(set(labels)) < 2:
        return float("nan")
    probe_head(network, features["train"][:count], labels)
    with torch.inference_mode():
        values = torch.from_numpy(features["tune"]).to(network.head.weight)
        said = network.head(values).squeeze(1).double().sigmoid().cpu().numpy()
    return auc(tune.labels[task].to_numpy(), said)


def _by_hand(answer: Any, study: Study) -> str | None:
    truth = auc(np.array([0, 0, 1, 1]), np.array([0.2, 0.6, 0.6, 0.9]))
    hint = "There are four pairs. What does the formula give for the one that ties?"
    return number(answer, truth, 1e-6, hint)


def _winner(answer: Any, study: Study) -> str | None:
    _, plane, task = network_of(study, NETWORK)
    bank, backbone = ExamBank.open(study.banks, "train", plane), _start(study)
    network = starting_network(backbone, bank, study.settings.seed)
    slices = bank.exam(int(bank.labels[task].to_numpy().argmax())).unsqueeze(1)
    won = looking.winners(network, slices.to(network.mean.device))
    hints = (
        "Slices are counted from 0. Look at the features won, not at the gradient.",
        "Count the slices whose share of the gradient through the maximum is not zero.",
    )
    return numbers(answer, (int(won.won.argmax()), int((won.maximum > 0).sum())), 0, hints)


def _harder_to_learn(answer: Any, study: Study) -> str | None:
    last = {}
    for way in (WITH, WITHOUT):
        one = case(study, way)
        path = study.data / lab.FOLDER / f"{one.name}.json"
        if not path.is_file():
            raise InputError(f"{path}: not found. Train the case '{way}' of the exercise first.")
        history = lab.train(study, one)["history"]
        last[way] = history["train_loss"][-1], min(history["tune_loss"])
    if not isinstance(answer, list | tuple) or len(answer) != 2:
        return f"expected two of the words in brackets, found {type(answer).__name__}."
    hints = (
        "The first word: compare the training losses of the last epoch.",
        "The second word: compare the lowest tuning losses, for the best epoch is kept.",
    )
    for place, hint in enumerate(hints):
        right = min(last, key=lambda way, place=place: last[way][place])
        if reason := choice(answer[place], right, list(last), hint):
            return reason
    return None


def _closes_the_gap(answer: Any, study: Study) -> str | None:
    table = table_of(study.results / lab.FOLDER / "summary.csv", "'make lab-results'")
    wide = table.pivot(index="train_exams", columns="way", values="auc")[
        ["all", "scratch"]
    ].dropna()
    enough = wide.index[wide["all"] >= wide["scratch"].iloc[-1]]
    truth = int(enough.min()) if len(enough) else 0
    hint = "Compare with the scratch row of the most exams; its own number of exams counts, too."
    return number(answer, truth, 0, hint)


EXERCISES = {
    "09-1": Exercise("a number of weights", _learned),
    "09-2": Exercise("an AUC, 0 to 1, to three decimals", _of_twenty),
    "09-3": Exercise("a number, 0 to 1; two decimals are enough", _by_hand),
    "09-4": Exercise("two numbers, as in (0, 5)", _winner),
    "09-5": Exercise('two words of "with" and "without", as in ("with", "with")', _harder_to_learn),
    "09-6": Exercise("a number of exams, 0 for none", _closes_the_gap),
}
