import numpy as np
import pytest
from conftest import planted_labels, write_planted

from mrnetlib.exams import check, layout, mrnet
from mrnetlib.names import PLANES


def shown(folder, capsys):
    """Exit status and what is printed."""
    status = check.main(folder)
    return status, capsys.readouterr().out


def test_a_users_own_exams_pass_and_are_compared(tmp_path, capsys):
    status, out = shown(write_planted(tmp_path, train=20, test=5), capsys)
    assert status == 0
    assert "not MRNet-v1.0's" in out
    line = next(line for line in out.splitlines() if line.startswith("train  acl, positive"))
    assert line.split()[-3:] == ["8", "208", "*"]


def test_mrnets_own_counts_are_recognised(tmp_path, capsys, monkeypatch):
    folder = write_planted(tmp_path, train=5, test=5)
    slices = {}
    for split, name in (("train", "train"), ("test", "valid")):
        row = layout.counts(folder).set_index("split").loc[split]
        kinds = ("min", "median", "max", "total")
        slices[name] = {p: tuple(row[f"{p}_{kind}"] for kind in kinds) for p in PLANES}
    counts = {"exams": 5, "abnormal": 4, "acl": 2, "meniscus": 2}
    monkeypatch.setattr(mrnet, "COUNTS", {"train": counts, "valid": counts})
    monkeypatch.setattr(mrnet, "SLICES", slices)
    status, out = shown(folder, capsys)
    assert status == 0
    assert "all counts as MRNet-v1.0" in out
    assert "*" not in out


def test_the_known_totals_fit_the_known_sizes():
    for split, planes in mrnet.SLICES.items():
        count = mrnet.COUNTS[split]["exams"]
        for least, median, most, total in planes.values():
            assert least < median < most
            if total is not None:
                assert count * least < total < count * most
                assert abs(total / count - median) < 2


def test_problems_are_listed_and_the_status_is_1(exams_folder, capsys):
    (exams_folder / "train" / "axial" / "0001.npy").unlink()
    np.save(exams_folder / "valid" / "coronal" / "0006.npy", np.zeros((3, 16, 16)))
    status, out = shown(exams_folder, capsys)
    assert status == 1
    assert "0001.npy: not found" in out
    assert "0006.npy: dtype float64" in out
    assert "2 problem(s)" in out
    assert "Traceback" not in out


def test_no_more_than_twenty_problems_are_printed(tmp_path, capsys):
    folder = write_planted(tmp_path, train=30, test=5)
    for path in (folder / "train" / "sagittal").iterdir():
        path.write_bytes(b"")
    status, out = shown(folder, capsys)
    assert status == 1
    assert out.count("\n- ") + out.startswith("- ") == check.SHOWN
    assert "and 10 more" in out
    assert "30 problem(s)" in out


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_exams_is_a_problem(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    status, out = shown(tmp_path / name, capsys)
    assert status == 1
    assert name in out


def test_two_label_files_of_one_split_only(tmp_path, capsys):
    layout.write_labels(tmp_path, "train", planted_labels(3))
    (tmp_path / "train-acl.csv").unlink()
    status, out = shown(tmp_path, capsys)
    assert status == 1
    assert "train-acl.csv: not found" in out
    assert "valid-abnormal.csv: not found" in out
