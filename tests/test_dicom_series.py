"""Series come in right: order, plane, splits, choice."""

import numpy as np
import pytest
from dicom_files import dataset, enhanced, pattern, save, uid, write_series, write_study
from scipy.spatial.transform import Rotation

from mrnetlib.dicom import examine, read_study
from mrnetlib.dicom.sources import find
from mrnetlib.files import InputError

STACK = np.stack([pattern(index) for index in range(8)])


def rotated(plane, axis, degrees):
    """Orientation of a plane turned about an axis, and the position of slice i."""
    from dicom_files import AXIS, ORIENTATION

    turn = Rotation.from_euler(axis, degrees, degrees=True)
    across, down = turn.apply(np.reshape(ORIENTATION[plane], (2, 3)))
    normal = turn.apply(np.eye(3)[AXIS[plane]])
    cosines = [float(f"{value:.6f}") for value in (*across, *down)]
    return {
        "ImageOrientationPatient": cosines,
        "ImagePositionPatient": lambda i: [float(f"{v:.4f}") for v in 4.0 * i * normal],
    }


@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
def test_slices_are_ordered_by_position_not_by_number_or_name(tmp_path, plane):
    write_series(tmp_path, plane)
    volume = read_study(tmp_path)[plane]
    assert volume.pixels.dtype == np.uint16
    np.testing.assert_array_equal(volume.pixels, STACK)
    assert volume.spacing == (4.0, 0.6, 0.6)


@pytest.mark.parametrize("degrees", [-39, -20, 15, 35])
def test_oblique_stacks_keep_their_plane(tmp_path, degrees):
    write_series(tmp_path, "sagittal", **rotated("sagittal", "z", degrees))
    study = read_study(tmp_path, prefer="nothing of this name")
    np.testing.assert_array_equal(study["sagittal"].pixels, STACK)
    assert study["sagittal"].spacing[0] == pytest.approx(4.0, abs=1e-3)


def test_a_stack_between_two_planes_is_refused(tmp_path):
    write_series(tmp_path, "sagittal", **rotated("sagittal", "z", 44))
    with pytest.raises(InputError, match="oblique: its normal is 44 degrees"):
        read_study(tmp_path)


def test_reversed_and_turned_storage_comes_to_standard_display(tmp_path):
    # The same knee, stored with the back at the left, from left to right.
    write_series(
        tmp_path,
        "sagittal",
        image=lambda i: pattern(i)[:, ::-1],
        ImageOrientationPatient=[0, -1, 0, 0, 0, -1],
    )
    np.testing.assert_array_equal(read_study(tmp_path)["sagittal"].pixels, STACK)
    # And with rows for columns.
    write_series(
        tmp_path / "b",
        "coronal",
        image=lambda i: pattern(i).T,
        ImageOrientationPatient=[0, 0, -1, 1, 0, 0],
    )
    np.testing.assert_array_equal(read_study(tmp_path / "b")["coronal"].pixels, STACK)


def test_left_and_right_knees_are_read_alike(tmp_path):
    for side, shift in (("left", 80.0), ("right", -80.0)):
        place = lambda i, x=shift: [x + 4.0 * i, 0, 0]  # noqa: E731
        write_series(tmp_path / side, ImagePositionPatient=place, Laterality=side[0].upper())
        np.testing.assert_array_equal(read_study(tmp_path / side)["sagittal"].pixels, STACK)


def test_planes_of_two_knees_are_not_mixed(tmp_path):
    write_series(tmp_path, "sagittal", ImagePositionPatient=lambda i: [90 + 4.0 * i, 0, 0])
    write_series(tmp_path, "coronal", ImagePositionPatient=lambda i: [-90, 4.0 * i, 0])
    with pytest.raises(InputError, match="two knees"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"EchoNumbers": 2, "EchoTime": 90},
        {"EchoTime": 90},
        {"AcquisitionNumber": 2},
        {"DiffusionBValue": 500.0},
        {"ImageType": ["ORIGINAL", "PRIMARY", "M", "WATER"]},
    ],
)
def test_a_series_of_two_volumes_is_split(tmp_path, change):
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", image=lambda i: pattern(i) + 1, **change)
    rows = examine(list(find(tmp_path))).rows
    assert [row["images"] for row in rows] == [8, 8]
    assert sorted(row["decision"] for row in rows) == ["left", "taken"]
    assert {row["part"] for row in rows} == {"1 of 2", "2 of 2"}


def test_interleaved_acquisitions_are_one_stack(tmp_path):
    write_series(tmp_path, AcquisitionNumber=lambda i: 1 + i % 2)
    np.testing.assert_array_equal(read_study(tmp_path)["sagittal"].pixels, STACK)


def test_two_planes_or_matrices_in_one_series_are_split(tmp_path):
    one = uid("one")
    write_series(tmp_path / "a", "sagittal", SeriesInstanceUID=one)
    write_series(tmp_path / "b", "coronal", SeriesInstanceUID=one)
    assert set(read_study(tmp_path)) == {"sagittal", "coronal"}
    write_series(tmp_path / "c" / "a", SeriesInstanceUID=one)
    wide = lambda i: pattern(i, 24, 30)  # noqa: E731
    write_series(tmp_path / "c" / "b", image=wide, SeriesInstanceUID=one)
    assert len(examine(list(find(tmp_path / "c"))).rows) == 2


def test_enhanced_multiframe_with_rescale_of_each_frame(tmp_path):
    order = [3, 0, 6, 1, 7, 2, 5, 4]
    save(enhanced("coronal", order=order), tmp_path / "one.dcm")
    volume = read_study(tmp_path)["coronal"]
    expected = np.stack([pattern(i) * (2.0 * order.index(i) + 1) for i in range(8)])
    np.testing.assert_array_equal(volume.pixels, expected)
    assert volume.pixels.dtype == np.float32 and volume.spacing == (4.0, 0.6, 0.6)


def test_the_series_is_chosen_by_contrast_then_by_preference(tmp_path):
    t1 = {"SeriesInstanceUID": uid("t1"), "RepetitionTime": 600, "EchoTime": 15, "SeriesNumber": 7}
    write_series(tmp_path / "t1", image=lambda i: pattern(i) + 7, SeriesDescription="SAG T1", **t1)
    write_series(tmp_path / "t2", SeriesDescription="SAG T2")
    volume = read_study(tmp_path)["sagittal"]
    np.testing.assert_array_equal(volume.pixels, STACK)
    assert "T2-weighted like MRNet's sagittal series" in volume.reason
    assert "SAG" not in volume.series + volume.reason
    for prefer in ("t1", "sagittal=t1", ["axial=t2", "sagittal=series:2"]):
        volume = read_study(tmp_path, prefer=prefer)["sagittal"]
        assert volume.pixels[0].max() == STACK[0].max() + 7 and "--prefer" in volume.reason
    with pytest.raises(InputError, match="'knee' is no plane"):
        read_study(tmp_path, prefer="knee=T1")


def test_two_studies_in_one_folder_are_not_one(tmp_path):
    write_study(tmp_path / "a", 4)
    write_study(tmp_path / "b", 4, StudyInstanceUID=uid("another"))
    with pytest.raises(InputError, match="holds 2 studies"):
        read_study(tmp_path)


def test_a_single_image_is_a_volume_of_one_slice(tmp_path):
    path = save(dataset(pattern(0)), tmp_path / "a.dcm")
    assert read_study(path)["sagittal"].pixels.shape == (1, 24, 24)
