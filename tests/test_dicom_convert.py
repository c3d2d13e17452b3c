"""Whole sources become exams: folders, zips, DICOMDIRs, labels, reports, and nobody's name."""

import contextlib
import io
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicom_files import AXIS, dataset, pattern, save, uid, write_series
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from mrnetlib.__main__ import main
from mrnetlib.dicom import convert, read_study, to_square
from mrnetlib.dicom.sources import find
from mrnetlib.exams import intensity
from mrnetlib.files import InputError, sha256

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
STACK = np.stack([pattern(index) for index in range(5)])
QUIET = {"workers": 1, "size": 24, "progress": False}


def study(folder, name, count=5, gain=1):
    """A study of three planes in its own folder."""
    image = lambda i: (gain * pattern(i)).astype(np.uint16)  # noqa: E731
    for plane in AXIS:
        changes = {"StudyInstanceUID": uid(name), "SeriesInstanceUID": uid(name, plane)}
        write_series(folder / name / plane, plane, count, image, **changes)


def test_studies_become_exams_in_mrnets_layout(tmp_path):
    for number in range(3):
        study(tmp_path / "in", f"study{number}")
    (tmp_path / "in" / "readme.txt").write_text("not DICOM")
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert not done.failed and "3 of 3 studies" in done.summary
    exams = pd.read_csv(tmp_path / "out" / "exams.csv", dtype={"exam": str})
    assert exams["exam"].tolist() == ["0000", "0001", "0002"]
    assert (exams["split"] == "test").all() and (exams["slices_axial"] == 5).all()
    for plane in AXIS:
        path = tmp_path / "out" / "valid" / plane / "0001.npy"
        np.testing.assert_array_equal(np.load(path), STACK)
        assert exams[f"sha256_{plane}"][1] == sha256(path)
    report = pd.read_csv(tmp_path / "out" / "dicom_report.csv")
    assert (report["decision"] == "taken").all() and len(report) == 9


def test_a_broken_study_does_not_stop_the_others(tmp_path):
    for number in range(3):
        study(tmp_path / "in", f"study{number}")
    victim = sorted((tmp_path / "in" / "study1" / "coronal").iterdir())[1]
    victim.write_bytes(victim.read_bytes()[:-50])
    (tmp_path / "in" / "study2" / "axial" / "empty.dcm").touch()
    (tmp_path / "in" / "bad.zip").write_bytes(b"PK nonsense")
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert set(done.failed) == {"0001", "0002", "-"}
    assert "pixels are cut short" in done.failed["0001"]
    assert "1 file could not be read" in done.failed["0002"]
    assert not (tmp_path / "out" / "valid" / "coronal" / "0001.npy").exists()
    assert done.exams["slices_coronal"].tolist() == [5, 0, 5]
    absent = done.report[done.report["decision"] == "absent"]
    assert absent["exam"].tolist() == ["0001"] and absent["plane"].tolist() == ["coronal"]


def test_the_command_line_tells_by_its_exit_status(tmp_path, capsys):
    study(tmp_path / "in", "a")
    asked = ["--size", "24", "--workers", "1", "--prefer", "sagittal=echo:1", "--allow-gaps"]
    words = [str(tmp_path / "in"), str(tmp_path / "out"), *asked]
    assert main(["convert", *words]) == 0
    assert "1 of 1 studies became exams" in capsys.readouterr().out
    victim = next((tmp_path / "in" / "a" / "axial").iterdir())
    victim.write_bytes(victim.read_bytes()[:-50])
    words[1] = str(tmp_path / "again")
    assert main(["convert", *words]) == 1
    assert "study 0000: axial series 3: its pixels are cut short" in capsys.readouterr().out


def test_a_study_spread_over_folders_is_one_exam(tmp_path):
    for plane in AXIS:
        write_series(tmp_path / "in" / f"{plane} of both", plane, 5)
    same = {"StudyInstanceUID": uid("other"), "SeriesInstanceUID": uid("other")}
    write_series(tmp_path / "in" / "axial of both", "axial", 5, **same)
    done = convert(tmp_path / "in", tmp_path / "out", **QUIET)
    assert done.exams["slices_sagittal"].tolist() == [5, 0]
    assert not done.failed


def test_zip_of_studies_and_folder_of_zips(tmp_path):
    for number in range(2):
        study(tmp_path / "in", f"study{number}")
    (tmp_path / "zips").mkdir()
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as whole:
        for folder in sorted((tmp_path / "in").iterdir()):
            with zipfile.ZipFile(tmp_path / "zips" / f"{folder.name}.zip", "w") as one:
                for path in sorted(folder.rglob("*.dcm")):
                    whole.write(path, path.relative_to(tmp_path))
                    one.write(path, path.relative_to(tmp_path))
    tables = [
        convert(tmp_path / source, tmp_path / f"out-{number}", **QUIET).exams
        for number, source in enumerate(("in", "all.zip", "zips"))
    ]
    assert len(tables[0]) == 2
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])
    assert set(read_study(tmp_path / "zips" / "study0.zip")) == set(AXIS)


def test_dicomdir_lists_what_is_read(tmp_path):
    paths = write_series(tmp_path / "IMAGES", "sagittal", 6)
    records = []
    for path in paths[:5]:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = ["IMAGES", path.name]
        records.append(record)
    outside = Dataset()
    outside.ReferencedFileID = ["..", "elsewhere.dcm"]
    index = FileDataset("", {}, file_meta=dataset(pattern(0)).file_meta, preamble=bytes(128))
    index.DirectoryRecordSequence = Sequence([*records, outside])
    save(index, tmp_path / "DICOMDIR")
    found = list(find(tmp_path / "DICOMDIR"))
    assert len(found) == 5 and all("elsewhere" not in file.path for file in found)
    np.testing.assert_array_equal(read_study(tmp_path / "DICOMDIR")["sagittal"].pixels, STACK)
    assert len(read_study(tmp_path)["sagittal"].pixels) == 6
    (tmp_path / "DICOMDIR").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a readable DICOMDIR"):
        read_study(tmp_path / "DICOMDIR")


def test_outputs_whole_or_not_at_all(tmp_path, monkeypatch):
    study(tmp_path / "in", "a")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match="exists and is not empty"):
        convert(tmp_path / "in", tmp_path / "out", **QUIET)

    def full(path, array):
        raise InputError(f"{path}: could not be written (No space left on device).")

    monkeypatch.setattr(sys.modules["mrnetlib.dicom.convert"], "write_array", full)
    with pytest.raises(InputError, match="No space left"):
        convert(tmp_path / "in", tmp_path / "new", **QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    with pytest.raises(InputError, match="no DICOM files"):
        convert(tmp_path / "out", tmp_path / "new", **QUIET)


def test_labels_number_exams_and_landmarks_come_from_training_exams_only(tmp_path):
    gains = {"p3": 1, "p1": 4, "p2": 9}
    for name, gain in gains.items():
        study(tmp_path / "in", name, gain=gain)
    lines = "exam,split,abnormal,acl,meniscus\np2,test,1,0,1\np3,train,0,0,0\np1,train,1,1,0\n"
    (tmp_path / "labels.csv").write_text(lines)
    asked = {**QUIET, "labels": tmp_path / "labels.csv"}
    raw = convert(tmp_path / "in", tmp_path / "raw", **asked)
    assert raw.exams["split"].tolist() == ["train", "train", "test"]
    assert (tmp_path / "raw" / "train-acl.csv").read_text() == "0000,0\n0001,1\n"
    assert (tmp_path / "raw" / "valid-meniscus.csv").read_text() == "0002,1\n"
    train = [np.load(tmp_path / "raw" / "train" / "axial" / f"000{n}.npy") for n in range(2)]
    assert train[1].max() == 4 * train[0].max()
    done = convert(tmp_path / "in", tmp_path / "out", learn_landmarks=True, **asked)
    landmarks = intensity.load(tmp_path / "out" / "landmarks.json")
    assert landmarks["axial"] == intensity.learn(train)
    path = tmp_path / "out" / "valid" / "axial" / "0002.npy"
    test = np.load(tmp_path / "raw" / "valid" / "axial" / "0002.npy")
    np.testing.assert_array_equal(np.load(path), intensity.apply(test, landmarks["axial"]))
    assert done.exams["sha256_axial"][2] == sha256(path)
    given = {**QUIET, "landmarks": tmp_path / "out" / "landmarks.json"}
    again = convert(tmp_path / "in", tmp_path / "again", **given)
    assert set(again.exams["sha256_axial"]) == set(done.exams["sha256_axial"])
    (tmp_path / "labels.csv").write_text(lines + "p9,test,0,0,0\n")
    with pytest.raises(InputError, match="exam p9 has no folder"):
        convert(tmp_path / "in", tmp_path / "no", **asked)


def test_processes_change_nothing(tmp_path):
    for number in range(3):
        study(tmp_path / "in", f"study{number}", gain=number + 1)
    one = convert(tmp_path / "in", tmp_path / "one", **QUIET)
    two = convert(tmp_path / "in", tmp_path / "two", **{**QUIET, "workers": 2})
    pd.testing.assert_frame_equal(one.exams, two.exams)
    pd.testing.assert_frame_equal(one.report, two.report)


SECRET = "Quetzalcoatl"
DATE = "19870605"
NUMBER = "98765432123"
PLANTED = {
    **dict.fromkeys(("PN", "LO", "SH", "LT", "ST", "UT", "UC", "UR"), f"{SECRET}^{NUMBER}"),
    **{"AE": SECRET, "CS": SECRET.upper(), "AS": "087Y", "UI": f"1.2.{NUMBER}"},
    **{"DA": DATE, "DT": f"{DATE}010203", "TM": "010203.987654"},
}
#: Elements that say what kind of image it is; a name there would be no image.
KEPT = {"SOPClassUID", "Modality", "PhotometricInterpretation", "SpecificCharacterSet"}


@pytest.fixture(autouse=True)
def _no_advice():
    """pydicom may think what it likes of these files while they are written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def plant(ds, index):
    """Identifiers in every text element that DICOM knows, and in private ones."""
    kept = {name: ds.get(name) for name in KEPT if name in ds}
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        wanted = vr in PLANTED and 0x0008 <= tag >> 16 <= 0x5400 and not retired and keyword
        if wanted and keyword not in KEPT and keyword != "ConversionType":
            setattr(ds, keyword, PLANTED[vr])
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"1.2.{NUMBER}.1", f"1.2.{NUMBER}.{ds.SeriesNumber}"
    ds.SOPInstanceUID = f"1.2.{NUMBER}.{ds.SeriesNumber}.{index}"
    ds.ImageType = ["ORIGINAL", "PRIMARY", SECRET.upper()]
    for name, value in kept.items():
        setattr(ds, name, value)
    ds.BurnedInAnnotation = "NO"
    ds.private_block(0x0029, SECRET, create=True).add_new(1, "LO", SECRET)


def test_nothing_that_identifies_a_person_leaves(tmp_path, capfd):
    patient = tmp_path / "in" / f"{SECRET}_{DATE}"
    for plane in AXIS:
        write_series(patient / f"{plane} {SECRET}", plane, 2, mend=plant)
    # A second study that is refused: reasons must not quote either.
    gap = {"ImagePositionPatient": lambda i: [4.0 * (i + (i > 3)), 0, 0]}
    changes = {"StudyInstanceUID": uid("b"), "SeriesDescription": SECRET, "PatientName": SECRET}
    paths = write_series(tmp_path / "in" / f"{SECRET}b", "sagittal", 6, **gap, **changes)
    paths[0].with_name(f"{SECRET}.dcm").write_bytes(paths[0].read_bytes()[:400])
    paths[0].with_name(f"{SECRET}.txt").write_text(SECRET)
    out, key = tmp_path / "out", tmp_path / "key.csv"
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as printed:
        warnings.simplefilter("error")  # pydicom's warnings quote values
        done = convert(tmp_path / "in", out, key_file=key, **{**QUIET, "progress": True})
        print(done.summary)
    assert len(done.exams) == 1 and set(done.failed) == {"0001"}
    seen = printed.getvalue() + "".join(capfd.readouterr())
    contents = [path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()]
    names = "".join(str(path.relative_to(out)) for path in out.rglob("*"))
    assert len(contents) == 5
    everything = b"".join(contents) + (names + seen + repr(done)).encode()
    for identifier in (SECRET, DATE, NUMBER, "010203", "087Y"):
        for text in {identifier, identifier.upper(), identifier.lower()}:
            assert text.encode() not in everything, f"{text} left"
    kept = pd.read_csv(key, dtype=str)
    assert kept["exam"].tolist() == ["0000", "0001"] and NUMBER in kept["study"][0]
    assert key.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="keys are not overwritten"):
        convert(tmp_path / "in", tmp_path / "again", key_file=key, **QUIET)
    with pytest.raises(InputError, match="free of identities"):
        convert(tmp_path / "in", tmp_path / "again", key_file=tmp_path / "again" / "k.csv", **QUIET)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"SKIPPED ALOUD: no real knees at {SHARED}")
def test_real_multi_echo_knee(tmp_path):
    source = SHARED / "knee_sagittal_multiecho"
    done = convert(source, tmp_path / "out", workers=1, progress=False)
    report = done.report[done.report["plane"] == "sagittal"]
    assert len(report) == 8 and (report["images"] == 24).all()
    assert report["decision"].value_counts().to_dict() == {"left": 7, "taken": 1}
    assert (np.diff(report["echo_ms"]) > 6).all() and (report["slice_mm"] == 4).all()
    taken = report[report["decision"] == "taken"]["reason"].iloc[0]
    assert "T2-weighted like MRNet's sagittal series" in taken
    volume = to_square(read_study(source)["sagittal"]).pixels
    standardized = intensity.apply(volume, intensity.learn([volume]))
    assert standardized.shape == (24, 256, 256) and standardized.dtype == np.uint8
    # A knee: dark at the rim, bright bone in the middle, neighbouring slices alike.
    assert standardized[:, :15].mean() < standardized[8:16, 90:150, 100:150].mean() / 3
    flat = standardized.reshape(24, -1).astype(float)
    alike = [np.corrcoef(flat[i], flat[i + 1])[0, 1] for i in range(23)]
    far = [np.corrcoef(flat[i], flat[(i + 12) % 24])[0, 1] for i in range(23)]
    assert min(alike) > 0.5 and np.mean(alike) > np.mean(far) + 0.1


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"SKIPPED ALOUD: no real knees at {SHARED}")
def test_real_compressed_knee_is_the_same_from_every_codec():
    images, lacking = [], []
    for path in sorted((SHARED / "knee_coronal_compressed").iterdir()):
        try:
            images.append(read_study(path)["coronal"].pixels)
        except InputError as error:
            assert "mrnetlib[codecs]" in str(error)
            lacking.append(path.name)
    assert images, "RLE needs no codec"
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])
    assert images[0].shape == (1, 512, 512) and images[0].max() > 500
    if lacking:
        pytest.skip(f"SKIPPED ALOUD: {len(lacking)} files need the codecs extra; the others agree")
