from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import tiny_network, write_planted, write_planted_banks

from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError
from mrnetlib.names import PLANES
from mrnetlib.settings import Settings
from mrnetlib.study import Study
from mrnetlib.training import devices, pretrain
from mrnetlib.training.checkpoints import fingerprint, save_tensors
from mrnetlib.training.pretrain import HEADS
from mrnetlib.training.starting import starting_backbone


@pytest.fixture(scope="module")
def plane_banks(tmp_path_factory):
    """Training banks whose slices say where they lie: grey value = plane and place.

    The planes' noise differs, so that the plane can be seen; the left border is bright, so that
    the turn can be seen.
    """
    folder = tmp_path_factory.mktemp("banks")
    source = write_planted(folder / "exams", 20, 5)
    for path in source.glob("train/*/*.npy"):
        volume = np.load(path)
        level = 50 * (1 + PLANES.index(path.parent.name))
        for index in range(len(volume)):
            volume[index] = level + 40 * index // max(len(volume) - 1, 1)
        volume[:, :, :3] = 255
        np.save(path, volume)
    write_planted_banks(folder / "banks", source)
    return [ExamBank.open(folder / "banks", "train", plane) for plane in PLANES]


def drawn(banks, count=400, seed=0):
    """A batch of the pretext tasks."""
    return pretrain.draw_pretext(banks, count, torch.Generator().manual_seed(seed))


def test_the_answers_are_those_of_the_slices(plane_banks):
    batch = drawn(plane_banks)
    assert batch.slices.shape == (400, 1, 16, 16)
    grey = batch.slices[:, 0].flatten(1).median(1).values  # not the border
    plane = ((grey - 50) / 50).floor().long()
    assert torch.equal(plane, batch.plane)
    place = (grey - 50 * (1 + plane)) / 40
    assert (place - batch.place).abs().max() < 0.03
    assert {0.0, 1.0} < set(batch.place.tolist())


def test_the_turn_is_where_the_border_went(plane_banks):
    batch = drawn(plane_banks)
    images = batch.slices[:, 0]
    # Counterclockwise, the bright left border goes to the bottom, the right and the top.
    borders = [images[:, :, 0], images[:, -1], images[:, :, -1], images[:, 0]]
    bright = torch.stack([border.median(1).values for border in borders], 1)
    assert torch.equal(bright.argmax(1), batch.turn)
    shares = torch.bincount(batch.turn, minlength=4) / len(batch.turn)
    assert shares[0].item() == pytest.approx(0.625, abs=0.07)
    assert (shares[1:] > 0.08).all()


def test_planes_are_drawn_evenly_whatever_their_slices(plane_banks):
    shares = torch.bincount(drawn(plane_banks, 900).plane, minlength=3) / 900
    assert (shares - 1 / 3).abs().max() < 0.06


def test_the_same_seed_pretrains_to_the_same_bits(plane_banks):
    prints = []
    for seed in (0, 0, 1):
        backbone = tiny_network(batch_norm=True).backbone
        torch.manual_seed(seed + 50)  # what was drawn before does not matter
        settings = Settings(pretrain_slices=192, seed=seed)
        pretrain.pretrain(backbone, plane_banks, settings, progress=False)
        prints.append(fingerprint(backbone))
    assert prints[0] == prints[1] != prints[2]


def test_pretraining_learns_what_can_be_seen(plane_banks, monkeypatch):
    monkeypatch.setattr(pretrain, "BATCH", 40)
    monkeypatch.setattr(pretrain, "LEARNING_RATE", 0.02)
    settings = Settings(pretrain_slices=4000)
    backbone = tiny_network(batch_norm=True).backbone
    history = pretrain.pretrain(backbone, plane_banks, settings, progress=False)
    assert history.columns.tolist() == ["slices", *HEADS]
    assert history["slices"].tolist() == list(range(400, 4001, 400))
    assert history["plane"].iloc[-1] < 0.5 * history["plane"].iloc[0]
    assert history["place"].iloc[-1] < history["place"].iloc[0]


@pytest.mark.parametrize("slices", [1, 64, 200])
def test_a_short_pretraining_runs_to_its_end(plane_banks, slices):
    settings = Settings(pretrain_slices=slices)
    history = pretrain.pretrain(tiny_network().backbone, plane_banks, settings, progress=False)
    assert isinstance(history, pd.DataFrame)
    assert history["slices"].iloc[-1] == max(1, slices // 64) * 64


SMALL = "shufflenet_v2_x0_5"


@pytest.fixture
def study(tmp_path):
    """A study of planted exams that pretrains a small architecture for two steps."""
    settings = Settings(data="phantom", weights="pretrained", pretrain_slices=128, device="cpu")
    study = Study("own", settings, tmp_path)
    write_planted_banks(study.banks, write_planted(study.exams, 20, 5, size=32))
    return study


@pytest.fixture
def made(monkeypatch):
    """The settings of every pretraining that is run."""
    calls, pretrain_ = [], pretrain.pretrain

    def spy(backbone, banks, settings):
        calls.append(settings)
        return pretrain_(backbone, banks, settings)

    monkeypatch.setattr(pretrain, "pretrain", spy)
    return calls


def test_pretrained_weights_are_made_once_and_then_read(study, made):
    path = pretrain.prepare_weights(study, SMALL)
    assert path == str(study.weights_file(SMALL))
    started = starting_backbone(SMALL, path)
    plain = starting_backbone(SMALL, "none")
    assert not torch.equal(started.conv5[0].weight, plain.conv5[0].weight)
    table = pd.read_csv(study.results / "pretraining" / f"{SMALL}.csv")
    assert table.columns[0] == "slices"
    assert np.isfinite(table.to_numpy()).all()
    assert pretrain.prepare_weights(study, SMALL) == path
    assert len(made) == 1
    pretrain.prepare_weights(study, SMALL, again=True)
    assert len(made) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pretrain_slices": 64}, "pretrain_slices"),
        ({"seed": 1}, "seed"),
        ({"planes": ("axial", "sagittal")}, "planes, exams"),
        ({"planes": ("sagittal",)}, "planes, exams"),
    ],
)
def test_weights_of_other_settings_are_made_anew(study, made, capsys, changes, named):
    pretrain.prepare_weights(study, SMALL)
    other = replace(study, settings=replace(study.settings, **changes))
    path = pretrain.prepare_weights(other, SMALL)
    assert f"{SMALL}.pt: pretrained with another {named}, made anew" in capsys.readouterr().out
    starting_backbone(SMALL, path)
    pretrain.prepare_weights(other, SMALL)
    assert [settings.seed for settings in made] == [0, other.settings.seed]


def test_settings_that_do_not_concern_the_pretraining_leave_the_weights(study, made):
    pretrain.prepare_weights(study, SMALL)
    other = replace(study.settings, epochs=1, flip=0.1, head="probe", description="another")
    pretrain.prepare_weights(replace(study, settings=other), SMALL)
    assert len(made) == 1


def test_weights_of_other_exams_or_code_are_made_anew(study, made, capsys, monkeypatch):
    pretrain.prepare_weights(study, SMALL)
    write_planted_banks(study.banks, write_planted(study.exams, 25, 5, size=32))
    pretrain.prepare_weights(study, SMALL)
    assert "another exams, made anew" in capsys.readouterr().out
    monkeypatch.setattr(pretrain, "CODE", "another")
    pretrain.prepare_weights(study, SMALL)
    assert "another code, made anew" in capsys.readouterr().out
    path = study.weights_file(SMALL)
    save_tensors(path, starting_backbone(SMALL, "none").state_dict())
    pretrain.prepare_weights(study, SMALL)
    assert "does not say what it was pretrained from" in capsys.readouterr().out
    assert len(made) == 4


def test_weights_of_other_arithmetic_are_made_anew(study, made, capsys, monkeypatch):
    study = replace(study, settings=replace(study.settings, precision="auto"))
    pretrain.prepare_weights(study, SMALL)
    has = devices.has_bf16(torch.device("cpu"))
    monkeypatch.setattr(devices, "has_bf16", lambda device: not has)
    pretrain.prepare_weights(study, SMALL)
    assert "another arithmetic, made anew" in capsys.readouterr().out
    assert len(made) == 2


def test_pretraining_looks_at_the_training_exams_only(study, monkeypatch):
    seen = []
    bank_open = ExamBank.open

    def spy(folder, split, plane, **options):
        seen.append((split, plane))
        return bank_open(folder, split, plane, **options)

    monkeypatch.setattr(ExamBank, "open", spy)
    pretrain.prepare_weights(study, SMALL)
    assert seen == [("train", plane) for plane in PLANES]


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_other_weights_are_passed_on(tmp_path, weights):
    study = Study("own", Settings(weights=weights), tmp_path)
    assert pretrain.prepare_weights(study, "alexnet") == weights


def test_a_users_file_is_passed_on(tmp_path):
    study = Study("own", Settings(weights="own/{architecture}.pt"), tmp_path)
    assert pretrain.prepare_weights(study, "alexnet") == str(tmp_path / "own" / "alexnet.pt")


@pytest.mark.parametrize(("architecture", "smallest"), [("alexnet", 63), ("googlenet", 15)])
def test_images_that_are_too_small_are_refused_before_anything_is_read(
    tmp_path, architecture, smallest
):
    study = Study("own", Settings(image_size=smallest - 1, weights="pretrained"), tmp_path)
    message = f"image_size is {smallest - 1}, and {architecture} takes {smallest} pixels or more"
    with pytest.raises(InputError, match=message):
        pretrain.prepare_weights(study, architecture)
