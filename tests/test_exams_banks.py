import json

import numpy as np
import pytest
import torch
from conftest import (
    files_in,
    full_disk,
    needs_gpu,
    planted_labels,
    write_planted,
    write_planted_banks,
)

from mrnetlib import files
from mrnetlib.exams import banks, layout
from mrnetlib.exams.banks import ExamBank
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
        bank = ExamBank.open(folder / "banks", split, "coronal")
        assert len(bank) == count
        labels = layout.read_labels(folder / "exams", "test" if split == "test" else "train")
        for index, exam in enumerate(bank.exams):
            path = layout.volume_path(folder / "exams", split, "coronal", exam)
            assert (bank.exam(index).numpy() == layout.read_volume(path)).all()
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


def test_a_choice_of_exams_is_a_bank_of_its_own(planted):
    bank = planted["train"]
    chosen = bank.select([9, 2, 4])
    assert chosen.exams == [bank.exams[i] for i in (9, 2, 4)]
    assert chosen.labels.index.tolist() == chosen.exams
    assert torch.equal(chosen.exam(1), bank.exam(2))
    batch = chosen.batch([2, 0], "acl")
    assert batch.lengths == [len(bank.exam(4)), len(bank.exam(9))]
    assert torch.equal(batch.slices[:, 0], torch.cat([bank.exam(4), bank.exam(9)]))
    assert batch.labels.tolist() == bank.labels["acl"].iloc[[4, 9]].tolist()
    assert f"{chosen.lengths.sum()} slices" in repr(chosen)
    assert len({bank.digest(), chosen.digest(), bank.select([2, 9, 4]).digest()}) == 3


def test_reading_leaves_the_bank_as_it_was(folder):
    bank = ExamBank.open(folder / "banks", "train", "axial")
    whole = np.load(folder / "banks" / "train_axial.npy")
    first = bank.read([0, 3])
    assert np.array_equal(bank.slices.numpy(), whole)
    assert torch.equal(first, bank.read([0, 3]))


def test_a_pass_gives_the_batches_of_its_steps(planted):
    bank, steps = planted["train"], [[4, 0], [7], [1, 2, 3]]
    found = list(bank.batches(steps, "acl", torch.device("cpu")))
    for batch, indices in zip(found, steps, strict=True):
        wanted = bank.batch(indices, "acl")
        assert torch.equal(batch.slices, wanted.slices)
        assert batch.lengths == wanted.lengths
        assert torch.equal(batch.labels, wanted.labels)


def test_a_bank_stays_a_file_on_a_cpu(planted):
    assert planted["train"].resident(torch.device("cpu")) is planted["train"]


@needs_gpu
def test_a_bank_is_resident_on_a_gpu_that_has_room(planted, monkeypatch):
    gpu, bank = torch.device("cuda"), planted["train"]
    assert bank.resident(gpu).slices.is_cuda
    assert torch.equal(bank.resident(gpu).slices.cpu(), bank.slices)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (bank.slices.nbytes, 0))
    assert bank.resident(gpu) is bank


@needs_gpu
def test_a_gpu_gets_the_same_batches_from_a_file(planted):
    gpu, bank, steps = torch.device("cuda"), planted["train"], [[4, 0], [7], [1, 2, 3]]
    for source in (bank, bank.resident(gpu)):
        found = list(source.batches(steps, "acl", gpu))
        assert len(found) == 3
        for batch, indices in zip(found, steps, strict=True):
            assert batch.slices.is_cuda
            assert torch.equal(batch.slices.cpu(), bank.batch(indices, "acl").slices)
            assert torch.equal(batch.labels.cpu(), bank.batch(indices, "acl").labels)


def test_the_repr_shows_the_label_counts(planted):
    assert "30 exams" in repr(planted["train"])
    assert f"acl {planted['train'].labels['acl'].sum()}" in repr(planted["train"])


def test_a_bank_moves_to_a_device(planted):
    moved = planted["test"].to(torch.device("meta"))
    assert moved.slices.device.type == "meta"
    assert planted["test"].slices.device.type == "cpu"


def ramp(slices, size):
    """A volume of many grey values."""
    values = np.arange(slices * size * size) % 251
    return values.reshape(slices, size, size).astype(np.uint8)


@pytest.mark.parametrize(
    "volume",
    [ramp(4, 8), ramp(3, 9), ramp(3, 8).astype(np.uint16)],
)
def test_a_volume_that_does_not_fit_is_named(tmp_path, volume):
    volumes = [ramp(3, 8), volume]
    with pytest.raises(InputError, match=r"exam 0001, axial: .* expected uint8 \(3, 8, 8\)"):
        banks.write_bank(tmp_path, "train", "axial", rows_of(2, 3), volumes)
    assert files_in(tmp_path) == []


def test_a_split_without_exams_is_refused(tmp_path):
    with pytest.raises(InputError, match="split tune: no exams"):
        banks.write_bank(tmp_path, "tune", "axial", rows_of(0, []), [])


def test_a_full_disk_is_one_clear_error(tmp_path):
    volumes = [ramp(3, 64)] * 5
    with full_disk(30_000), pytest.raises(InputError, match=r"train_axial\.npy: could not be"):
        banks.write_bank(tmp_path, "train", "axial", rows_of(5, 3), volumes)
    assert files_in(tmp_path) == []


def test_an_exam_of_one_grey_value_enters_no_bank(tmp_path):
    volumes = [ramp(3, 8), np.full((3, 8, 8), 7, np.uint8)]
    with pytest.raises(InputError, match="exam 0001, axial: every pixel is 7"):
        banks.write_bank(tmp_path, "train", "axial", rows_of(2, 3), volumes)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found["labels"]["acl"].__setitem__(0, 7), "exam 0001 has acl 7"),
        (lambda found: found["exams"].__setitem__(1, found["exams"][0]), "exam 0001 is listed twi"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_refused_though_it_fits_itself(folder, change, said):
    path = folder / "banks" / "train_axial.json"
    found = files.read_json(path)
    change(found)
    files.write_json(path, found)
    with pytest.raises(InputError, match=r"train_axial\.json: damaged or changed"):
        ExamBank.open(folder / "banks", "train", "axial")
    files.write_json(path, banks.sealed(found))
    with pytest.raises(InputError, match=rf"train_axial\.json: {said}"):
        ExamBank.open(folder / "banks", "train", "axial")


def test_a_label_flipped_in_a_manifest_is_noticed(folder):
    path = folder / "banks" / "train_axial.json"
    found = files.read_json(path)
    found["labels"]["acl"][0] = 1 - found["labels"]["acl"][0]
    files.write_json(path, found)
    with pytest.raises(InputError, match=r"train_axial\.json: damaged or changed"):
        ExamBank.open(folder / "banks", "train", "axial")


def test_a_bank_of_zeros_is_refused_whatever_its_manifest_says(folder):
    path = folder / "banks" / "train_axial.npy"
    np.save(path, np.zeros_like(np.load(path)))
    found = files.read_json(path.with_suffix(".json")) | {"sha256": files.sha256(path)}
    found["manifest_sha256"] = banks._own_digest(found)
    files.write_json(path.with_suffix(".json"), found)
    with pytest.raises(InputError, match=r"train_axial\.npy: every pixel of exam 0001 is 0"):
        ExamBank.open(folder / "banks", "train", "axial")


def test_damaged_banks_are_refused(folder):
    path = folder / "banks" / "train_axial.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"train_axial\.npy: not a whole bank"):
        ExamBank.open(folder / "banks", "train", "axial")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="SHA-256"):
        ExamBank.open(folder / "banks", "train", "axial")
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
