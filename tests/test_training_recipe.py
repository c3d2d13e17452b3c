"""One recipe: notebook 02, the retraining and the benchmarks train the same network by it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import planted_study, run_notebook, tiny_network

from benchmarks import recipe as benchmark
from mrnetlib import settings
from mrnetlib.evaluation.predictions import COLUMNS, read_history
from mrnetlib.exams import banks as banks_module
from mrnetlib.exams.banks import ExamBank
from mrnetlib.exams.layout import read_volume, volume_path
from mrnetlib.files import InputError, code_digest, write_array
from mrnetlib.names import prediction_path
from mrnetlib.phantom.tissues import CODES
from mrnetlib.settings import Settings
from mrnetlib.training import augment, finetune, recipe
from mrnetlib.training.checkpoints import fingerprint, load_checkpoint
from mrnetlib.training.starting import starting_backbone
from mrnetlib.variants import retrain
from mrnetlib.variants.recipes import Run

SMALL = "shufflenet_v2_x0_5"
FILE = f"""
data: phantom
architectures: [{SMALL}]
choices_architectures: [{SMALL}]
planes: [sagittal, axial]
tasks: [meniscus]
choices_tasks: [meniscus]
weights: pretrained
pretrain_slices: 64
head: probe
image_size: 64
epochs: 2
batch_exams: 8
device: cpu
threads: 1
seed: 3
seeds: 2
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of planted exams: two planes out of order, one architecture, one task."""
    study = planted_study(tmp_path_factory.mktemp("root"), FILE)
    write_tissues(study)
    return study


def write_tissues(study):
    """Name a planted volume's bright pixels for the pretraining, as the phantom's are."""
    for plane in study.settings.planes:
        for exam in ExamBank.open(study.banks, "train", plane).exams:
            volume = read_volume(volume_path(study.exams, "train", plane, exam))
            codes = np.where(volume > volume.mean(), CODES["meniscus"], CODES["fat"])
            write_array(study.tissues / plane / f"{exam}.npy", codes.astype(np.uint8))


def run_training(study, monkeypatch, **parameters):
    """Run notebook 02 in this process; gives its names."""
    parameters = {"architecture": SMALL, "tasks": "meniscus"} | parameters
    return run_notebook(study, "02_per_plane_training", monkeypatch, **parameters)


def predictions_of(study, plane):
    path = prediction_path(study.results, SMALL, plane, "meniscus")
    return pd.read_csv(path, dtype={"exam": str})


def test_notebook_retraining_and_benchmark_train_the_same_network(study, monkeypatch):
    run_training(study, monkeypatch, planes="sagittal, axial")
    made, train = [], recipe.train

    def spy(*words, **how):
        made.append(train(*words, **how))
        return made[-1]

    monkeypatch.setattr(recipe, "train", spy)
    for plane in study.settings.planes:
        wanted = predictions_of(study, plane)
        assert list(wanted.columns) == COLUMNS and wanted["seed"].unique().tolist() == [3, 4]
        histories = read_history(study.results, SMALL, plane, "meniscus")
        unit = retrain.Unit(study, SMALL, plane)
        for seed, own in wanted.groupby("seed"):
            own = own.reset_index(drop=True)
            losses = histories.loc[histories["seed"] == seed, "train_loss"].tolist()
            unit.train(Run("as_is", seed, "meniscus"), study.data / f"{plane}_{seed}.pt")
            history, table = made.pop()
            pd.testing.assert_frame_equal(table, own, check_exact=True)
            assert history["train_loss"].tolist() == losses
            said = benchmark.train(study, SMALL, plane, "meniscus", seed=seed)
            tuned = own[own["split"] == "tune"].reset_index(drop=True)
            history, table = made.pop()
            pd.testing.assert_frame_equal(table, tuned, check_exact=True)
            assert history["train_loss"].tolist() == losses
            assert history.loc[history["best"] == 1, "tune_loss"].item() == said["tune_loss"]
        assert histories.groupby("epoch")["train_loss"].nunique().tolist() == [2, 2], "of its own"


def test_a_trial_files_nothing_and_starts_from_what_it_is_given(study, monkeypatch):
    before = fingerprint(recipe.starting_point(study, SMALL, torch.device("cpu")))
    names = run_training(study, monkeypatch, planes="axial", tasks="acl", weights="none", seed=1)
    assert names["trial"]
    assert not prediction_path(study.results, SMALL, "axial", "acl").exists()
    plain = starting_backbone(SMALL, "none", 1)
    assert fingerprint(names["backbone"]) == fingerprint(plain) != before
    assert (names["training"].seed, names["this"].settings.seed) == (1, 3)
    assert names["used"] == (1, 2)


def test_a_trial_may_be_of_fewer_seeds(study, monkeypatch):
    names = run_training(study, monkeypatch, planes="axial", tasks="acl", seeds=1, epochs=1)
    assert names["trial"] and names["used"] == (3,)
    assert list(names["table"].columns)[-1] == "AUC trained", "nothing to compare seeds with"
    assert not prediction_path(study.results, SMALL, "axial", "acl").exists()


def test_seeds_share_what_they_start_from_unless_it_is_random(study):
    device = torch.device("cpu")
    shared = recipe.starting_points(study, SMALL, device, (3, 4))
    assert shared[3] is shared[4]
    drawn = recipe.starting_points(study, SMALL, device, (3, 4), "none")
    assert fingerprint(drawn[3]) == fingerprint(starting_backbone(SMALL, "none", 3))
    assert fingerprint(drawn[4]) == fingerprint(starting_backbone(SMALL, "none", 4))
    random = replace(study, settings=replace(study.settings, weights="none"))
    alone = recipe.starting_point(random, SMALL, device, seed=4)
    assert fingerprint(alone) == fingerprint(drawn[4]) != fingerprint(drawn[3])


def test_a_notebooks_parameters_are_checked(study, monkeypatch):
    with pytest.raises(InputError, match="parameter: planes names 'axial' twice"):
        run_training(study, monkeypatch, planes="axial, axial")


def test_features_that_a_caller_keeps_are_those_that_are_computed(planted):
    backbone, probed = tiny_network().backbone, Settings(head="probe", seed=5)
    train = planted["train"]
    features = recipe.probe_features(backbone, train, probed)
    words = backbone, "tiny", "acl", train
    kept, computed = recipe.start(*words, probed, features), recipe.start(*words, probed)
    assert fingerprint(kept) == fingerprint(computed)
    random = Settings(seed=5)
    assert recipe.probe_features(backbone, train, random) is None
    assert fingerprint(recipe.start(*words, random)) != fingerprint(kept)
    some = train.select(range(20))
    part = recipe.start(backbone, "tiny", "acl", some, probed, features[:20])
    assert fingerprint(part) == fingerprint(recipe.start(backbone, "tiny", "acl", some, probed))


def test_an_augmentation_is_told_by_the_settings_alone(planted, monkeypatch):
    """What `augment` draws depends on the study's settings as they are: a key more is enough."""
    seen = []

    def draw(exams, plane, chosen, generator):
        seen.append(chosen)
        return torch.zeros(exams, 4)

    monkeypatch.setattr(augment, "draw", draw)
    chosen = Settings(epochs=1, batch_exams=10)
    words = tiny_network(), "acl", planted, chosen
    recipe.train(*words, progress=False)
    assert len(seen) == 3 and all(given is chosen for given in seen)


def test_the_loss_of_training_and_tuning_is_one_function(planted, monkeypatch):
    """Another loss has one place, `finetune.loss_of`, and is seen by every step and epoch."""
    loss_of = finetune.loss_of
    monkeypatch.setattr(finetune, "loss_of", lambda *words: 0 * loss_of(*words) + 7)
    history, _ = recipe.train(
        tiny_network(), "acl", planted, Settings(epochs=1, batch_exams=10), progress=False
    )
    assert history[["train_loss", "tune_loss"]].to_numpy().tolist() == [[7, 7]]


def test_the_settings_of_the_training_and_no_others_tell_checkpoints_apart(planted, tmp_path):
    banks, chosen = (planted["train"], planted["tune"], "acl"), Settings(epochs=1, batch_exams=10)
    for name, one in {"own": chosen, "other": replace(chosen, flip=0.1, description="x")}.items():
        finetune.fit(tiny_network(), *banks, one, tmp_path / name, progress=False)
    own, other = (load_checkpoint(tmp_path / name)["identity"] for name in ("own", "other"))
    assert list(own["settings"]) == settings.keys_of("training")
    assert other["settings"] == own["settings"] | {"flip": 0.1}
    assert other | {"settings": own["settings"]} == own
    assert own["code"] == code_digest(Path(finetune.__file__).parent, Path(banks_module.__file__))
