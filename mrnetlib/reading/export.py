"""A study's trained networks written as files that people can carry, see `mrnetlib.reading.models`.

``python -m mrnetlib export ARCHITECTURE SEED --study NAME`` writes
``data/<study>/results/models/<architecture>/<seed>/``, from the checkpoints, the banks and the
predictions. Weights are kept in half precision where that does not move a network's AUC, which is
checked as they are written.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from tqdm.auto import tqdm

from mrnetlib import fusion
from mrnetlib.chain.keep import replaced
from mrnetlib.evaluation.predictions import read_history, read_predictions
from mrnetlib.evaluation.roc import auc
from mrnetlib.exams import intake, layout
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError, sha256, write_csv, write_json, written_whole
from mrnetlib.names import SPLITS, checkpoint_path, history_path
from mrnetlib.provenance import commit, versions
from mrnetlib.reading import distances
from mrnetlib.reading.card import card
from mrnetlib.reading.models import (
    CARD,
    LANDMARKS,
    MODEL,
    TEST,
    TRAINING,
    load_network,
    network_file,
    network_of,
    save_network,
    seal,
)
from mrnetlib.reading.support import joined
from mrnetlib.study import Study
from mrnetlib.training import devices
from mrnetlib.training.checkpoints import load_checkpoint
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.predict import exam_features, predict

#: Half precision may move a network's AUC by this much on the tuning exams.
ROUNDING = 0.01


def folder_of(study: Study, architecture: str, seed: int) -> Path:
    """Where the networks of an architecture and seed are written."""
    return study.results / "models" / architecture / str(seed)


def export(study: Study, architecture: str, seed: int) -> Path:
    """Write the models of an architecture and seed, whole or not at all; gives their folder.

    Raises
    ------
    InputError
        Where the study has no such networks, and where a checkpoint is missing or is not of the
        training that made the predictions.
    """
    settings = study.settings
    if architecture not in settings.architectures or seed not in settings.seeds_of(architecture):
        raise InputError(
            f"study {study.name}: trains no {architecture} with seed {seed}; its architectures are "
            f"{', '.join(settings.architectures)}, and its first seed is {settings.seed}."
        )
    devices.use_machine(settings)
    predictions = read_predictions(study.results, [architecture], settings.planes, settings.tasks)
    own = predictions[predictions["seed"] == seed]
    with replaced(folder_of(study, architecture, seed)) as folder:
        _write_member(study, architecture, seed, own, folder)
    return folder_of(study, architecture, seed)


def _write_member(
    study: Study,
    architecture: str,
    seed: int,
    predictions: pd.DataFrame,
    folder: Path,
) -> None:
    settings, device = study.settings, devices.choose_device(study.settings.device)
    banks = {
        (plane, split): ExamBank.open(study.banks, split, plane)
        for plane in settings.planes
        for split in SPLITS
    }
    test, features, checks = [], {}, {}
    for plane in settings.planes:
        for task in settings.tasks:
            trained = _trained(study, architecture, plane, task, seed).to(device)
            tune, held = banks[plane, "tune"], banks[plane, "test"]
            of_network = predictions.query("plane == @plane and task == @task")
            network, check = _written(
                folder / network_file(plane, task), trained, task, tune, architecture
            )
            found = predict(network, held)
            kept = of_network.set_index("exam").loc[held.exams, "probability"].to_numpy()
            truth = held.labels[task].to_numpy()
            check["auc_from_results"] = abs(float(auc(truth, kept) - auc(truth, found)))
            checks[f"{plane} {task}"] = check
            test.append(_test_rows(held, plane, task, found))
            if task == settings.tasks[0]:
                features[plane] = exam_features(network, banks[plane, "train"])
    write_csv(folder / TEST, pd.concat(test, ignore_index=True))
    norms = _norms(study, banks, features)
    with written_whole(folder / TRAINING) as temporary:
        save_file(distances.to_arrays(norms), temporary)
    if settings.standardize:
        shutil.copyfile(study.data / "landmarks.json", folder / LANDMARKS)
    model = describe(study, architecture, seed, predictions, norms, checks)
    model["test_exams"] = hashlib.sha256("".join(sorted(_digests(held))).encode()).hexdigest()
    write_json(folder / MODEL, model)
    with written_whole(folder / CARD) as temporary:
        temporary.write_text(card(study, architecture, model), encoding="utf-8", newline="\n")
    seal(folder)


def _written(
    path: Path, trained: ExamNetwork, task: str, tune: ExamBank, architecture: str
) -> tuple[ExamNetwork, dict[str, Any]]:
    """Write a network, in half precision where its AUC does not move by more than `ROUNDING`.

    Returns the network as it is read back, and what was checked.
    """
    truth, exact = tune.labels[task].to_numpy(), predict(trained, tune)
    for weights, dtype in (("half", torch.float16), ("single", torch.float32)):
        save_network(path, trained, dtype)
        network = load_network(path, architecture).to(trained.mean.device)
        found = predict(network, tune)
        moved = abs(float(auc(truth, found) - auc(truth, exact)))
        check = {"weights": weights, "auc_moved": moved}
        check["probability_moved"] = float(np.abs(found - exact).max())
        if moved <= ROUNDING:
            break
    return network, check


def _trained(study: Study, architecture: str, plane: str, task: str, seed: int) -> ExamNetwork:
    """The network that a checkpoint keeps.

    Raises
    ------
    InputError
        Where the checkpoint is missing, or its epochs are not those that the results tell of.
    """
    path = checkpoint_path(study.data, architecture, plane, task, seed)
    checkpoint = load_checkpoint(path)
    history = read_history(study.results, architecture, plane, task)
    told = history.loc[history["seed"] == seed, "train_loss"].to_numpy()
    own = np.array([row["train_loss"] for row in checkpoint["rows"]])
    if len(own) != len(told) or not np.allclose(own, told, rtol=1e-9):
        results = history_path(study.results, architecture, plane, task)
        raise InputError(
            f"{path}: of another training than {results}, whose epochs had other losses. Run the "
            "training again."
        )
    return network_of(checkpoint["best"], architecture)


def _digests(bank: ExamBank) -> list[str]:
    """Digests of the exams' numbers, by which test exams are ordered: so that no row names one."""
    return [hashlib.sha256(exam.encode()).hexdigest() for exam in bank.exams]


def _test_rows(bank: ExamBank, plane: str, task: str, probability: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"task": task, "plane": plane, "label": bank.labels[task].to_numpy()})
    table["probability"] = probability.round(6)
    table = table.iloc[np.argsort(_digests(bank))].reset_index(drop=True)
    return table.rename_axis("row").reset_index()


def describe(
    study: Study,
    architecture: str,
    seed: int,
    predictions: pd.DataFrame,
    norms: dict[str, distances.Norm],
    checks: dict[str, Any],
) -> dict[str, Any]:
    """What ``model.json`` says: settings, fusion, limits, checks, where the numbers are from."""
    settings = study.settings
    white = None
    if settings.standardize:
        standard = sha256(study.data / "landmarks.json")
    else:
        training = _inventory(study).query("split == 'train'")["exam"]
        white = {
            plane: intake.white_level(_raw(study, exam, plane) for exam in training)
            for plane in settings.planes
        }
        standard = repr(white)
    return {
        "study": study.name,
        "data": settings.description,
        "synthetic": settings.data == "phantom",
        "architecture": architecture,
        "seed": seed,
        "planes": list(settings.planes),
        "tasks": list(settings.tasks),
        "image_size": settings.image_size,
        "standard": standard,
        "white": white,
        "fitted_on": settings.fuse_on,
        "fusion": {task: _regressions(study, predictions, task) for task in settings.tasks},
        "limits": {plane: norm.limits for plane, norm in norms.items()},
        "training_exams": int((_inventory(study)["split"] == "train").sum()),
        "checks": checks,
        "settings": asdict(replace(settings, exams_folder=None)),
        "versions": versions(),
        **commit(study.root),
    }


def _regressions(study: Study, predictions: pd.DataFrame, task: str) -> dict[str, dict]:
    """The fusion's coefficients of every two or more planes, by the planes' names."""
    found, planes = {}, study.settings.planes
    own = predictions[predictions["task"] == task]
    for count in range(2, len(planes) + 1):
        for some in combinations(planes, count):
            regression = fusion.fit(fusion.by_plane(own, some), study.settings.fuse_on)
            found[joined(some)] = fusion.coefficients(regression, some)
    return found


def _inventory(study: Study) -> pd.DataFrame:
    return intake.read_inventory(study.data / "exams.csv")


def _raw(study: Study, exam: str, plane: str) -> np.ndarray:
    return layout.read_volume(layout.volume_path(study.exams, "train", plane, exam))


def _training_exams(study: Study) -> Iterator[dict[str, tuple]]:
    """Per training exam and plane: percentiles of its raw values, and how it lay in the scanner."""
    report = study.exams / "dicom_report.csv"
    places = {}
    if report.is_file():
        table = pd.read_csv(report, dtype={"exam": str}).query("decision == 'taken'")
        for row in table.itertuples():
            field = max(row.rows * row.row_mm, row.columns * row.column_mm)
            places[row.exam, row.plane] = row.degrees_oblique, field
    training = _inventory(study).query("split == 'train'")["exam"]
    for exam in tqdm(training, "training exams", leave=False):
        yield {
            plane: (
                distances.stretched(_raw(study, exam, plane)),
                *places.get((exam, plane), (np.nan, np.nan)),
            )
            for plane in study.settings.planes
        }


def _norms(
    study: Study,
    banks: dict[tuple[str, str], ExamBank],
    features: dict[str, np.ndarray],
) -> dict[str, distances.Norm]:
    norms, exams = {}, list(_training_exams(study))
    for plane in study.settings.planes:
        bank, measured = banks[plane, "train"], []
        for index, exam in enumerate(exams):
            grey, oblique, field = exam[plane]
            slices = bank.exam(index).numpy()
            parts = len(slices), grey, distances.picture(slices), oblique, field
            measured.append(distances.Measured(*parts, features[plane][index]))
        norms[plane] = distances.learn(measured)
    return norms
