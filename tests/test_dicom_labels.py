"""Labels meet their exams: by the study's folder, at one level, from files as people have them."""

import numpy as np
import pandas as pd
import pytest
from dicom_files import AXIS, dataset, enhanced, pattern, save, uid, write_series
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from mrnetlib.__main__ import main
from mrnetlib.dicom import convert
from mrnetlib.dicom.labels import read_labels
from mrnetlib.files import InputError

QUIET = {"workers": 1, "size": 24, "progress": False}
HEAD = "exam,split,abnormal,acl,meniscus\n"


def study(folder, number, parts=("1", "2", "3")):
    """A study whose pictures say which exam it is: their brightest value is 1000 * number + 9."""
    changes = {"StudyInstanceUID": uid("exam", number)}
    for plane, part in zip(AXIS, parts, strict=True):

        def marked(index):
            image = pattern(index)
            image[12, 12] = 1000 * number + 9
            return image

        series = {"SeriesInstanceUID": uid("exam", number, plane)}
        write_series(folder / part, plane, 3, marked, **changes, **series)


def written(tmp_path, lines, name="labels.csv"):
    path = tmp_path / name
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))
    return path


def numbers(tmp_path, labels, source="in", out="out"):
    """The numbers that the pictures of the exams show, in the exams' order."""
    done = convert(tmp_path / source, tmp_path / out, labels=labels, **QUIET)
    found = []
    for exam, split in zip(done.exams["exam"], done.exams["split"], strict=True):
        folder = tmp_path / out / {"train": "train", "test": "valid"}[split]
        found.append(int(np.load(folder / "axial" / f"{exam}.npy").max()) // 1000)
    return found


def test_a_series_folder_is_not_taken_for_an_exam(tmp_path):
    for number in range(3):
        study(tmp_path / "in" / str(number), number)
    labels = written(tmp_path, ["2,train,1,1,1", "1,train,1,0,0"])
    assert numbers(tmp_path, labels) == [2, 1]
    everyone = written(tmp_path, ["0,train,0,0,0", "1,train,1,0,0", "2,train,1,1,1"])
    assert numbers(tmp_path, everyone, out="out2") == [0, 1, 2]
    exams = pd.read_csv(tmp_path / "out" / "exams.csv")
    assert exams["labels_line"].tolist() == [2, 3] and "matched" not in exams
    report = pd.read_csv(tmp_path / "out" / "dicom_report.csv")
    assert set(report["labels_line"]) == {2, 3}


def test_a_parent_is_not_taken_for_an_exam(tmp_path):
    for number in range(2):
        study(tmp_path / "7" / "in" / "8" / str(number), number)
    labels = written(tmp_path, ["7,train,1,1,1"])
    with pytest.raises(InputError, match="none of its 1 exams has a folder"):
        numbers(tmp_path, labels, "7/in")
    with pytest.raises(InputError, match="none of its 1 exams"):
        numbers(tmp_path, written(tmp_path, ["8,train,1,1,1"]), "7/in")
    assert numbers(tmp_path, written(tmp_path, ["1,train,1,1,1"]), "7/in") == [1]


def test_all_exams_lie_at_one_level(tmp_path):
    """Exam 3 is missing, and a single series of exam 1 lies in a folder called 3."""
    study(tmp_path / "in" / "1", 1, ("3", "3", "3"))
    study(tmp_path / "in" / "2", 2)
    labels = written(tmp_path, ["1,train,1,0,0", "2,train,0,0,0", "3,train,0,0,0"])
    with pytest.raises(InputError, match=r"line 4: exam 3 has no folder .* at the level"):
        numbers(tmp_path, labels)


def test_folders_that_could_be_meant_twice_are_refused(tmp_path):
    for number in range(3):
        study(tmp_path / "in" / str(number), number, (str(number + 1),) * 3)
    labels = written(tmp_path, ["1,train,1,0,0", "2,train,0,0,0"])
    with pytest.raises(InputError, match="line 2: exam 1 may mean 2 studies"):
        numbers(tmp_path, labels)
    everyone = written(tmp_path, ["0,train,1,0,0", "1,train,1,0,0", "2,train,0,0,0"])
    assert numbers(tmp_path, everyone, out="out2") == [0, 1, 2]
    study(tmp_path / "twice" / "a" / "1", 1)
    study(tmp_path / "twice" / "b" / "1", 2)
    with pytest.raises(InputError, match="exam 1 may mean 2 studies"):
        numbers(tmp_path, written(tmp_path, ["1,train,1,0,0"]), "twice")


def test_two_exams_of_one_study_are_refused(tmp_path):
    study(tmp_path / "in" / "a", 1)
    (tmp_path / "in" / "a").rename(tmp_path / "in" / "a.zip")  # a folder of an archive's name
    labels = written(tmp_path, ["a,train,1,0,0", "a.zip,test,0,0,0"])
    with pytest.raises(InputError, match="lines 2 and 3: both exams name the same study"):
        numbers(tmp_path, labels)


def test_a_source_of_one_study_may_be_the_folder_itself(tmp_path, monkeypatch):
    study(tmp_path / "knee", 4)
    labels = written(tmp_path, ["knee,train,1,0,0"])
    assert numbers(tmp_path, labels, "knee") == [4]
    monkeypatch.chdir(tmp_path / "knee")
    convert(".", tmp_path / "out2", labels=labels, **QUIET)


@pytest.mark.filterwarnings("ignore:The value length")
def test_exams_of_a_dicomdir_are_found(tmp_path):
    records = []
    for number in range(2):
        study(tmp_path / "in" / str(number), number)
        for path in sorted((tmp_path / "in" / str(number)).rglob("*.dcm")):
            record = Dataset()
            record.ReferencedFileID = list(path.relative_to(tmp_path / "in").parts)
            records.append(record)
    index = FileDataset("", {}, file_meta=dataset(pattern(0)).file_meta, preamble=bytes(128))
    index.DirectoryRecordSequence = Sequence(records)
    save(index, tmp_path / "in" / "DICOMDIR")
    assert numbers(tmp_path, written(tmp_path, ["1,train,1,0,0"]), "in/DICOMDIR") == [1]


def test_single_files_are_found_by_their_names(tmp_path):
    for number in range(2):
        ds = enhanced()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(number), uid("s", number)
        save(ds, tmp_path / "in" / f"knee{number}.dcm")
    labels = written(tmp_path, ["knee1,train,1,0,0", "knee0.dcm,test,0,0,0"])
    done = convert(
        tmp_path / "in", tmp_path / "out", labels=labels, key_file=tmp_path / "key.csv", **QUIET
    )
    key = pd.read_csv(tmp_path / "key.csv", dtype=str)
    assert done.exams["labels_line"].tolist() == [2, 3]
    assert key["study"].tolist() == [uid(1), uid(0)]
    assert key["label"].tolist() == ["knee1", "knee0.dcm"]


def test_a_label_of_a_study_without_labels_is_said_with_its_reason(tmp_path):
    for index in range(4):
        ds = dataset(pattern(index), index=index, StudyInstanceUID=uid("each", index))
        save(ds, tmp_path / "in" / "p1" / f"{index}.dcm")
    for part in ("1", "2"):
        study(tmp_path / "in" / "p2" / part, int(part))
    with pytest.raises(InputError, match="Besides, a study is refused: its 4 images name 4"):
        numbers(tmp_path, written(tmp_path, ["p2,train,0,0,0"]))


ROWS = [("a", "train", 1, 0, 1), ("b", "test", 0, 1, 0)]
TABLE = "exam,split,abnormal,acl,meniscus\na,train,1,0,1\nb,test,0,1,0\n"
GOOD = {
    "plain": TABLE.encode(),
    "windows": TABLE.replace("\n", "\r\n").encode(),
    "old mac": TABLE.replace("\n", "\r").encode(),
    "mark": TABLE.encode("utf-8-sig"),
    "utf16": TABLE.encode("utf-16"),
    "utf16 without mark": TABLE.encode("utf-16-be"),
    "semicolons": TABLE.replace(",", ";").encode(),
    "tabs": TABLE.replace(",", "\t").encode(),
    "floats": TABLE.replace("1", "1.0").replace(",0", ",0.0").encode(),
    "commas for points": TABLE.replace(",", ";").replace(";1", ";1,0").encode(),
    "blanks": TABLE.replace(",", " , ").replace("train", "Train").encode(),
    "empty lines": ("\n" + TABLE.replace("\n", "\n,,,,\n\n")).encode(),
    "other order": (
        b'meniscus,note,acl,abnormal,Split,EXAM\n1,x,0,1,train,a\n0,"y, z",1,0,TEST,b\n'
    ),
    "no last line end": TABLE.strip().encode(),
}


@pytest.mark.parametrize("kind", GOOD)
def test_label_files_as_people_have_them_are_read(tmp_path, kind):
    path = tmp_path / "labels.csv"
    path.write_bytes(GOOD[kind])
    rows = read_labels(path)
    assert [tuple(row.values())[:5] for row in rows] == ROWS


def test_names_are_read_in_latin_and_in_either_spelling_of_accents(tmp_path):
    study(tmp_path / "in" / "Mu\u0308ller", 1)  # as macOS writes it
    labels = tmp_path / "labels.csv"
    labels.write_bytes((HEAD + "M\u00fcller,train,0,0,0\n").encode("cp1252"))
    assert numbers(tmp_path, labels) == [1]


BAD = {
    "empty": (b"\n \n", "is empty"),
    "header only": (HEAD.encode(), "has a header and no exams"),
    "no column": (b"exam,split,acl,meniscus\n", "has no column abnormal"),
    "two columns": (b"exam,exam,split,abnormal,acl,meniscus\n", "two columns exam"),
    "no exam": ((HEAD + ",train,0,0,0\n").encode(), "line 2: names no exam"),
    "split": ((HEAD + "a,trian,0,0,0\n").encode(), "line 2: split is 'trian'"),
    "label": ((HEAD + "a,train,0,2,0\n").encode(), "line 2: acl is '2', expected 0 or 1"),
    "no label": ((HEAD + "a,train,0,0,\n").encode(), "line 2: meniscus is ''"),
    "short": ((HEAD + "\na,train,0,0\n").encode(), "line 3: has 4 values"),
    "double": ((HEAD + "a,train,0,0,0\n" * 2).encode(), r"exam a has 2 lines \(2, 3\)"),
    "workbook": (b"PK\x03\x04" + bytes(99), "is an Excel workbook"),
    "old workbook": (b"\xd0\xcf\x11\xe0" + bytes(99), "is an old Excel workbook"),
    "pictures": (b"\xff\xfe\x00\xd8\x00", "not text in UTF-8 or UTF-16"),
    "huge": ((HEAD + "a" * 200_000 + ",train,0,0,0\n").encode(), "line 2: field larger"),
}


@pytest.mark.parametrize("kind", BAD)
def test_label_files_that_cannot_be_used_are_named_for_what_they_are(tmp_path, kind):
    content, reason = BAD[kind]
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_labels(tmp_path / "labels.csv")


def test_labels_that_are_not_there_are_an_input_error(tmp_path, capsys):
    study(tmp_path / "in" / "a", 1)
    words = [str(tmp_path / "in"), str(tmp_path / "out"), "--labels", str(tmp_path / "none.csv")]
    assert main(["preprocess", *words]) == 1
    assert "none.csv: not found" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
