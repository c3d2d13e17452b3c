import json

import numpy as np
import pytest
import torch
from conftest import files_in, full_disk, planted_labels, write_planted, write_planted_banks

from mrnetlib import banks, exams
from mrnetlib.banks import ExamBank
from mrnetlib.files import InputError, sha256
from mrnetlib.names import TASKS


def rows_of(count, slices):
    """Rows of an inventory, as `write_bank` needs them."""
    table = planted_labels(count).rename_axis("exam").reset_index()
    return table.assign(slices_axial=slices)


@pytest.fixture
def folder(tmp_path):
    """Banks of 6 training, 4 tuning and 5 test exams, with the exams they were made from."""
    write_planted_banks(tmp_path / "banks", write_planted(tmp_path / "exams", 10, 5), 0.4)
    return tmp_path


def test_every_exam_comes_back_as_it_was(folder):
    for split, count in (("train", 6), ("tune", 4), ("test", 5)):
        bank = ExamBank.open(folder / "banks", split, "coronal", verify=True)
        assert len(bank) == count
        labels = exams.read_labels(folder / "exams", "test" if split == "test" else "train")
        for index, exam in enumerate(bank.exams):
            path = exams.volume_path(folder / "exams", split, "coronal", exam)
            assert (bank.exam(index).numpy() == exams.read_volume(path)).all()
            assert bank.labels.loc[exam].tolist() == labels.loc[exam, list(TASKS)].tolist()


def test_a_bank_is_an_ordinary_npy_file(folder):
    array = np.load(folder / "banks" / "train_axial.npy", allow_pickle=False)
    manifest = json.loads((folder / "banks" / "train_axial.json").read_text())
    assert array.dtype == np.uint8
    assert array.shape == (manifest["offsets"][-1], 16, 16)
    assert manifest["sha256"] == sha256(folder / "banks" / "train_axial.npy")
    assert manifest["mean"] == pytest.approx(array.mean())
    assert manifest["std"] == pytest.approx(array.std())


def test_the_same_exams_give_the_same_bytes(folder):
    write_planted_banks(folder / "again", folder / "exams", 0.4)
    for name in files_in(folder / "banks"):
        assert (folder / "banks" / name).read_bytes() == (folder / "again" / name).read_bytes()


def test_a_batch_is_its_exams_end_to_end(planted):
    bank = planted["train"]
    batch = bank.batch(torch.tensor([4, 0, 7]), "acl")
    assert batch.lengths == [len(bank.exam(i)) for i in (4, 0, 7)]
    assert batch.slices.shape == (sum(batch.lengths), 1, 16, 16)
    for part, index in zip(batch.slices.split(batch.lengths), (4, 0, 7), strict=True):
        assert torch.equal(part[:, 0], bank.exam(index))
    assert batch.labels.tolist() == bank.labels["acl"].iloc[[4, 0, 7]].tolist()
    assert batch.labels.dtype == torch.float32


def test_the_repr_shows_the_label_counts(planted):
    assert "30 exams" in repr(planted["train"])
    assert f"acl {planted['train'].labels['acl'].sum()}" in repr(planted["train"])


def test_a_bank_moves_to_a_device(planted):
    moved = planted["test"].to(torch.device("meta"))
    assert moved.slices.device.type == "meta"
    assert planted["test"].slices.device.type == "cpu"


@pytest.mark.parametrize(
    "volume",
    [np.zeros((4, 8, 8), np.uint8), np.zeros((3, 9, 9), np.uint8), np.zeros((3, 8, 8), np.uint16)],
)
def test_a_volume_that_does_not_fit_is_named(tmp_path, volume):
    volumes = [np.zeros((3, 8, 8), np.uint8), volume]
    with pytest.raises(InputError, match=r"exam 0001, axial: .* expected uint8 \(3, 8, 8\)"):
        banks.write_bank(tmp_path, "train", "axial", rows_of(2, 3), volumes)
    assert files_in(tmp_path) == []


def test_a_split_without_exams_is_refused(tmp_path):
    with pytest.raises(InputError, match="split tune: no exams"):
        banks.write_bank(tmp_path, "tune", "axial", rows_of(0, []), [])


def test_a_full_disk_is_one_clear_error(tmp_path):
    volumes = [np.zeros((3, 64, 64), np.uint8)] * 5
    with full_disk(30_000), pytest.raises(InputError, match=r"train_axial\.npy: could not be"):
        banks.write_bank(tmp_path, "train", "axial", rows_of(5, 3), volumes)
    assert files_in(tmp_path) == []


def test_damaged_banks_are_refused(folder):
    path = folder / "banks" / "train_axial.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"train_axial\.npy: not a whole bank"):
        ExamBank.open(folder / "banks", "train", "axial")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    ExamBank.open(folder / "banks", "train", "axial")  # one bit is not seen without `verify`
    with pytest.raises(InputError, match="SHA-256"):
        ExamBank.open(folder / "banks", "train", "axial", verify=True)
    np.save(path, np.zeros((2, 16, 16), np.uint8))
    with pytest.raises(InputError, match="not what its manifest says"):
        ExamBank.open(folder / "banks", "train", "axial")
    path.unlink()
    with pytest.raises(InputError, match=r"train_axial\.npy"):
        ExamBank.open(folder / "banks", "train", "axial")
    path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"train_axial\.json: not found"):
        ExamBank.open(folder / "banks", "train", "axial")


def test_resizing_keeps_a_constant_and_the_place_of_a_square():
    volume = np.full((2, 64, 64), 77, np.uint8)
    assert (banks.resize(volume, 32) == 77).all()
    volume[1, 16:32, 32:48] = 255
    small = banks.resize(volume, 32)
    assert small.shape == (2, 32, 32)
    assert small.dtype == np.uint8
    assert (small[1, 9:15, 17:23] == 255).all()
    assert (small[0] == 77).all()
    assert banks.resize(volume, 64) is volume
