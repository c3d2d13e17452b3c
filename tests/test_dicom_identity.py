"""Whose a file is: the study's UID as pydicom reads it, one patient, series and studies apart."""

import gzip
import warnings
from collections import Counter
from pathlib import Path

import pytest
from dicom_files import AXIS, dataset, pattern, save, uid, write_series, write_study
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from mrnetlib.dicom import convert, read_study
from mrnetlib.dicom.archives import File
from mrnetlib.dicom.identity import identity, several_people, study_uid
from mrnetlib.dicom.sources import find
from mrnetlib.files import InputError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
QUIET = {"workers": 1, "size": 24, "progress": False}


@pytest.fixture(autouse=True)
def _no_advice():
    """pydicom may think what it likes of these files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def by_pydicom(path):
    return str(dcmread(path, stop_before_pixels=True, force=True).get("StudyInstanceUID", ""))


def test_every_file_of_pydicoms_own_tests_has_its_uid():
    paths = [Path(path) for path in get_testdata_files() if Path(path).is_file()]
    found = {path: study_uid(File(str(path))) for path in paths}
    assert sum(bool(one) for one in found.values()) > 40
    for path, said in found.items():
        if said is not None:
            assert said == by_pydicom(path), path.name


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"SKIPPED ALOUD: no real knees at {SHARED}")
def test_every_real_knee_has_its_uid():
    paths = [path for path in SHARED.rglob("*") if path.is_file()]
    said = {path: study_uid(File(str(path))) for path in paths}
    assert len(said) > 190
    assert all(found == by_pydicom(path) for path, found in said.items() if found is not None)


def referring(ds, undefined=False):
    """Many references before the study's UID, so that it lies beyond the first bytes."""
    ds.ReferencedImageSequence = Sequence()
    for number in range(300):
        item = Dataset()
        item.ReferencedSOPInstanceUID, item.StudyInstanceUID = uid(number), uid("another", number)
        ds.ReferencedImageSequence.append(item)
    ds["ReferencedImageSequence"].is_undefined_length = undefined
    return ds


SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
}


@pytest.mark.parametrize("before", ["nothing", "references", "undefined"])
@pytest.mark.parametrize("kind", [*SYNTAXES, "no preamble", "odd uid", "other order"])
def test_the_uid_is_pydicoms_whatever_the_syntax_and_what_stands_before(tmp_path, kind, before):
    ds = dataset(pattern(1), StudyInstanceUID="1.2.3" if kind == "odd uid" else uid("here"))
    ds.PatientID = "P1"
    if before != "nothing":
        referring(ds, before == "undefined")
    if kind == "rle":
        ds.compress(RLELossless)
    else:
        ds.file_meta.TransferSyntaxUID = SYNTAXES.get(kind, ExplicitVRLittleEndian)
    path = tmp_path / "file.dcm"
    dcmwrite(path, ds, enforce_file_format=True)
    if kind == "no preamble":
        path.write_bytes(path.read_bytes()[132:])
    if kind == "other order":  # an element of group 16 before those of group 8
        first = b"\x08\x00\x08\x00CS"
        content = path.read_bytes()
        path.write_bytes(content.replace(first, b"\x10\x00\x40\x00CS\x00\x00" + first, 1))
    file = File(str(path))
    assert study_uid(file) == ds.StudyInstanceUID
    said = identity(file, file.head())
    assert said.series == ds.SeriesInstanceUID and said.patient == ("", "P1", "", "")


def test_one_study_in_many_syntaxes_is_one_exam(tmp_path):
    for plane, syntax in zip(AXIS, list(SYNTAXES.values())[:3], strict=True):
        for path in write_series(tmp_path / "in" / plane, plane, 5):
            ds = dcmread(path)
            ds.file_meta.TransferSyntaxUID = syntax
            if syntax == ExplicitVRBigEndian:
                ds.PixelData = ds.pixel_array.astype(">u2").tobytes()
            if plane == "axial":
                referring(ds)
            dcmwrite(path, ds, enforce_file_format=True)
    done = convert(tmp_path / "in", tmp_path / "out", key_file=tmp_path / "key.csv", **QUIET)
    assert not done.failed and done.exams["slices_axial"].tolist() == [5]
    assert f"0000,{uid('study')}," in (tmp_path / "key.csv").read_text()


PEOPLE = {
    "number": ({"PatientID": "A1"}, {"PatientID": "B2"}, "PatientID"),
    "birth": ({"PatientBirthDate": "19700101"}, {"PatientBirthDate": "19800101"}, "BirthDate"),
    "sex": ({"PatientSex": "F"}, {"PatientSex": "M"}, "PatientSex"),
    "name": ({"PatientName": "Doe^Ann"}, {"PatientName": "Roe^Bob"}, "PatientName"),
    "same number": (
        {"PatientID": "0", "PatientName": "Doe^Ann"},
        {"PatientID": "0", "PatientName": "Roe^Bob"},
        "PatientName",
    ),
    "capitals": ({"PatientName": "Doe^Ann"}, {"PatientName": "DOE^ANN^^^"}, ""),
    "together": ({"PatientName": "Doe^Ann"}, {"PatientName": "ann doe"}, ""),
    "glued": ({"PatientName": "Doe^Ann"}, {"PatientName": "DoeAnn"}, ""),
    "missing": ({"PatientID": "A1", "PatientName": "Doe"}, {"PatientID": ""}, ""),
    "blank": ({"PatientID": "a1 "}, {"PatientID": "A1"}, ""),
    "other sex": ({"PatientSex": "O"}, {"PatientSex": "M"}, ""),
}


@pytest.mark.parametrize("case", PEOPLE)
def test_two_people_under_one_study_are_refused(tmp_path, case):
    one, other, differing = PEOPLE[case]
    for plane in AXIS:
        write_series(tmp_path / "in" / plane, plane, 5, **(other if plane == "axial" else one))
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    if not differing:
        assert not done.failed and len(done.exams) == 1
        return
    assert f"{differing} differs: 10 files of one, 5 of others" in done.failed["0000"]
    assert done.exams.empty and (done.report["decision"] != "taken").all()
    with pytest.raises(InputError, match="several patients"):
        read_study(tmp_path / "in")


def test_a_name_in_another_character_set_is_no_other_person():
    latin, utf8 = "Müller".encode("latin-1"), "Müller".encode()
    names = [name.decode("latin-1") for name in (latin, utf8)]
    assert not several_people(Counter((name, "", "", "") for name in names))
    assert several_people(Counter((name, "", "", "") for name in ("Smith", "Jones")))


@pytest.mark.parametrize("layout", ["one folder", "by plane", "by file"])
def test_a_uid_for_every_file_is_refused(tmp_path, layout):
    for plane in AXIS:
        for index in range(6):
            place = {"one folder": ".", "by plane": plane, "by file": f"{plane}/{index}"}[layout]
            ds = dataset(pattern(index), plane, index, StudyInstanceUID=uid(plane, index))
            save(ds, tmp_path / "in" / place / f"{plane}{index}.dcm")
    write_study(tmp_path / "in" / "sound", 5)
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert len(done.exams) == 1 and set(done.exams["slices_axial"]) == {5}
    assert len(done.failed) == (1 if layout == "one folder" else 3)
    assert all("StudyInstanceUID of its own" in reason for reason in done.failed.values())


def test_single_files_of_many_frames_are_studies(tmp_path):
    from dicom_files import enhanced

    for number in range(4):
        ds = enhanced()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("s", number), uid("e", number)
        save(ds, tmp_path / "in" / f"{number}.dcm")
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert not done.failed and len(done.exams) == 4


def test_a_series_that_lies_in_two_studies_is_refused(tmp_path):
    for number, path in enumerate(write_series(tmp_path / "in", "sagittal", 6)):
        ds = dcmread(path)
        ds.StudyInstanceUID = uid("half", number % 2)
        save(ds, path)
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert done.exams.empty and len(done.failed) == 2
    assert "one of its series name 2 studies" in done.failed["0000"]


def test_a_uid_for_every_series_is_told(tmp_path):
    for plane in AXIS:
        changes = {"StudyInstanceUID": uid(plane), "FrameOfReferenceUID": uid("frame")}
        write_series(tmp_path / "in" / plane, plane, 5, **changes)
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert set(done.failed) == {"0000", "0001", "0002"}
    assert "they seem to be one whose" in done.failed["0000"]


def test_files_that_name_no_study_are_put_together_by_folder_and_it_is_said(tmp_path):
    write_study(tmp_path / "in" / "a", 5, StudyInstanceUID=None)
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert all("names no study" in reason for reason in done.failed.values()) and done.failed


def test_files_that_name_no_study_belong_to_that_of_their_folder(tmp_path):
    for plane in AXIS:
        changes = {"StudyInstanceUID": None} if plane == "axial" else {}
        write_series(tmp_path / "in" / "a" / plane, plane, 5, **changes)
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert not done.failed and done.exams["slices_axial"].tolist() == [5]


def test_a_gzipped_file_keeps_its_uid(tmp_path):
    path = save(dataset(pattern(1)), tmp_path / "one.dcm")
    packed = tmp_path / "two.dcm.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    (file,) = find(tmp_path)
    assert file.location[-1] == "two.dcm" and study_uid(file) == uid("study")
