"""Cases beside those that users reported: series in pieces, on two scales, of two knees."""

import numpy as np
import pytest
from dicom_files import dataset, pattern, save, uid, write_series, write_study
from pydicom.dataset import Dataset

from mrnetlib.dicom import convert, examine
from mrnetlib.dicom.sources import find


def examined(folder):
    return examine(list(find(folder)))


def fault(folder):
    """What is said of the only series, of which nothing is taken."""
    study = examined(folder)
    assert not study.volumes
    return "; ".join(study.faults)


def test_halves_of_a_series_in_two_folders_and_studies_are_refused(tmp_path):
    for half in range(2):
        for index in range(4 * half, 4 * half + 4):
            said = {"StudyInstanceUID": uid("half", half), "FrameOfReferenceUID": uid("frame")}
            ds = dataset(pattern(index), "sagittal", index, **said)
            save(ds, tmp_path / "in" / str(half) / f"{index}.dcm")
    done = convert(tmp_path / "in", tmp_path / "out", workers=1, progress=False)
    assert len(done.exams) == 0
    assert all("name 2 studies" in reason for reason in done.failed.values())


def end_of_a_stack(**changes):
    """Changes the last 4 of 12 slices."""

    def mend(ds, index):
        for keyword, change in changes.items():
            if index >= 8:
                value = change(index)
                delattr(ds, keyword) if value is None else setattr(ds, keyword, value)

    return mend


@pytest.mark.parametrize(
    "changes",
    [
        {"ImageOrientationPatient": lambda i: [0.02, 0.9998, 0, 0, 0, -1]},
        {"ImagePositionPatient": lambda i: [4.0 * i, 60, 0]},
        {"PixelSpacing": lambda i: None},
    ],
)
def test_an_end_of_a_stack_that_is_turned_or_shifted_is_not_dropped(tmp_path, changes):
    image = lambda i: np.pad(pattern(i), 50)  # noqa: E731 - wide enough for unlike middles
    write_series(tmp_path, count=12, image=image, mend=end_of_a_stack(**changes))
    assert "like one stack" in fault(tmp_path)


def test_a_first_half_that_is_lost_is_told(tmp_path):
    for index in range(8, 16):
        save(dataset(pattern(index), index=index, InstanceNumber=index + 1), tmp_path / str(index))
    assert "8 slices are missing at an end" in fault(tmp_path)


def test_slices_with_the_picture_of_their_neighbour_are_refused(tmp_path):
    write_series(tmp_path, image=lambda i: pattern(4 if i in (5, 6) else i))
    assert "2 of its 8 slices hold the same picture" in fault(tmp_path)


def test_a_file_that_is_cut_short_in_its_header_is_told(tmp_path):
    write_study(tmp_path)
    path = sorted((tmp_path / "axial").iterdir())[-1]
    content = path.read_bytes()
    path.write_bytes(content[: content.index(uid("series", "axial").encode()) + 20])
    assert "cut short or damaged" in "; ".join(examined(tmp_path).faults)


def test_a_slope_of_0_among_others_is_none(tmp_path):
    write_series(tmp_path, RescaleSlope=lambda i: 0 if i < 4 else 2.5, RescaleIntercept=0)
    assert "4 of its 8 images have no rescale slope" in fault(tmp_path)


def test_an_overlay_in_an_old_group_is_no_part_of_the_picture(tmp_path):
    def overlay(ds, index):
        for element, value in ((0x10, 24), (0x11, 24), (0x102, 15)):
            ds.add_new((0x60FE, element), "US", value)

    write_series(tmp_path, image=lambda i: pattern(i) | np.uint16(1 << 15), mend=overlay)
    assert examined(tmp_path).volumes["sagittal"].pixels.max() < 1 << 15


def test_padding_that_some_files_name_is_that_of_all(tmp_path):
    def padded(index):
        image = pattern(index)
        image[:2] = 65535
        return image

    def named(ds, index):
        if index < 4:
            ds.add_new(0x00280120, "US", 65535)

    write_series(tmp_path, image=padded, mend=named)
    assert examined(tmp_path).volumes["sagittal"].pixels.max() < 65535


def test_bits_stored_on_two_scales_are_refused_and_those_that_a_slice_needs_are_not(tmp_path):
    scaled = lambda i: pattern(i) * np.uint16(16 if i > 3 else 1)  # noqa: E731
    bits = {"BitsStored": lambda i: 16 if i > 3 else 12, "HighBit": lambda i: 15 if i > 3 else 11}
    write_series(tmp_path / "two", image=scaled, **bits)
    assert "on scales of their own" in fault(tmp_path / "two")
    needed = lambda i: int(pattern(i).max()).bit_length()  # noqa: E731
    write_series(tmp_path / "one", BitsStored=needed, HighBit=lambda i: needed(i) - 1)
    assert len(examined(tmp_path / "one").volumes["sagittal"].pixels) == 8


def test_pixels_of_the_other_byte_order_are_refused(tmp_path):
    twelve = {"BitsStored": 12, "HighBit": 11}
    write_series(tmp_path, image=lambda i: pattern(i).byteswap(), **twelve)
    assert "in the other order" in fault(tmp_path)


@pytest.mark.parametrize(
    ("keyword", "right", "left"),
    [
        ("SeriesDescription", "Knie re", "Knie li"),
        ("SeriesDescription", "pd_sag_R", "pd_cor_L"),
        ("BodyPartExamined", "RKNEE", "LKNEE"),
    ],
)
def test_sides_in_short_words_show_two_knees(tmp_path, keyword, right, left):
    for plane in ("sagittal", "coronal", "axial"):
        said = {keyword: right if plane == "sagittal" else left}
        write_series(tmp_path / plane, plane, **said)
    assert "two knees" in fault(tmp_path)


def test_a_mixed_complex_image_is_no_magnitude(tmp_path):
    write_series(tmp_path, ComplexImageComponent="MIXED")
    assert "the magnitude images are wanted" in fault(tmp_path)


def test_chemical_saturation_is_fat_suppression(tmp_path):
    for number, words in ((1, "ax pd chemsat"), (2, "ax pd")):
        said = {"SeriesInstanceUID": uid("fat", number), "SeriesDescription": words}
        write_series(tmp_path / str(number), "axial", SeriesNumber=number, **said)
    rows = examined(tmp_path).rows
    assert [row["decision"] for row in rows] == ["taken", "left"]


def test_files_that_a_dicomdir_in_the_folder_lists_and_that_are_gone_are_told(tmp_path):
    write_series(tmp_path / "in" / "A", count=8)
    paths = sorted((tmp_path / "in" / "A").iterdir())
    index = dataset(pattern(0), SOPClassUID="1.2.840.10008.1.3.10", StudyInstanceUID=None)
    index.DirectoryRecordSequence = []
    for number, path in enumerate(paths):
        path.rename(path.with_name(f"I{number}"))
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["A", f"I{number}"]
        index.DirectoryRecordSequence.append(record)
    save(index, tmp_path / "in" / "DICOMDIR")
    next(path for path in (tmp_path / "in" / "A").iterdir() if path.name == "I0").unlink()
    done = convert(tmp_path / "in", tmp_path / "out", workers=1, progress=False)
    assert "1 file could not be read: a DICOMDIR lists it" in done.summary
