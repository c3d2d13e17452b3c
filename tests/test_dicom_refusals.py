"""Everything that must not become a volume is refused in its own words."""

import numpy as np
import pytest
from dicom_files import dataset, enhanced, pattern, save, uid, write_series

from mrnetlib.dicom import read_study
from mrnetlib.files import InputError

REFUSED = {
    "a localizer": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "a localizer, made": {"SeriesDescription": "3-PL LOC", "count": 6},
    "time series: 8 images of one position": {"ImagePositionPatient": [0, 0, 0]},
    "time series: 2 images at each of 4 positions": {
        "ImagePositionPatient": lambda i: [4.0 * (i // 2), 0, 0],
        "TemporalPositionIdentifier": lambda i: 1 + i % 2,
    },
    "Siemens mosaic": {"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]},
    "secondary capture": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
    "secondary capture ": {"ConversionType": "WSD"},
    "another modality": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"},
    "derived map": {"ImageType": ["DERIVED", "PRIMARY", "ADC"]},
    "derived map ": {"ImageType": ["DERIVED", "SECONDARY", "T2_MAP"]},
    "projection": {"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]},
    "phase": {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
    "burnt into the pixels": {"BurnedInAnnotation": "YES"},
    "slices are duplicated": {"ImagePositionPatient": lambda i: [4.0 * min(i, 6), 0, 0]},
    "2 slices are missing, the first after slice 3 of 8 (12.0 mm": {
        "ImagePositionPatient": lambda i: [4.0 * (i + 2 * (i > 2)), 0, 0]
    },
    "unevenly spaced": {"ImagePositionPatient": lambda i: [4.0 * i + 1.5 * (i % 2), 0, 0]},
    "shifted within their plane": {"ImagePositionPatient": lambda i: [4.0 * i, 9.0 * (i > 4), 0]},
    "varying matrix": {"image": lambda i: pattern(i, 24, 24 + 8 * (i == 7))},
    "mixed orientation": {
        "ImageOrientationPatient": lambda i: (
            [0, 1, 0, 0, 0, -1] if i else [0, 0.8, 0.6, 0, 0.6, -0.8]
        )
    },
    "1 of 8 images have no usable orientation": {
        "ImageOrientationPatient": lambda i: [0, 1, 0, 0, 0, -1] if i else None
    },
    "8 of 8 images have no usable orientation": {"ImageOrientationPatient": [0, 1, 0, 0, 1, 0]},
    "no usable orientation or position": {"ImagePositionPatient": None},
    "bits allocated": {"BitsAllocated": 12},
}


@pytest.mark.parametrize("said", REFUSED)
def test_refused_with_its_own_sentence(tmp_path, said):
    write_series(tmp_path, **{"count": 8, **REFUSED[said]})
    with pytest.raises(InputError) as refusal:
        read_study(tmp_path)
    assert said.strip() in str(refusal.value)


def test_every_sentence_is_its_own():
    stems = [said.strip() for said in REFUSED]
    assert len({stem.split()[-1] for stem in stems}) > 15


def test_colour_is_refused(tmp_path):
    colour = np.zeros((24, 24, 3), np.uint8)
    for index in range(4):
        ds = dataset(colour, index=index, SamplesPerPixel=3, PlanarConfiguration=0)
        ds.PhotometricInterpretation = "RGB"
        save(ds, tmp_path / f"{index}.dcm")
    with pytest.raises(InputError, match="colour images"):
        read_study(tmp_path)


def test_three_planes_of_few_images_are_a_localizer(tmp_path):
    for plane in ("sagittal", "coronal", "axial"):
        write_series(tmp_path / plane, plane, 3, SeriesInstanceUID=uid("scout"))
    with pytest.raises(InputError, match="a few images in each of three planes"):
        read_study(tmp_path)


def test_a_mosaic_is_known_by_siemens_private_element_only(tmp_path):
    def claim(creator):
        def mend(ds, index):
            ds.private_block(0x0019, creator, create=True).add_new(0x0A, "US", 36)

        return mend

    write_series(tmp_path / "other", mend=claim("GEMS_ACQU_01"))
    assert set(read_study(tmp_path / "other")) == {"sagittal"}
    write_series(tmp_path / "siemens", mend=claim("SIEMENS MR HEADER"))
    with pytest.raises(InputError, match="Siemens mosaic"):
        read_study(tmp_path / "siemens")


def test_truncated_pixels_are_refused(tmp_path):
    path = write_series(tmp_path)[3]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="pixels are cut short"):
        read_study(tmp_path)


def test_a_file_cut_in_its_header_casts_doubt_on_its_series(tmp_path):
    paths = write_series(tmp_path)
    last = paths[-1]
    content = last.read_bytes()
    last.write_bytes(content[: content.index(b"\x18\x00\x86\x00IS")])
    with pytest.raises(InputError, match="names no matrix; it is cut short"):
        read_study(tmp_path)


def test_multiframe_without_positions_is_refused(tmp_path):
    ds = enhanced()
    del ds.PerFrameFunctionalGroupsSequence
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [0, 1, 0, 0, 0, -1], [0, 0, 0]
    save(ds, tmp_path / "a.dcm")
    with pytest.raises(InputError, match="several frames in one file without a position"):
        read_study(tmp_path)


def test_gaps_are_taken_where_allowed_and_said(tmp_path):
    place = lambda i: [4.0 * (i + (i > 2)), 0, 0]  # noqa: E731
    write_series(tmp_path, ImagePositionPatient=place)
    volume = read_study(tmp_path, allow_gaps=True)["sagittal"]
    assert volume.gaps == (3,) and len(volume.pixels) == 8


def test_no_dicom_at_all(tmp_path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(InputError, match="no DICOM images were found"):
        read_study(tmp_path)
    with pytest.raises(InputError, match="not found"):
        read_study(tmp_path / "nowhere")
