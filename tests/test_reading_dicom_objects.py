"""A reading's DICOM objects: the same numbers, in the same place, of the same exam."""

import shutil
import subprocess
from itertools import product
from pathlib import Path

import highdicom
import numpy as np
import pytest
from conftest import files_in
from dicom_files import enhanced, save, uid, write_series
from pydicom import DataElement, dcmread
from pydicom.config import IGNORE
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import generate_uid
from reading_made import made_plane, made_reading, of_volumes

from mrnetlib import phantom
from mrnetlib.dicom import read_study, to_square
from mrnetlib.files import InputError, read_json
from mrnetlib.names import TASKS
from mrnetlib.phantom.dicom_writer import write_study as write_phantom
from mrnetlib.reading import codes, command
from mrnetlib.reading.dicom_objects import obstacles, write_objects
from mrnetlib.reading.evidence import Evidence
from mrnetlib.reading.maps import MAX_SIDE
from mrnetlib.reading.reading import PlaneReading, Source

REAL_KNEE = Path(__file__).resolve().parents[2] / "shared/data/knee_sagittal_multiecho"
needs_validator = pytest.mark.skipif(
    shutil.which("dciodvfy") is None,
    reason="the validator dciodvfy is not here (Debian: apt install dicom3tools)",
)


@pytest.fixture(scope="module")
def knee(tmp_path_factory):
    """The reading of a digital knee, its source folder and the files written of it by name."""
    folder = tmp_path_factory.mktemp("reading")
    labels = {"abnormal": 1, "acl": 1, "meniscus": 0}
    exam = phantom.make_exam("0000", labels, phantom.small_protocol(), 5)
    write_phantom(exam, folder / "study", 5)
    reading = of_volumes(read_study(folder / "study"))
    paths = write_objects(reading, folder)
    return reading, folder / "study", {path.stem: path for path in paths}


def numbers(report) -> dict[tuple[str, str], float]:
    """Every number of a structured report by its group's and its own name."""
    found = {}
    for group in report.content.get_image_measurement_groups():
        for one in group.get_measurements():
            found[group.tracking_identifier, one.name.value] = one.value
    return found


def test_the_report_says_the_readings_numbers(knee):
    reading, _, paths = knee
    report = highdicom.sr.srread(paths["report"])
    assert report.content[0].ContentTemplateSequence[0].TemplateIdentifier == "1500"
    said = numbers(report)
    every = report.content.get_image_measurement_groups()
    for task in TASKS:
        groups = [group for group in every if group.finding_type == codes.TASK[task]]
        assert len(groups) == 1 + len(reading.planes)
        fused = groups[0].tracking_identifier
        estimate = reading.probabilities[task]["fused"]
        for name in (codes.PROBABILITY, codes.LOW, codes.HIGH, codes.FOUND, codes.SCORED):
            field = {codes.PROBABILITY.value: "value"}.get(name.value, name.value)
            assert said[fused, name.value] == getattr(estimate, field)
        for group, (plane, one) in zip(groups[1:], reading.planes.items(), strict=True):
            key = group.tracking_identifier
            assert said[key, codes.PROBABILITY.value] == reading.probabilities[task][plane].value
            assert said[key, codes.PLANE_SHARE.value] == reading.fused[task][plane]
            logit = said[key, codes.BIAS.value] + said[key, codes.SUM.value]
            assert logit == pytest.approx(said[key, codes.LOGIT.value], abs=1e-5)
            assert said[key, codes.LOGIT.value] == one.evidence[task].logit


def meaning(item) -> str:
    return item.ConceptNameCodeSequence[0].CodeMeaning


def test_people_read_few_digits_names_and_the_warnings_first(knee):
    _, _, paths = knee
    report = dcmread(paths["report"])
    for item in items(report, "NUM"):
        value = item.MeasuredValueSequence[0]
        if "FloatingPointValue" in value:
            assert float(value.NumericValue) == pytest.approx(value.FloatingPointValue, rel=1e-3)
        assert len(value.NumericValue.original_string) <= len("-1.234e-05")
    counted = (codes.FOUND.meaning, codes.SCORED.meaning)
    counts = [item for item in items(report, "NUM") if meaning(item) in counted]
    assert {str(item.MeasuredValueSequence[0].NumericValue) for item in counts} == {"7", "10"}
    names = [meaning(item) for item in report.ContentSequence]
    first = names.index("Comment")
    assert "not a medical device" in report.ContentSequence[first].TextValue
    assert first < names.index("Imaging Measurements")
    for one in (report, dcmread(paths["key_images_acl"])):  # else viewers leave out the names
        inner = [item.ContinuityOfContent for item in items(one, "CONTAINER")]
        assert {one.ContinuityOfContent, *inner} == {"SEPARATE"}


def test_a_group_names_its_own_networks_only(tmp_path):
    write_series(tmp_path / "study", "axial", 4)
    names = ("axial_acl.safetensors", "axial_abnormal.safetensors", "manifest.json", "model.json")
    models = {f"alexnet/2020/{name}": "0123abcd" * 8 for name in names}
    reading = of_volumes(read_study(tmp_path / "study"), models=models)
    report = dcmread(write_objects(reading, tmp_path)[0])
    for group in (one for one in items(report, "CONTAINER") if "Group" in meaning(one)):
        said = [item.TextValue.split()[0] for item in items(group, "TEXT")
                if meaning(item) == "Algorithm Parameters"]  # fmt: skip
        task = next(iter(items(group, "CODE"))).ConceptCodeSequence[0].CodeValue
        own = (f"_{task}.safetensors", "manifest.json")
        assert said == [name for name in models if name.endswith(own)]


def test_every_object_is_a_series_with_a_title_of_its_own(knee):
    made = [dcmread(path, stop_before_pixels=True) for path in knee[2].values()]
    for keyword in ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription"):
        assert len({one[keyword].value for one in made}) == len(made)


def items(item, kind: str):
    """All items of a kind in a report, at any depth."""
    for one in item.get("ContentSequence", []):
        if one.ValueType == kind:
            yield one
        yield from items(one, kind)


def test_the_report_names_its_algorithm_its_images_and_its_limits(knee):
    reading, _, paths = knee
    report = dcmread(paths["report"])
    words = "\n".join(item.TextValue for item in items(report, "TEXT"))
    assert "Research software, not a medical device" in words
    assert reading.warnings[0] in words and "synthetic knees, not patients" in words
    assert reading.probabilities["acl"]["wording"] in words
    assert "0123abcd" * 8 in words
    shown = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
             for item in items(report, "IMAGE")}  # fmt: skip
    expected = set()
    for one in reading.planes.values():
        sources = one.source.datasets()
        told = {index for slices in one.telling.values() for index in slices[:3]}
        expected |= {str(sources[index].SOPInstanceUID) for index in told}
    assert shown == expected


def test_key_objects_are_the_slices_with_most_evidence(knee):
    reading, _, paths = knee
    document = highdicom.ko.KeyObjectSelectionDocument.from_dataset(
        dcmread(paths["key_images_acl"])
    )
    shown = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
             for item in document.content.get_references()]  # fmt: skip
    expected = []
    for one in reading.planes.values():
        sources = one.source.datasets()
        expected += [sources[index].SOPInstanceUID for index in one.telling["acl"][:3]]
    assert shown == expected


def test_a_map_holds_the_shares_and_their_sum(knee):
    reading, _, paths = knee
    for plane, one in reading.planes.items():
        evidence = one.evidence["acl"]
        stored = dcmread(paths[f"evidence_{plane}_acl"])
        values = np.frombuffer(stored.FloatPixelData, "<f4").reshape(
            int(stored.NumberOfFrames), stored.Rows, stored.Columns
        )
        shares = evidence.on_pixels()
        grids = one.source.grids()
        for frame, groups in zip(values, stored.PerFrameFunctionalGroupsSequence, strict=True):
            corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
            far = [np.linalg.norm(grid.first - corner) for grid in grids]
            assert min(far) < 1e-4
            np.testing.assert_array_equal(frame, shares[int(np.argmin(far))])
        assert evidence.bias + values.sum(dtype=float) == pytest.approx(evidence.logit, abs=1e-5)
        image = highdicom.imread(paths[f"evidence_{plane}_acl"])
        np.testing.assert_allclose(image.get_frames(apply_real_world_transform=True), values)


def test_all_belong_to_the_exam_and_only_they_hold_its_identity(knee):
    _, study, paths = knee
    source = dcmread(next(study.rglob("*.dcm")), stop_before_pixels=True)
    assert len(paths) == 1 + 3 + 9
    seen = set()
    for path in paths.values():
        made = dcmread(path, stop_before_pixels=True)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyID"):
            assert made[keyword].value == source[keyword].value
        if "evidence" in path.name:
            assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
            shared = made.SharedFunctionalGroupsSequence[0]  # without it dcmqi ends
            assert shared.FrameAnatomySequence[0].FrameLaterality == source.Laterality
        seen.add(made.SOPInstanceUID)
    assert len(seen) == len(paths)


def planted(plane, volume, size: int) -> PlaneReading:
    """A plane whose evidence is its picture: a bright pixel is a hot spot of evidence."""
    square = to_square(volume, size).pixels.astype(np.float32)
    one = Evidence(float(square.sum()), 0.0, square, 0.0, 1.0, size)
    return PlaneReading(
        plane, square.astype(np.uint8), {"acl": one}, {"acl": [0, 1, 2]}, Source(volume, size)
    )


@pytest.mark.parametrize(
    ("plane", "left", "head", "swap", "size"),
    [("coronal", *turns, 48) for turns in product((1, -1), (1, -1), (False, True))]
    + [("axial", 1, 1, False, 2 * MAX_SIDE), ("sagittal", -1, 1, True, 48)],
)
def test_a_hot_spot_lies_where_it_lies_in_the_patient(tmp_path, plane, left, head, swap, size):
    spot, rows, columns, row_mm, column_mm = (3, 6, 21), 20, 30, 0.8, 0.5
    bases = {"coronal": np.eye(3)[[0, 2, 1]], "axial": np.eye(3), "sagittal": np.eye(3)[[1, 2, 0]]}
    tilt = np.radians(7)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    first, second, normal = bases[plane] @ turn.T
    across, down = (left * first, head * second)[:: -1 if swap else 1]
    positions = [np.array([-31.5, 12.25, 40.0]) + 4.0 * k * normal for k in range(8)]

    def image(index):
        pixels = np.full((rows, columns), 10, np.uint16)
        pixels[0, 0] += index
        if index == spot[0]:
            pixels[spot[1], spot[2]] = 60_000
        return pixels

    write_series(
        tmp_path, plane, 8, image, PixelSpacing=[row_mm, column_mm],
        FrameOfReferenceUID=uid("frame"), ImageOrientationPatient=[*across, *down],
        ImagePositionPatient=lambda index: list(positions[index]),
    )  # fmt: skip
    reading = made_reading({plane: planted(plane, read_study(tmp_path)[plane], size)}, ["acl"])
    paths = {path.stem: path for path in write_objects(reading, tmp_path / "out")}
    made = dcmread(paths[f"evidence_{plane}_acl"])
    shape = int(made.NumberOfFrames), made.Rows, made.Columns
    values = np.frombuffer(made.FloatPixelData, "<f4").reshape(shape)
    assert max(shape[1:]) <= MAX_SIDE
    frame, row, column = np.unravel_index(values.argmax(), shape)
    shared = made.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    pixel = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    groups = made.PerFrameFunctionalGroupsSequence[int(frame)]
    corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
    found = corner + cosines[3:] * pixel[0] * row + cosines[:3] * pixel[1] * column
    truth = positions[spot[0]] + row_mm * spot[1] * down + column_mm * spot[2] * across
    assert np.abs((found - truth) @ np.array([across, down, normal]).T).max() <= pixel[0]
    assert abs((found - truth) @ normal) < 1e-3


def test_frames_of_one_object_are_named_by_their_numbers(tmp_path):
    order = [3, 0, 5, 1, 4, 2, 7, 6]
    made = enhanced("sagittal", 8, order)
    made.FrameOfReferenceUID = generate_uid()
    save(made, tmp_path / "study" / "all.dcm")
    reading = of_volumes(read_study(tmp_path / "study"))
    paths = {path.stem: path for path in write_objects(reading, tmp_path)}
    content = dcmread(paths["key_images_acl"]).ContentSequence
    named = [item.ReferencedSOPSequence[0].ReferencedFrameNumber
             for item in content if item.ValueType == "IMAGE"]  # fmt: skip
    told = reading.planes["sagittal"].telling["acl"][:3]
    assert named == [order.index(index) + 1 for index in told]
    heights = [
        group.PlanePositionSequence[0].ImagePositionPatient[0]
        for group in dcmread(paths["evidence_sagittal_acl"]).PerFrameFunctionalGroupsSequence
    ]
    assert heights == [4.0 * index for index in range(8)]


def test_what_has_no_place_gets_none_and_it_is_said(tmp_path):
    write_series(tmp_path / "study", "axial")  # names neither patient nor frame of reference
    reading = of_volumes(read_study(tmp_path / "study"))
    paths = write_objects(reading, tmp_path)
    assert {path.stem.partition("_")[0] for path in paths} == {"report", "key"}
    assert len(obstacles(reading)) == 1 and "no frame of reference" in obstacles(reading)[0]
    assert dcmread(paths[0]).PatientName == ""
    slices = np.zeros((8, 64, 64), np.uint8)
    arrays = made_reading({"axial": made_plane("axial", slices, None)})
    assert write_objects(arrays, tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    assert "came as arrays" in obstacles(arrays)[0]


def test_why_there_are_no_objects_is_said_where_they_would_be(knee, tmp_path):
    slices = np.zeros((8, 64, 64), np.uint8)
    arrays = made_reading({"axial": made_plane("axial", slices, None)})
    for name, reading, anonymous, word in (
        ("arrays", arrays, False, "came as arrays"),
        ("anonymous", knee[0], True, "--anonymous"),
    ):
        (note,) = command.write(reading, tmp_path / name, anonymous)
        assert word in note and read_json(tmp_path / name / "reading.json")["notes"] == [note]
        assert files_in(tmp_path / name) == ["reading.json", "report.html"]


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (None, "A^B"),
    ],
)
def test_names_of_all_alphabets_stay_what_they_are(tmp_path, charset, name):
    changes = {"PatientName": name, "SpecificCharacterSet": charset, "StudyDescription": "Knie"}
    write_series(tmp_path / "study", "axial", 4, **changes)
    reading = of_volumes(read_study(tmp_path / "study"), warnings=["größer als üblich"])
    for path in write_objects(reading, tmp_path):
        made = dcmread(path)
        assert str(made.PatientName) == name and made.SpecificCharacterSet == "ISO_IR 192"
    report = dcmread(tmp_path / "dicom" / "report.dcm")
    assert "größer als üblich" in [item.TextValue for item in items(report, "TEXT")]


def test_nonsense_in_headers_is_left_out(tmp_path):
    def mend(ds, _):
        ds.add(DataElement("StudyTime", "TM", "noon", validation_mode=IGNORE))
        ds[0x00101020] = RawDataElement(Tag("PatientSize"), "DS", 4, b"1,80", 0, False, True)
        ds.add(DataElement("PatientBirthDate", "DA", "1961-02-03", validation_mode=IGNORE))

    write_series(tmp_path / "study", "axial", 4, mend=mend, PatientSex="W")
    made = dcmread(write_objects(of_volumes(read_study(tmp_path / "study")), tmp_path)[0])
    for keyword in ("PatientSex", "PatientBirthDate", "StudyTime"):
        assert not made[keyword].value
    assert made.StudyInstanceUID == uid("study")


def test_headers_that_allow_no_object_are_an_error_that_says_what_to_do(knee, monkeypatch):
    def refuse(*_, **__):
        raise TypeError("some value of the patient's")

    monkeypatch.setattr("mrnetlib.reading.dicom_objects.report", refuse)
    with pytest.raises(InputError, match="--anonymous") as caught:
        write_objects(knee[0], knee[1].parent / "never")
    assert "some value" not in str(caught.value)
    assert not (knee[1].parent / "never").exists()


def complaints(path: Path) -> set[str]:
    """What dciodvfy calls an error in a file."""
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace")
    assert done.stdout or done.stderr
    return {line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")}


@needs_validator
def test_the_validator_finds_no_error(knee):
    assert {path.name: complaints(path) for path in knee[2].values() if complaints(path)} == {}


@needs_validator
@pytest.mark.skipif(not REAL_KNEE.is_dir(), reason="the real knee is not here (shared/data)")
def test_of_a_real_knee_only_the_exams_own_errors_are_found(tmp_path):
    reading = of_volumes(read_study(REAL_KNEE))
    paths = write_objects(reading, tmp_path)
    own = complaints(next(REAL_KNEE.glob("*.dcm")))
    assert len(paths) == 1 + 3 + 3
    assert {error for path in paths for error in complaints(path) - own} == set()


@needs_validator
def test_the_validator_would_have_found_an_error(knee, tmp_path):
    damaged = dcmread(knee[2]["report"])
    del damaged.ContentDate
    damaged.save_as(tmp_path / "damaged.dcm")
    assert complaints(tmp_path / "damaged.dcm")
