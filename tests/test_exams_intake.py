import numpy as np
import pandas as pd
import pytest
from conftest import planted_labels

from mrnetlib.exams import intake, layout
from mrnetlib.files import InputError


def test_grey_scales_are_kept_apart_without_standardization():
    dark = np.full((2, 4, 4), 100, np.uint16)
    bright = np.full((2, 4, 4), 400, np.uint16)
    white = intake.white_level(iter([dark, bright]))
    assert white == 400
    assert intake.to_grey(bright, white).max() == 255
    assert intake.to_grey(dark, white).max() == 64
    assert intake.to_grey(dark * 10, white).dtype == np.uint8
    small = np.full((2, 4, 4), 77, np.uint8)
    assert intake.white_level(iter([small])) == 255
    np.testing.assert_array_equal(intake.to_grey(small, 255), small)


def test_exams_of_two_depths_are_refused_and_not_clipped():
    deep, flat = np.full((2, 4, 4), 3000, np.uint16), np.full((2, 4, 4), 77, np.uint8)
    for volumes in ([deep, flat], [flat, deep]):
        with pytest.raises(InputError, match="uint16 and uint8: no linear scale fits both"):
            intake.white_level(iter(volumes))
    with pytest.raises(InputError, match="an exam of uint16"):
        intake.to_grey(deep, intake.white_level(iter([flat])))
    with pytest.raises(InputError, match="an exam of uint8"):
        intake.to_grey(flat, intake.white_level(iter([deep])))


@pytest.mark.parametrize(("count", "fraction"), [(1130, 0.1), (160, 0.2), (37, 0.33), (11, 0.5)])
def test_hold_out_is_exact_in_total_and_stratified(count, fraction):
    rng = np.random.default_rng(1)
    labels = planted_labels(count).iloc[rng.permutation(count)]
    held_out = intake.hold_out(labels, fraction, np.random.default_rng(0))
    assert len(held_out) == round(count * fraction)
    assert held_out.is_unique
    combination = labels.apply(tuple, axis=1)
    shares = combination[held_out].value_counts() - combination.value_counts() * fraction
    assert shares.abs().max() < 1


def test_hold_out_depends_on_the_seed_alone():
    labels = planted_labels(50)
    first, again, other = (
        intake.hold_out(labels, 0.3, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert list(first) == list(again)
    assert list(first) != list(other)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_hold_out_refuses_what_is_no_share(fraction):
    with pytest.raises(InputError, match="tune_fraction"):
        intake.hold_out(planted_labels(5), fraction, np.random.default_rng(0))


def test_the_inventory_has_every_exam_once_and_survives_the_file(exams_folder, tmp_path):
    inventory = intake.take_inventory(exams_folder, 0.4, seed=3, progress=False)
    assert inventory["split"].value_counts().to_dict() == {"train": 3, "tune": 2, "test": 5}
    assert inventory["exam"].tolist() == [f"{i:04d}" for i in range(10)]
    assert inventory["size"].eq(16).all()
    assert inventory["sha256_axial"].is_unique
    intake.write_inventory(tmp_path / "exams.csv", inventory)
    pd.testing.assert_frame_equal(intake.read_inventory(tmp_path / "exams.csv"), inventory)


def test_volumes_are_compared_with_the_inventory(exams_folder):
    inventory = intake.take_inventory(exams_folder, 0.4, seed=3, progress=False)
    intake.check_volumes(exams_folder, inventory)
    path = layout.volume_path(exams_folder, "train", "axial", "0002")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"axial/0002\.npy: is not the volume that exams\.csv"):
        intake.check_volumes(exams_folder, inventory)


@pytest.mark.parametrize(
    ("column", "value"),
    [("split", "trian"), ("acl", 2), ("slices_axial", 0), ("sha256_axial", "0"), ("exam", "0001")],
)
def test_an_inventory_that_cannot_be_is_refused(exams_folder, tmp_path, column, value):
    inventory = intake.take_inventory(exams_folder, 0.4, seed=3, progress=False)
    inventory.loc[3, column] = value
    intake.write_inventory(tmp_path / "exams.csv", inventory)
    with pytest.raises(InputError, match=rf"exams\.csv: exam \w+: {column} is '{value}'"):
        intake.read_inventory(tmp_path / "exams.csv")


def test_a_missing_inventory_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="Run notebook 00_exams"):
        intake.read_inventory(tmp_path / "exams.csv")


def test_generated_folders_are_kept_while_they_are_of_the_same(tmp_path, capsys):
    note, made, other = tmp_path / "exams.json", tmp_path / "exams", tmp_path / "mine"
    of = {"size": 64, "shape": (1, 2)}
    intake.claim(note, of, [made])
    made.mkdir(), other.mkdir()
    intake.claim(note, of, [made])
    assert made.is_dir() and not capsys.readouterr().out
    intake.claim(note, of | {"size": 32}, [made])
    assert not made.exists() and other.is_dir()
    assert "made with another size, made again" in capsys.readouterr().out
    note.unlink()
    with pytest.raises(InputError, match=r"mine: is there, but exams\.json"):
        intake.claim(note, of, [made, other])
    assert other.is_dir()
