"""The trainings of notebook 09: one network, many ways to train it, on few and on many exams.

A way is some settings of the study changed. A finished training is kept in ``data/<study>/lab``,
a running one's state, too, so that a lab which was stopped goes on, and one that is run again with
one way more trains that alone.
"""

import functools
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mrnetlib.evaluation.rows import Model, Row
from mrnetlib.evaluation.table1 import compare, interval
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError, code_digest, read_json, write_json
from mrnetlib.names import SPLITS
from mrnetlib.parallel import each
from mrnetlib.settings import Settings, changed, values_of
from mrnetlib.study import Study, load
from mrnetlib.training import checkpoints, recipe
from mrnetlib.training.checkpoints import fingerprint
from mrnetlib.training.devices import arithmetic, use_machine
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.predict import exam_features
from mrnetlib.training.starting import probe_head, starting_network

#: SHA-256 of what trains the lab's networks, beside that of the training itself.
CODE = code_digest(Path(__file__))

#: Fewest epochs, and how many times as many a small number of exams may be shown.
LEAST_EPOCHS, MOST_TIMES = 4, 2

#: The folder within a study's, and within its results.
FOLDER = "lab"


@dataclass(frozen=True)
class Case:
    """One training: a way with a name, the settings that it changes, exams, epochs and a seed."""

    way: str
    changes: tuple[tuple[str, Any], ...]
    exams: int
    epochs: int
    seed: int
    architecture: str = "alexnet"
    plane: str = "axial"
    task: str = "acl"

    @property
    def name(self) -> str:
        """For files, as in ``alexnet_axial_acl_scratch_40_2020``."""
        words = self.architecture, self.plane, self.task, self.way, self.exams, self.seed
        return "_".join(map(str, words))

    def settings(self, study: Study) -> Settings:
        """The study's settings with those of the way; all epochs are trained, the best is kept."""
        own = {"exams": self.exams, "epochs": self.epochs, "patience": self.epochs}
        return changed(study.settings.of_seed(self.seed), **own | dict(self.changes))


def epochs_of(exams: int, few: int, epochs: int) -> int:
    """So many epochs that about as many exams are shown as in `epochs` of `few` exams.

    Otherwise a curve over the number of exams would be one over the length of the training. Very
    few exams are shown twice as often at most, for they are soon known by heart.
    """
    return int(np.clip(round(epochs * few / exams), LEAST_EPOCHS, MOST_TIMES * epochs))


@functools.lru_cache(maxsize=4)
def _banks(study: Study, plane: str) -> dict[str, ExamBank]:
    return {split: ExamBank.open(study.banks, split, plane) for split in SPLITS}


@functools.lru_cache(maxsize=2)
def _start(
    study: Study, architecture: str, weights: str, seed: int
) -> tuple[torch.nn.Module, str, torch.device]:
    device = use_machine(study.settings)
    backbone = recipe.starting_point(study, architecture, device, weights, seed)
    return backbone, fingerprint(backbone), device


def prepare(study: Study, case: Case) -> ExamNetwork:
    """A case's network before its training, as `train` begins."""
    settings, banks = case.settings(study), _banks(study, case.plane)
    backbone, *_ = _start(study, case.architecture, settings.weights, case.seed)
    return recipe.start(backbone, case.architecture, case.task, banks["train"], settings)


def train(study: Study, case: Case, progress: bool = False) -> dict[str, Any]:
    """A case's curve and predictions, kept from before or trained now.

    Returns
    -------
    dict with ``history``, as `mrnetlib.training.finetune.fit` gives it, and ``predictions`` of the
    tuning and test exams, both as lists by column.

    Raises
    ------
    InputError
        Where the exams drawn have one label only, and as `mrnetlib.training.recipe`.
    """
    path = study.data / FOLDER / f"{case.name}.json"
    settings, banks = case.settings(study), _banks(study, case.plane)
    _, start, device = _start(study, case.architecture, settings.weights, case.seed)
    parts = {
        "code": [checkpoints.CODE, CODE],
        **arithmetic(settings.precision, device),
        "settings": values_of(settings, "training"),
        "exams": [bank.digest() for bank in banks.values()],
        "start": start,
    }
    identity = hashlib.sha256(repr(parts).encode()).hexdigest()
    if path.is_file() and (kept := read_json(path))["identity"] == identity:
        return kept
    predicted = {split: banks[split] for split in ("tune", "test")}
    how = {"checkpoint": path.with_suffix(".pt"), "progress": progress, "save_every": 60}
    network = prepare(study, case)
    try:
        words = network, case.task, banks, settings, predicted
        history, predictions = recipe.train(*words, **how)
    except InputError as error:
        raise InputError(f"{case.way}, {case.exams} exams, seed {case.seed}: {error}") from None
    content = {"identity": identity, "history": history.to_dict("list")}
    content["predictions"] = predictions.to_dict("list")
    write_json(path, content)
    path.with_suffix(".pt").unlink(missing_ok=True)
    return content


def _work(task: tuple[str, Path, dict, Case]) -> dict[str, Any]:
    """What a worker process does; a study is loaded there, for it may hold a lock or a map."""
    name, root, own, case = task
    study = load(name, root)
    return train(replace(study, settings=changed(study.settings, **own)), case)


def run(
    study: Study, cases: Iterable[Case], workers: int | None = None, **own: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train all cases, as many at a time as there are cores, or take what is kept of them.

    Parameters
    ----------
    own : settings of the study that are changed for all.

    Returns
    -------
    The curves and the predictions of the tuning and test exams, with the columns way, exams and
    seed before those of `train`.
    """
    cases = list(cases)
    study = replace(study, settings=changed(study.settings, **own))
    for weights in dict.fromkeys(case.settings(study).weights for case in cases):
        if weights != "none":  # made once, before several processes want it
            _start(study, cases[0].architecture, weights, study.settings.seed)
    tasks = [(study.name, study.root, own, case) for case in cases]
    label = None if "MRNETLIB_QUIET" in os.environ else "trainings"
    results = list(each(_work, tasks, workers, label))
    tables = []
    for kind in ("history", "predictions"):
        parts = [
            pd.DataFrame(result[kind]).assign(way=case.way, exams=case.exams, seed=case.seed)
            for case, result in zip(cases, results, strict=True)
        ]
        table = pd.concat(parts, ignore_index=True)
        first = ["way", "exams", "seed"]
        tables.append(table[[*first, *(name for name in table if name not in first)]])
    return tables[0], tables[1]


def cached_features(
    study: Study, backbone: torch.nn.Module, plane: str
) -> tuple[ExamNetwork, dict[str, np.ndarray]]:
    """A network with a fresh head, and what its backbone makes of all exams, (E, F) by split.

    Of a frozen backbone they never change: computed once, they serve every number of exams.
    """
    banks = _banks(study, plane)
    network = starting_network(backbone, banks["train"], study.settings.seed)
    precision = study.settings.precision
    return network, {s: exam_features(network, bank, precision) for s, bank in banks.items()}


def probes(
    study: Study,
    backbone: torch.nn.Module,
    plane: str,
    task: str,
    sizes: Iterable[int],
    seeds: Iterable[int],
    way: str = "probe",
) -> pd.DataFrame:
    """Predictions of linear probes for every number of exams and seed, as `run` gives them."""
    banks = _banks(study, plane)
    network, features = cached_features(study, backbone, plane)
    labels, parts = banks["train"].labels[task].to_numpy(), []
    for exams in sizes:
        for seed in seeds:
            settings = changed(study.settings.of_seed(seed), exams=exams)
            chosen = recipe.chosen(banks["train"], settings)
            probe_head(network, features["train"][chosen], labels[chosen])
            for split in ("tune", "test"):
                parts.append(_said(network, features[split], banks[split], task))
                parts[-1] = parts[-1].assign(way=way, exams=exams, seed=seed)
    return pd.concat(parts, ignore_index=True)


def _said(network: ExamNetwork, features: np.ndarray, bank: ExamBank, task: str) -> pd.DataFrame:
    """What a head says of cached features, as `mrnetlib.training.predict.predict_all`."""
    values = torch.from_numpy(features).to(network.head.weight)
    with torch.inference_mode():
        probability = network.head(values).squeeze(1).double().sigmoid().cpu().numpy()
    words = {"exam": bank.exams, "split": bank.split, "label": bank.labels[task].to_numpy()}
    return pd.DataFrame(words | {"probability": probability})


def _row(predictions: pd.DataFrame, way: str, exams: int) -> Row:
    """The test exams' probabilities of one way and number of exams, all seeds, as a table's row."""
    own = predictions[(predictions["way"] == way) & (predictions["exams"] == exams)]
    wide = own[own["split"] == "test"].pivot(
        index=["exam", "label"], columns="seed", values="probability"
    )
    label = wide.index.get_level_values("label").to_numpy()
    return Row(way, "single", str(exams), [Model(label, wide.to_numpy(), "lab")])


def measured(predictions: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """The AUC on the test exams by way and number of exams, mean over the seeds.

    Returns
    -------
    DataFrame with the columns way, train_exams, seeds, auc, auc_low, auc_high; the limits cover
    test exams and seeds, of which each draws its own training exams.
    """
    rows = []
    for (way, exams), group in predictions.groupby(["way", "exams"], sort=False):
        found = interval(_row(predictions, way, exams), "auc", level)
        rows.append((way, exams, group["seed"].nunique(), *found[:3]))
    columns = ["way", "train_exams", "seeds", "auc", "auc_low", "auc_high"]
    return pd.DataFrame(rows, columns=columns)


def compared(
    predictions: pd.DataFrame,
    pairs: Iterable[tuple[tuple[str, int], tuple[str, int]]],
    level: float = 0.95,
) -> pd.DataFrame:
    """Differences in AUC between ways on numbers of exams, paired by test exam and seed.

    Returns
    -------
    DataFrame with the columns claim, difference (-1..1), low, high, p.
    """
    rows = []
    for first, second in pairs:
        found = compare(_row(predictions, *first), _row(predictions, *second), "auc", level)
        claim = "{} on {} exams - {} on {}".format(*first, *second)
        rows.append((claim, found.difference, found.low, found.high, found.p))
    return pd.DataFrame(rows, columns=["claim", "difference", "low", "high", "p"])
