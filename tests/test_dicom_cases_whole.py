"""Cases that users of DICOM readers reported: a series is whole, or what it lacks is said."""

import pytest
from dicom_files import at, pattern, uid, write_series
from test_dicom_cases_series import assert_whole, study, the_fault

SEPARATE = {"SeriesInstanceUID": lambda i: uid("file", i)}
COUNTED = {"InstanceNumber": lambda i: i + 1}


def kept(folder, indices, count=8, **changes):
    """A series of `count` slices, numbered from 1, of which only some arrived."""
    write_series(folder, count=count, **({"InstanceNumber": lambda i: i + 1} | changes))
    paths = sorted(folder.iterdir(), key=lambda path: int(path.stem.rpartition("-")[2]))
    order = sorted(range(count), key=lambda i: i * 7919 % 1009)
    for path, index in zip(paths, order, strict=True):
        if index not in indices:
            path.unlink()


# ---------------------------------------------------------------- series whose UIDs change


@pytest.mark.parametrize("files", [1, 2, 4])
def test_uids_that_change_within_a_series(tmp_path, files):
    write_series(tmp_path, SeriesInstanceUID=lambda i: uid("file", i // files))
    assert_whole(study(tmp_path), note=f"{8 // files} SeriesInstanceUIDs and were put together")


def test_uids_and_numbers_that_change_from_file_to_file(tmp_path):
    write_series(tmp_path, SeriesNumber=lambda i: i + 1, **SEPARATE)
    assert_whole(study(tmp_path), note="8 SeriesInstanceUIDs")


def test_halves_under_two_numbers(tmp_path):
    halves = {
        "SeriesInstanceUID": lambda i: uid("half", i // 4),
        "SeriesNumber": lambda i: 5 + i // 4,
    }
    write_series(tmp_path / "a", **halves, **COUNTED)
    assert_whole(study(tmp_path / "a"), note="2 SeriesInstanceUIDs")
    write_series(tmp_path / "b", **halves, InstanceNumber=lambda i: 1 + i % 4)
    assert [row["images"] for row in study(tmp_path / "b").rows] == [4, 4]


def test_slices_that_nothing_brings_together(tmp_path):
    write_series(tmp_path, EchoTime=lambda i: 60 + i, **SEPARATE)
    assert "8 sagittal series of a slice or a few each" in the_fault(tmp_path)


def test_two_echoes_without_series(tmp_path):
    for echo, time in ((1, 20), (2, 70)):
        said = {"EchoNumbers": echo, "EchoTime": time, "SeriesNumber": None}
        name = {"SeriesInstanceUID": lambda i, echo=echo: uid("file", echo, i)}
        image = {"image": lambda i, echo=echo: pattern(i) + 2 - echo}
        write_series(tmp_path / str(echo), **said, **name, **image)
    found = study(tmp_path)
    assert_whole(found, note="8 SeriesInstanceUIDs")
    assert [row["images"] for row in found.rows] == [8, 8]


def test_a_slice_lost_among_uids_that_change(tmp_path):
    kept(tmp_path / "a", {0, 1, 2, 3, 5, 6, 7}, **SEPARATE)
    assert "1 slice is missing, the first after slice 4 of 7" in the_fault(tmp_path / "a")
    halves = {"SeriesInstanceUID": lambda i: uid("half", i // 6)}
    kept(tmp_path / "b", {*range(5), *range(6, 12)}, 12, **halves)
    assert "1 slice is missing, the first after slice 5 of 11" in the_fault(tmp_path / "b")


def test_series_that_repeat_positions_stay_apart(tmp_path):
    for number in (1, 2):
        write_series(tmp_path / str(number), SeriesInstanceUID=uid(number), SeriesNumber=5)
    assert [row["images"] for row in study(tmp_path).rows] == [8, 8]


# ---------------------------------------------------------------- slices that did not come


@pytest.mark.parametrize(
    ("indices", "said"),
    [
        ({0, 1, 2, 3, 5, 6, 7}, "1 slice is missing, the first after slice 4 of 7"),
        ({0, 1, 2, 6, 7}, "3 slices are missing, the first after slice 3 of 5"),
    ],
)
@pytest.mark.parametrize(
    "acquisition", [lambda i: 1 + i // 4, lambda i: 1 + i % 2], ids=["one by one", "in turn"]
)
def test_a_slice_lost_where_acquisitions_meet(tmp_path, indices, said, acquisition):
    kept(tmp_path, indices, AcquisitionNumber=acquisition)
    assert said in the_fault(tmp_path)


def private(creator, tag, count):
    def mend(ds, index):
        ds.private_block(tag >> 16, creator, create=True).add_new(tag & 0xFF, "SL", count)

    return mend


@pytest.mark.parametrize(
    "announced",
    [
        {"ImagesInAcquisition": 8},
        {"NumberOfSeriesRelatedInstances": 8},
        {"NumberOfSlices": 8},
        {"mend": private("GEMS_SERS_01", 0x00250007, 8)},
        {"mend": private("GEMS_RELA_01", 0x0021004F, 8)},
        {"mend": private("Philips Imaging DD 001", 0x20010018, 8)},
    ],
)
def test_slices_that_the_header_announces(tmp_path, announced):
    kept(tmp_path / "part", range(5), **announced)
    assert "5 of the 8" in the_fault(tmp_path / "part")
    write_series(tmp_path / "whole", **announced)
    assert_whole(study(tmp_path / "whole"))
    gapped = study(tmp_path / "part", allow_gaps=True)
    assert len(gapped.volumes["sagittal"].pixels) == 5 and not gapped.faults
    assert "5 of the 8" in gapped.rows[0]["reason"]


def test_a_count_of_all_series_of_a_scan(tmp_path):
    for number, kind in enumerate(("WATER", "FAT"), 1):
        said = {"ImageType": ["ORIGINAL", "PRIMARY", kind], "ImagesInAcquisition": 16}
        write_series(tmp_path / kind, SeriesInstanceUID=uid(kind), SeriesNumber=number, **said)
    assert_whole(study(tmp_path))


def test_an_acquisition_of_which_images_are_lost_at_the_end(tmp_path):
    kept(tmp_path, range(7), AcquisitionNumber=lambda i: 1 + i // 4, ImagesInAcquisition=4)
    assert "an acquisition has 3 of 4 announced images" in the_fault(tmp_path)


def test_an_echo_that_has_fewer_slices_than_another(tmp_path):
    for echo in (1, 2):
        said = {"EchoNumbers": echo, "EchoTime": 35 * echo, "InstanceNumber": None}
        write_series(tmp_path / str(echo), count=9 - echo, **said)
    found = study(tmp_path)
    assert_whole(found)
    assert "7 of the 8 slices that part 1.1 of its series has" in found.rows[1]["reason"]


def test_parts_of_a_concatenation(tmp_path):
    write_series(tmp_path, InConcatenationTotalNumber=9)
    assert "8 of the 9 files of a concatenation" in the_fault(tmp_path)


def test_numbers_show_what_is_lost_at_an_end(tmp_path):
    kept(tmp_path / "first", range(3, 8))
    assert "3 slices are missing at an end" in the_fault(tmp_path / "first")
    turns = {"InstanceNumber": lambda i: 1 + i // 2 + 4 * (i % 2)}  # 1, 5, 2, 6, 3, 7, 4, 8
    kept(tmp_path / "in turn", range(1, 8), **turns)
    assert "1 slice is missing at an end" in the_fault(tmp_path / "in turn")
    kept(tmp_path / "both", range(2, 8), **turns)
    assert "2 slices are missing at an end" in the_fault(tmp_path / "both")


def test_numbers_of_which_nothing_is_lost(tmp_path):
    write_series(tmp_path / "from 101", InstanceNumber=lambda i: 101 + i)
    write_series(tmp_path / "a repeat deleted", InstanceNumber=lambda i: i + 1 + (i > 3))
    for folder in ("from 101", "a repeat deleted"):
        assert_whole(study(tmp_path / folder))
    for number in (1, 2):  # the second series goes on where the first ends
        write_series(
            tmp_path / "goes on" / str(number),
            count=5 if number == 1 else 8,
            InstanceNumber=lambda i, first=5 * number - 4: first + i,
            SeriesInstanceUID=uid(number),
            EchoTime=35 * number,
        )
    assert_whole(study(tmp_path / "goes on"))


@pytest.mark.parametrize("step", [2, 3])
def test_every_second_slice_is_not_the_series(tmp_path, step):
    kept(tmp_path / "numbers", range(0, 24, step), 24)
    word = {2: "second", 3: "third"}[step]
    assert f"only every {word} slice is there" in the_fault(tmp_path / "numbers")
    kept(tmp_path / "announced", range(0, 24, step), 24, SpacingBetweenSlices=4)
    assert "slices are missing, the first after slice 1" in the_fault(tmp_path / "announced")
    kept(tmp_path / "room", range(0, 24, step), 24, InstanceNumber=None, SliceThickness=3)
    assert "every second one may be missing" in the_fault(tmp_path / "room")


def test_slices_that_are_meant_to_be_far_apart(tmp_path):
    sparse = {"ImagePositionPatient": lambda i: [8.0 * i, 0, 0], "SpacingBetweenSlices": 8}
    write_series(tmp_path / "announced", **sparse, **COUNTED)
    write_series(tmp_path / "numbered", InstanceNumber=lambda i: 2 * i + 1)
    for folder in ("announced", "numbered"):
        assert_whole(study(tmp_path / folder))


def test_empty_slices(tmp_path):
    def empty(*indices):
        return lambda i: pattern(i) * (i not in indices)

    write_series(tmp_path / "middle", image=empty(3, 4))
    assert "2 of its 8 slices are empty (slice 4, 5)" in the_fault(tmp_path / "middle")
    assert study(tmp_path / "middle", allow_gaps=True).volumes
    write_series(tmp_path / "end", image=empty(5, 6, 7))
    assert "3 of its 8 slices are empty" in the_fault(tmp_path / "end")
    write_series(tmp_path / "margin", image=empty(0, 7))
    assert "2 of its 8 slices are empty" in study(tmp_path / "margin").rows[0]["reason"]
    write_series(tmp_path / "all", image=empty(*range(8)))
    assert "8 of its 8 slices" in the_fault(tmp_path / "all", allow_gaps=True)


# ---------------------------------------------------------------- series that change half way


@pytest.mark.parametrize(
    "change",
    [
        {"ImageType": lambda i: ["ORIGINAL", "PRIMARY", "M", *["NORM"] * (i > 4)]},
        {"ImageType": lambda i: ["DERIVED" if i > 4 else "ORIGINAL", "PRIMARY", "M"]},
        {"EchoNumbers": lambda i: 1 if i < 3 else None},
        {"PixelSpacing": lambda i: ["0.3125"] * 2 if i < 4 else ["0.31250001"] * 2},
        {"AcquisitionNumber": lambda i: 1 + i // 4},
    ],
)
def test_what_changes_no_picture_divides_no_series(tmp_path, change):
    write_series(tmp_path, **change)
    assert_whole(study(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"PhotometricInterpretation": lambda i: f"MONOCHROME{1 + i // 4}"},
        {"image": lambda i: pattern(i, 24, 24 + 8 * (i // 4))},
        {"PixelSpacing": lambda i: [0.6 + 0.1 * (i // 4)] * 2},
        {"ImageOrientationPatient": lambda i: [0, 1 - 2 * (i // 4), 0, 0, 0, -1],
         "ImagePositionPatient": lambda i: [4.0 * i, 13.8 * (i // 4), 0]},
        {"ImageType": lambda i: ["ORIGINAL", "PRIMARY", "P" if i > 3 else "M"]},
        {"ImageType": lambda i: ["DERIVED", "SECONDARY", "MPR" if i > 3 else "M"]},
        {"BurnedInAnnotation": "YES", "ImageType": lambda i: ["ORIGINAL", "PRIMARY", "AB"[i // 4]]},
    ],
)  # fmt: skip
def test_half_of_a_series_is_never_taken_for_it(tmp_path, change):
    write_series(tmp_path, **change)
    found = study(tmp_path)
    assert not found.volumes
    if "BurnedInAnnotation" not in change:
        assert "like one stack, and differ in matrix, orientation, kind" in the_fault(tmp_path)


def test_positions_that_are_all_alike(tmp_path):
    write_series(tmp_path, ImagePositionPatient=[0, 0, 0], SliceLocation=lambda i: 4.0 * i)
    assert "positions of its 8 images are all alike" in the_fault(tmp_path)


def test_multiples_of_the_least_distance_are_gaps(tmp_path):
    places = [0, 2, 4, 5, 6, 8, 10, 12]
    write_series(tmp_path, ImagePositionPatient=lambda i: at("sagittal")(places[i]))
    assert "5 slices are missing, the first after slice 1 of 8" in the_fault(tmp_path)
