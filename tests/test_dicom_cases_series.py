"""Cases that users of DICOM readers reported: which knee, which series, and whether it is whole."""

import numpy as np
import pytest
from dicom_files import at, enhanced, pattern, save, uid, write_knee, write_series
from pydicom.dataset import Dataset

from mrnetlib.dicom import examine
from mrnetlib.dicom.choose import parse
from mrnetlib.dicom.sources import find

STACK = np.stack([pattern(index) for index in range(8)])


def study(folder, prefer=None, allow_gaps=False):
    return examine(list(find(folder)), parse(prefer), allow_gaps)


def the_fault(folder, **options):
    """The one sentence that says what is wrong with a study that gives no volume of it."""
    found = study(folder, **options)
    assert len(found.faults) == 1, found.faults
    return found.faults[0]


def assert_whole(found, plane="sagittal", note=""):
    assert not found.faults
    np.testing.assert_array_equal(found.volumes[plane].pixels, STACK)
    assert note in next(r["reason"] for r in found.rows if r["decision"] == "taken")


# ---------------------------------------------------------------- which knee, which joint


def test_two_knees_side_by_side_are_named_and_either_can_be_asked_for(tmp_path):
    write_knee(tmp_path, x=-75)
    write_knee(tmp_path, 11, x=75)
    assert (
        "two knees: series 1, 2, 3 show the right one; series 4, 5, 6 show the left one"
        in the_fault(tmp_path)
    )
    assert not study(tmp_path).volumes
    left = study(tmp_path, ["sagittal=series:4", "coronal=series:5", "axial=series:6"])
    assert len(left.volumes) == 3 and not left.faults
    assert all(
        volume.series[:8] in ("series 4", "series 5", "series 6")
        for volume in left.volumes.values()
    )
    assert "two knees" in the_fault(tmp_path, prefer=["sagittal=series:4", "coronal=series:2"])


@pytest.mark.parametrize(
    "said",
    [
        lambda side: {"Laterality": side},
        lambda side: {"ImageLaterality": side},
        lambda side: {"SeriesDescription": {"R": "sag RT knee", "L": "sag left"}[side]},
    ],
)
def test_knees_in_the_isocentre_are_told_apart_by_what_the_files_say(tmp_path, said):
    write_knee(tmp_path, **said("R"))
    write_knee(tmp_path, 11, ("sagittal", "axial"), **said("L"))
    assert "series 1, 2, 3 show the right one; series 4, 5 show the left one" in the_fault(tmp_path)
    left = study(tmp_path, ["sagittal=series:4", "axial=series:5"])
    assert set(left.volumes) == {"sagittal", "axial"} and not left.faults
    whole = {row["series"]: row["reason"] for row in left.rows}
    assert "the other knee" in whole[2]


def test_frames_of_reference_may_be_knees_but_one_for_each_series_is_none(tmp_path):
    write_knee(tmp_path / "a", FrameOfReferenceUID=uid("one"))
    write_knee(tmp_path / "a", 11, FrameOfReferenceUID=uid("two"))
    assert "2 frames of reference (series 1, 2, 3; series 4, 5, 6)" in the_fault(tmp_path / "a")
    assert len(study(tmp_path / "a", "series:4").volumes) == 3
    for number, plane in enumerate(("sagittal", "coronal", "axial"), 1):
        write_knee(tmp_path / "b", number, (plane,), FrameOfReferenceUID=uid("frame", number))
    assert len(study(tmp_path / "b").volumes) == 3


def test_another_frame_of_reference_may_be_another_knee(tmp_path):
    write_knee(tmp_path, FrameOfReferenceUID=uid("one"))
    write_knee(tmp_path, 9, ("axial",), FrameOfReferenceUID=uid("two"))
    found = study(tmp_path)
    assert found.volumes["axial"].series.startswith("series 3") and not found.faults
    assert "frame of reference is not that of the other planes" in found.rows[-1]["reason"]
    assert study(tmp_path, "axial=series:4").volumes["axial"].series.startswith("series 4")


def test_two_whole_sets_near_each_other_are_two_narrow_knees(tmp_path):
    write_knee(tmp_path, x=-30)
    write_knee(tmp_path, 11, x=30)
    assert "two knees: series 1, 2, 3 show the right one" in the_fault(tmp_path)


def test_both_knees_in_one_series(tmp_path):
    for knee, x in enumerate((-65.0, 65.0)):
        write_series(
            tmp_path / str(knee),
            image=lambda i, knee=knee: pattern(i) + knee,
            ImagePositionPatient=at("sagittal", x),
            InstanceNumber=lambda i, knee=knee: 1 + i + 8 * knee,
            SeriesInstanceUID=uid("both"),
        )
    assert "two knees: series 1.1 show the right one; series 1.2 show the left" in the_fault(
        tmp_path
    )
    assert "two knees" in the_fault(tmp_path, allow_gaps=True)
    left = study(tmp_path, "sagittal=series:1.2")
    np.testing.assert_array_equal(left.volumes["sagittal"].pixels, STACK + 1)


@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
def test_both_knees_as_two_acquisitions_of_a_series(tmp_path, plane):
    for knee, x in enumerate((-65.0, 65.0), 1):
        said = {"AcquisitionNumber": knee, "SeriesInstanceUID": uid("both")}
        write_series(tmp_path / str(knee), plane, ImagePositionPatient=at(plane, x), **said)
    assert "two knees" in the_fault(tmp_path)


def test_sides_of_enhanced_objects(tmp_path):
    for side in "RL":
        ds = enhanced()
        ds.SeriesInstanceUID = uid(side)
        anatomy = Dataset()
        anatomy.FrameLaterality = side
        ds.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
        save(ds, tmp_path / f"{side}.dcm")
    assert "two knees" in the_fault(tmp_path)


def test_slices_lost_in_the_middle_are_no_second_knee(tmp_path):
    numbers = [*range(10), *range(32, 42)]
    write_series(
        tmp_path,
        count=20,
        ImagePositionPatient=lambda i: [4.0 * numbers[i], 0, 0],
        InstanceNumber=lambda i: numbers[i] + 1,
    )
    assert "22 slices are missing" in the_fault(tmp_path)


def test_hip_and_ankle_are_left_with_their_reason(tmp_path):
    write_knee(tmp_path)
    write_knee(tmp_path, 7, ("axial",), z=400)
    write_knee(tmp_path, 8, ("axial",), z=-380)
    write_knee(tmp_path, 9, ("axial",), SeriesDescription="ax OSG")
    found = study(tmp_path)
    assert len(found.volumes) == 3 and not found.faults
    reasons = [row["reason"] for row in found.rows if row["decision"] == "left"]
    assert "mm above or below the knee's series" in reasons[0]
    assert "names another joint" in reasons[2]


def test_an_ankle_is_no_knees_axial_plane(tmp_path):
    write_knee(tmp_path, 1, ("sagittal", "coronal"), BodyPartExamined="KNEE")
    write_knee(tmp_path, 8, ("axial",), BodyPartExamined="ANKLE", SeriesDescription="ax knee")
    fault = the_fault(tmp_path)
    assert fault.startswith("axial series 3: its description or part of the body")
    assert set(study(tmp_path).volumes) == {"sagittal", "coronal"}
    assert set(study(tmp_path, "axial=series:3").volumes) == {"sagittal", "coronal", "axial"}


def test_joints_of_which_none_is_plainly_the_knee(tmp_path):
    for number, z in enumerate((0, 400), 1):
        write_knee(tmp_path, number, ("axial",), z=z)
    assert "series lie in 2 places far from each other" in the_fault(tmp_path)
    assert set(study(tmp_path, "series:2").volumes) == {"axial"}


def test_a_picture_of_both_knees_beside_those_of_one(tmp_path):
    write_knee(tmp_path / "a", x=70)
    wide = {"PixelSpacing": [15, 15], "x": -172.5, "y": -172.5}
    write_knee(tmp_path / "a", 7, ("axial",), **wide)
    found = study(tmp_path / "a")
    assert len(found.volumes) == 3 and not found.faults
    assert "345 mm wide and shows both knees" in found.rows[-1]["reason"]
    write_knee(tmp_path / "b", 1, ("sagittal", "coronal"), x=70)
    write_knee(tmp_path / "b", 7, ("axial",), **wide)
    assert "axial series 3: it is 345 mm wide and shows both knees" in the_fault(tmp_path / "b")
    write_knee(tmp_path / "c", 1, ("sagittal", "coronal"), x=0)
    write_knee(tmp_path / "c", 7, ("axial",), **wide)
    taken = next(row for row in study(tmp_path / "c").rows if row["plane"] == "axial")
    assert "may show both knees" in taken["reason"] and taken["decision"] == "taken"


def test_a_picture_that_is_wider_than_the_others_and_beside_them(tmp_path):
    said = {"PixelSpacing": [6, 6]}  # 138 mm wide
    write_knee(tmp_path, 1, ("sagittal",), **said, y=-69, z=69, x=60)
    write_knee(tmp_path, 2, ("coronal",), **said, z=69, x=5)
    write_knee(tmp_path, 3, ("axial",), PixelSpacing=[10, 10], y=-115, x=-115)
    assert "axial series 3: it is 230 mm wide and shows both knees" in the_fault(tmp_path)


# ---------------------------------------------------------------- which series


def two_series(folder, first, second, plane="axial", **changes):
    """Two series that are alike but for what is given; the second is one brighter."""
    for number, said in enumerate((first, second), 1):
        image = {"image": lambda i, n=number: pattern(i) + n - 1}
        told = {"SeriesInstanceUID": uid(number), "SeriesNumber": number}
        write_series(folder / str(number), plane, **(image | told | changes | said))


@pytest.mark.parametrize(
    "worse",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "SW_P_FFE", "SW_P", "FFE"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "R_SE"]},
        {"ImageType": ["DERIVED", "PRIMARY", "PHASE MAP"]},
        {"ComplexImageComponent": "IMAGINARY"},
        {"SeriesDescription": "Pha_Images"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "DIXON", "FAT"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "OP"]},
        {"SeriesDescription": "t2_tse_dixon_tra_F"},
        {"SeriesDescription": "OutPhase: Ax PD IDEAL"},
        {"SeriesDescription": "Ax PD FSE, non FS", "ScanOptions": "FAST_GEMS"},
        {"SeriesDescription": "Ax", "SequenceName": "FSE2D"},
        {"SeriesDescription": "B1 map"},
        {"SeriesDescription": "SenseRefScan"},
        {"SeriesDescription": "QuickShim"},
        {"SeriesDescription": "AAHScout"},
        {"SeriesDescription": "PDFF"},
    ],
)
def test_the_better_of_two_series_is_taken(tmp_path, worse):
    two_series(tmp_path, {"ScanOptions": "FS"}, worse)
    assert_whole(study(tmp_path), "axial")


@pytest.mark.parametrize(
    "better",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "W", "W"]},
        {"SeriesDescription": "WATER: Ax PD IDEAL"},
        {"SeriesDescription": "ax pd_fs"},
        {"SeriesDescription": "Ax PDFS"},
        {"SeriesDescription": "ax FatSat"},
        {"SpectrallySelectedSuppression": "FAT_AND_WATER"},
        {"ScanningSequence": ["SE", "IR"], "InversionTime": 160},
    ],
)
def test_fat_is_suppressed_or_water_alone_is_shown(tmp_path, better):
    two_series(tmp_path, better, {"ImageType": ["ORIGINAL", "PRIMARY", "IN_PHASE"]})
    assert_whole(study(tmp_path), "axial")


def unclear(ds):
    """GE's element as a phase image has it, its VR lost on the way."""
    ds.add_new(0x0043102F, "UN", b"\1\0")


def test_phase_by_ges_own_element_and_nobody_elses(tmp_path):
    def claim(creator, kind, block=0x10):
        def mend(ds, index):
            ds.add_new(0x00430000 | block, "LO", creator)
            ds.add_new(0x0043002F | block << 8, "SS", kind)

        return mend

    for name, creator, block in (("a", "GEMS_PARM_01", 0x10), ("b", "GEMS_PARM_01", 0x11)):
        first, second = ({"mend": claim(creator, kind, block)} for kind in (0, 1))
        two_series(tmp_path / name, first, second)
        assert_whole(study(tmp_path / name), "axial")
    unknown = {"mend": lambda ds, i: claim("GEMS_PARM_01", 0)(ds, i) or unclear(ds)}
    two_series(tmp_path / "d", {}, unknown)
    assert_whole(study(tmp_path / "d"), "axial")
    write_series(tmp_path / "c", mend=claim("SOMEBODY ELSE", 1))
    assert_whole(study(tmp_path / "c"))


def test_phase_frames_of_an_enhanced_object(tmp_path):
    ds = enhanced()
    kind = Dataset()
    kind.FrameType, kind.ComplexImageComponent = ["ORIGINAL", "PRIMARY", "T1", "NONE"], "PHASE"
    ds.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence = [kind]
    save(ds, tmp_path / "a.dcm")
    found = study(tmp_path)
    assert not found.volumes and "phase, real or imaginary" in found.rows[0]["reason"]


def test_fat_suppression_of_enhanced_objects(tmp_path):
    for number, said in enumerate(("FAT", "NONE"), 1):
        ds = enhanced("axial")
        ds.SeriesInstanceUID, ds.SeriesNumber = uid(said), number
        modifier = Dataset()
        modifier.SpectrallySelectedSuppression = said
        ds.SharedFunctionalGroupsSequence[0].MRModifierSequence = [modifier]
        save(ds, tmp_path / f"{said}.dcm")
    assert study(tmp_path).volumes["axial"].series.startswith("series 1")


@pytest.mark.parametrize("count", [12, 21])
def test_a_whole_series_beats_one_that_was_broken_off(tmp_path, count):
    write_series(tmp_path / "1", count=count, SeriesInstanceUID=uid(1), SeriesNumber=1)
    write_series(tmp_path / "2", count=24, SeriesInstanceUID=uid(2), SeriesNumber=2, EchoTime=20)
    found = study(tmp_path)
    assert len(found.volumes["sagittal"].pixels) == 24
    assert "the other covers less of the knee" in found.volumes["sagittal"].reason


@pytest.mark.parametrize(
    "stopgap",
    [
        {"SeriesDescription": "ASSET calibration"},
        {"SeriesDescription": "gre_field_mapping"},
        {"SeriesDescription": "coil survey"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "B0_MAP"]},
        {"ScanningSequence": "GR", "RepetitionTime": 150, "EchoTime": 2},
        {"count": 3},
    ],
)
def test_nothing_slight_stands_in_for_a_faulty_series(tmp_path, stopgap):
    holed = {"ImagePositionPatient": lambda i: [0, 0, 4.0 * (i + (i > 4))]}
    two_series(tmp_path, holed, stopgap)
    assert "1 slice is missing" in the_fault(tmp_path)
    assert not study(tmp_path).volumes


def test_nothing_slight_stands_in_for_a_series_of_pieces(tmp_path):
    halves = {"image": lambda i: pattern(i, 24, 24 + 8 * (i // 4))}
    two_series(tmp_path / "a", halves, {"ScanningSequence": "GR"})
    assert "like one stack" in the_fault(tmp_path / "a")
    lost = {"ImageOrientationPatient": lambda i: [1, 0, 0, 0, 1, 0] if i else None}
    two_series(tmp_path / "b", lost, {"ScanningSequence": "GR"})
    assert "1 of 8 images have no usable orientation" in the_fault(tmp_path / "b")


def test_a_series_that_is_named_may_stand_in(tmp_path):
    holed = {"ImagePositionPatient": lambda i: [0, 0, 4.0 * (i + (i > 4))]}
    two_series(tmp_path, holed, {"ScanningSequence": "GR"})
    assert "name it with --prefer axial=series:2" in study(tmp_path).rows[1]["reason"]
    assert "axial" in study(tmp_path, "axial=series:2").volumes
