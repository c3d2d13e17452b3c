"""MRNet-v1.0's exact layout at full size: what a researcher with the data runs first.

Only the number of exams is small (24 + 8). One epoch of one of the 27 networks is trained, with
the settings of studies/mrnet.yaml; ImageNet weights are a download and are left out.
"""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import COMBINATIONS

from mrnetlib.exams import banks, check, intake, intensity, layout, mrnet
from mrnetlib.exams.banks import ExamBank
from mrnetlib.names import PLANES, SPLITS, TASKS
from mrnetlib.settings import changed
from mrnetlib.study import Study, load
from mrnetlib.training import finetune, predict
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.starting import starting_backbone

ROOT = Path(__file__).resolve().parent.parent
PLANE, TASK = "sagittal", "acl"


def slice_counts(split, plane, count):
    """Slices of each exam, from MRNet's fewest over its median to its most."""
    least, median, most, _ = mrnet.SLICES[split][plane]
    return np.interp(np.linspace(0, 1, count), [0, 0.5, 1], [least, median, most]).round()


@pytest.fixture(scope="module")
def mrnet_like(tmp_path_factory):
    """Noisy knees (a bright disc) numbered as in MRNet: train 0000 on, valid 1130 on."""
    folder = tmp_path_factory.mktemp("mrnet")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    knee = np.where(x**2 + y**2 < 0.7, 120, 0)
    noise = rng.integers(0, 40, (64, 256, 256), dtype=np.uint8)
    for split, first, count in (("train", 0, 24), ("valid", 1130, 8)):
        names = [f"{first + i:04d}" for i in range(count)]
        labels = [COMBINATIONS[i % len(COMBINATIONS)] for i in range(count)]
        for task, column in zip(TASKS, zip(*labels, strict=True), strict=True):
            lines = [f"{name},{label}\n" for name, label in zip(names, column, strict=True)]
            (folder / f"{split}-{task}.csv").write_text("".join(lines))
        for plane in PLANES:
            (folder / split / plane).mkdir(parents=True)
            counts = slice_counts(split, plane, count).astype(int)
            for name, slices in zip(names, rng.permutation(counts), strict=True):
                gain = rng.uniform(0.6, 1.2)
                volume = (gain * knee).astype(np.uint8) + noise[:slices]
                np.save(folder / split / plane / f"{name}.npy", volume)
    yield folder
    shutil.rmtree(folder)  # 200 MB


def test_check_passes_and_counts_what_is_there(mrnet_like, capsys):
    assert check.main(mrnet_like) == 0
    out = capsys.readouterr().out
    lines = {line[:32].strip(): line[32:].split() for line in out.splitlines()}
    assert lines["train  exams"] == ["24", "1,130", "*"]
    for split, planes in mrnet.SLICES.items():
        for plane, (least, _, most, _) in planes.items():
            assert lines[f"{split:6} {plane} slices, min"] == [str(least), str(least)]
            assert lines[f"{split:6} {plane} slices, max"] == [str(most), str(most)]


@pytest.fixture
def all_threads():
    """As many threads as torch takes by itself: half a minute on two cores is enough."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


def test_one_epoch_of_the_study_mrnet(mrnet_like, tmp_path, all_threads):
    settings = dataclasses.replace(load("mrnet", ROOT).settings, exams_folder=str(mrnet_like))
    study = Study("mrnet", settings, tmp_path)
    inventory = intake.take_inventory(study.exams, settings.tune_fraction, settings.seed, False)
    assert inventory["split"].value_counts().to_dict() == {"train": 22, "test": 8, "tune": 2}

    def volumes(split):
        for exam in inventory.loc[inventory["split"] == split, "exam"]:
            yield layout.read_volume(layout.volume_path(study.exams, split, PLANE, exam))

    landmarks = intensity.learn(volumes("train"))
    for split in SPLITS:
        rows = inventory[inventory["split"] == split]
        standardized = (intensity.apply(volume, landmarks) for volume in volumes(split))
        banks.write_bank(study.banks, split, PLANE, rows, standardized)
    opened = {split: ExamBank.open(study.banks, split, PLANE) for split in SPLITS}
    train = opened["train"]
    assert train.slices.shape[1:] == (256, 256)

    # So few exams may leave one class to the tuning exams, which AUC cannot be asked of.
    tune = opened["tune"]
    tune.labels[TASK] = [0, 1]
    training = changed(study.settings, epochs=1)
    network = ExamNetwork(starting_backbone("alexnet", "none"), train.mean, train.std)
    few = train.select([0, *np.flatnonzero(train.labels[TASK] != train.labels[TASK].iloc[0])[:2]])
    history = finetune.fit(network, few, tune, TASK, training, progress=False)
    predictions = predict.predict_all(network, {s: opened[s] for s in ("tune", "test")}, TASK)

    assert history["epoch"].tolist() == [1]
    assert np.isfinite(history["train_loss"]).all()
    assert predictions["probability"].between(0, 1).all()
    test = predictions[predictions["split"] == "test"].set_index("exam")["label"]
    assert test.to_dict() == layout.read_labels(mrnet_like, "test")[TASK].to_dict()
