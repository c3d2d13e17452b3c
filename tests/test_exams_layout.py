import numpy as np
import pandas as pd
import pytest
from conftest import planted_labels, write_planted

from mrnetlib.exams import intake, layout
from mrnetlib.files import InputError
from mrnetlib.names import PLANES, TASKS


def only_problem(folder):
    """The one problem that a folder has."""
    (problem,) = layout.problems(folder)
    return problem


def test_a_good_folder_has_no_problem(exams_folder):
    assert list(layout.problems(exams_folder)) == []


def test_labels_are_read_as_written(tmp_path):
    labels = planted_labels(7)
    layout.write_labels(tmp_path, "train", labels)
    assert (tmp_path / "train-acl.csv").read_text().splitlines()[:3] == [
        "0000,0",
        "0001,0",
        "0002,1",
    ]
    pd.testing.assert_frame_equal(layout.read_labels(tmp_path, "train"), labels)


def test_labels_of_tasks_in_another_order_are_matched_by_exam(tmp_path):
    labels = planted_labels(7)
    layout.write_labels(tmp_path, "train", labels)
    path = tmp_path / "train-acl.csv"
    path.write_text("\n".join(reversed(path.read_text().split())))
    pd.testing.assert_frame_equal(layout.read_labels(tmp_path, "train"), labels)


def test_windows_line_ends_and_byte_order_mark_are_read(tmp_path):
    labels = planted_labels(3)
    layout.write_labels(tmp_path, "test", labels)
    path = tmp_path / "valid-acl.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(layout.read_labels(tmp_path, "test"), labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exam,label\n0000,1\n", "line 1: found 'exam,label'.*header; delete that line"),
        ("0000,1\n0001,2\n", "line 2: found '0001,2', expected .* 0 or 1"),
        ("0000,1\n0001\n", "line 2: found '0001'"),
        ("0000,1\n0000,0\n", "line 2: exam 0000 is labelled twice"),
        ("", "empty"),
        ("\x89PNG\x00\xff", "is a picture, not a CSV"),
    ],
)
def test_bad_label_files_are_named_with_their_line(exams_folder, text, message):
    (exams_folder / "train-acl.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"train-acl.csv.*{message}"):
        layout.read_labels(exams_folder, "train")
    assert "train-acl.csv" in only_problem(exams_folder)


def test_a_missing_label_file_is_named(exams_folder):
    (exams_folder / "valid-meniscus.csv").unlink()
    assert "valid-meniscus.csv: not found" in only_problem(exams_folder)


def test_tasks_must_label_the_same_exams(exams_folder):
    with (exams_folder / "train-meniscus.csv").open("a") as file:
        file.write("0077,1\n")
    problem = only_problem(exams_folder)
    assert "train-meniscus.csv: does not label the same exams" in problem
    assert "0077" in problem


def test_a_missing_plane_of_an_exam_is_named(exams_folder):
    (exams_folder / "train" / "coronal" / "0003.npy").unlink()
    problem = only_problem(exams_folder)
    assert "0003.npy: not found" in problem
    assert "coronal" in problem


def test_a_plane_missing_for_all_exams_is_one_problem(exams_folder):
    (exams_folder / "valid" / "axial").rename(exams_folder / "valid" / "axail")
    assert "axial: no such folder" in only_problem(exams_folder)


def test_an_exam_without_label_is_named(exams_folder):
    path = exams_folder / "train" / "axial" / "0099.npy"
    np.save(path, np.zeros((3, 16, 16), np.uint8))
    assert "0099.npy: an exam without a label" in only_problem(exams_folder)


def test_an_exam_may_not_be_in_both_splits(exams_folder):
    labels = layout.read_labels(exams_folder, "test").rename({"0005": "0002"})
    layout.write_labels(exams_folder, "test", labels)
    for plane in PLANES:
        folder = exams_folder / "valid" / plane
        (folder / "0005.npy").rename(folder / "0002.npy")
    assert "exam 0002 is a training and a test exam" in only_problem(exams_folder)


def test_a_missing_folder_is_named(tmp_path):
    assert "nowhere: no such folder" in only_problem(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((16, 16), np.uint8), r"shape \(16, 16\), expected \(slices, size, size\)"),
        (np.zeros((3, 16, 15), np.uint8), r"shape \(3, 16, 15\)"),
        (np.zeros((0, 16, 16), np.uint8), r"shape \(0, 16, 16\)"),
        (np.zeros((3, 16, 16, 1), np.uint8), r"shape \(3, 16, 16, 1\)"),
        (np.zeros((3, 16, 16), np.float32), "dtype float32, expected uint8 or uint16"),
        (np.zeros((3, 16, 16), np.int16), "dtype int16"),
    ],
)
def test_wrong_shapes_and_types_are_refused(tmp_path, array, message):
    np.save(tmp_path / "0000.npy", array)
    with pytest.raises(InputError, match=rf"0000\.npy: {message}"):
        layout.read_volume(tmp_path / "0000.npy")


@pytest.mark.parametrize("kept", [0, 4, 60, 128, 500])
def test_a_truncated_volume_is_refused(tmp_path, kept):
    path = tmp_path / "0000.npy"
    np.save(path, np.zeros((3, 16, 16), np.uint8))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"0000\.npy: not a whole \.npy file"):
        layout.read_volume(path)


def test_pickles_and_archives_are_not_opened(tmp_path):
    path = tmp_path / "0000.npy"
    np.save(path, np.array([[[{}]]], object), allow_pickle=True)
    with pytest.raises(InputError, match="not a whole"):
        layout.read_volume(path)
    with path.open("wb") as file:
        np.savez(file, volume=np.zeros((3, 16, 16), np.uint8))
    with pytest.raises(InputError, match="not a whole"):
        layout.read_volume(path)


def test_a_volume_is_read_as_written(tmp_path):
    rng = np.random.default_rng(0)
    volumes = {plane: rng.integers(0, 4000, (3, 8, 8), np.uint16) for plane in PLANES}
    layout.write_exam(tmp_path, "test", "0042", volumes)
    for plane in PLANES:
        read = layout.read_volume(tmp_path / "valid" / plane / "0042.npy")
        assert read.dtype == np.uint16
        assert (read == volumes[plane]).all()


def test_counts_are_those_planted(tmp_path):
    folder = write_planted(tmp_path, train=5, test=10)
    counts = layout.counts(folder).set_index("split")
    assert counts.loc["train", ["exams", *TASKS]].tolist() == [5, 4, 2, 2]
    assert counts.loc["test", ["exams", *TASKS]].tolist() == [10, 8, 4, 4]
    slices = [len(layout.read_volume(path)) for path in (folder / "train" / "axial").iterdir()]
    columns = ["axial_min", "axial_median", "axial_max", "axial_total"]
    wanted = [min(slices), np.median(slices), max(slices), sum(slices)]
    assert counts.loc["train", columns].tolist() == wanted


@pytest.mark.parametrize(
    "content",
    [
        "0000,1\n0001,0\n",
        "0000;1\r\n0001;0\r\n",
        "0000;1,0\n0001;0,0\n",
        "0000, 1\n0001, 0\n\n",
        "0000,1.0\n0001,0.0\n",
        '"0000","1"\n"0001","0"\n',
        "0000\t1\n0001\t0",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_label_files_are_read_as_people_have_them(tmp_path, content, encoding):
    for task in TASKS:
        layout.label_path(tmp_path, "train", task).write_bytes(content.encode(encoding))
    labels = layout.read_labels(tmp_path, "train")
    assert labels["acl"].to_dict() == {"0000": 1, "0001": 0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"exam,label\n0000,1\n", "line 1.*header; delete that line"),
        (b"0,0000,1\n1,0001,0\n", "line 1.*index; delete that column"),
        (b"0000,1\n0001,2\n", "line 2: found '0001,2'"),
        ("0000,1\nä,0\n".encode("latin-1"), "not text in UTF-8"),
    ],
)
def test_other_label_files_are_named_for_what_they_are(tmp_path, content, message):
    layout.label_path(tmp_path, "train", TASKS[0]).write_bytes(content)
    with pytest.raises(InputError, match=f"{TASKS[0]}.csv.*{message}"):
        layout.read_labels(tmp_path, "train")


def test_a_label_file_that_is_a_folder_is_named(tmp_path):
    layout.label_path(tmp_path, "train", TASKS[0]).mkdir()
    with pytest.raises(InputError, match=r"train-abnormal\.csv: a folder"):
        layout.read_labels(tmp_path, "train")


def test_a_black_plane_is_named(exams_folder):
    path = layout.volume_path(exams_folder, "train", "axial", "0001")
    np.save(path, np.zeros_like(np.load(path)))
    assert f"{path}: every pixel is 0" in only_problem(exams_folder)
    with pytest.raises(InputError, match="every pixel is 0"):
        intake.take_inventory(exams_folder, 0.4, seed=0, progress=False)


def test_a_folder_one_level_too_high_is_told(exams_folder):
    assert f"Give {exams_folder} instead" in only_problem(exams_folder.parent)


def test_a_folder_one_level_too_deep_is_told(exams_folder):
    for inside in ("train", "valid", "train/axial"):
        assert f"Give {exams_folder} instead" in only_problem(exams_folder / inside)


def test_notes_of_macos_are_no_exams(exams_folder):
    note = layout.volume_path(exams_folder, "train", "axial", "._0001")
    note.write_bytes(b"Mac OS X")
    assert list(layout.problems(exams_folder)) == []


def test_numbers_without_their_zeros_are_named(exams_folder):
    for task in TASKS:
        path = layout.label_path(exams_folder, "train", task)
        path.write_text(path.read_text().replace("0001,", "1,"))
    found = list(layout.problems(exams_folder))
    assert sum("Write 0001 instead of 1" in problem for problem in found) == len(PLANES)
