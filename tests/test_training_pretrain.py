import numpy as np
import pandas as pd
import pytest
import torch
from conftest import tiny_network, write_planted, write_planted_banks

from mrnetlib.exams.banks import ExamBank
from mrnetlib.names import PLANES
from mrnetlib.training import pretrain
from mrnetlib.training.checkpoints import fingerprint
from mrnetlib.training.pretrain import HEADS, PretrainSettings


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
        settings = PretrainSettings(slices=96, batch=16, seed=seed)
        pretrain.pretrain(backbone, plane_banks, settings, progress=False)
        prints.append(fingerprint(backbone))
    assert prints[0] == prints[1] != prints[2]


def test_pretraining_learns_what_can_be_seen(plane_banks):
    settings = PretrainSettings(slices=4000, batch=40, learning_rate=0.02)
    backbone = tiny_network(batch_norm=True).backbone
    history = pretrain.pretrain(backbone, plane_banks, settings, progress=False)
    assert history.columns.tolist() == ["slices", *HEADS]
    assert history["slices"].tolist() == list(range(400, 4001, 400))
    assert history["plane"].iloc[-1] < 0.5 * history["plane"].iloc[0]
    assert history["place"].iloc[-1] < history["place"].iloc[0]


@pytest.mark.parametrize("slices", [1, 64, 200])
def test_a_short_pretraining_runs_to_its_end(plane_banks, slices):
    history = pretrain.pretrain(
        tiny_network().backbone, plane_banks, PretrainSettings(slices=slices), progress=False
    )
    assert isinstance(history, pd.DataFrame)
    assert history["slices"].iloc[-1] == max(1, slices // 64) * 64
