"""Evidence as DICOM parametric maps: a pixel's value is its share of a plane's logit.

A map has a frame per slice, each where its slice lies in the patient, on the networks' square
pixels in standard display. So viewers lay it over the series by its own geometry, and its sum is
exactly what the evidence adds up to, which a map resampled to the series' pixels would lose.
"""

import numpy as np
from highdicom import (
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
    VOILUTFunctionValues,
    VOILUTTransformation,
)
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept
from highdicom.uid import UID
from pydicom import Dataset

from mrnetlib.dicom.geometry import Grid
from mrnetlib.names import PLANE_TITLES, TASK_TITLES
from mrnetlib.reading import codes
from mrnetlib.reading.evidence import Evidence

#: Maps of larger slices are summed over squares of pixels: the evidence is coarser anyway.
MAX_SIDE = 128


def on_grid(evidence: Evidence, first: Grid) -> tuple[np.ndarray, float, float]:
    """Shares (S, n, n) float32 with the sums of the evidence, a pixel's side in mm, and how far
    the first pixel's centre is moved along both axes, in mm.

    Parameters
    ----------
    first : where the pixels of the networks' slices lie.
    """
    shares, size = evidence.on_pixels(), evidence.size
    block = next(b for b in range(1, size + 1) if size % b == 0 and size // b <= MAX_SIDE)
    count = size // block
    if block > 1:  # (S, H, W) -> (S, n, block, n, block) -> (S, n, n)
        shares = shares.reshape(-1, count, block, count, block).sum(axis=(2, 4), dtype=np.float32)
    return shares, block * first.pixel, (block - 1) / 2 * first.pixel


def _window(shares: np.ndarray) -> VOILUTTransformation:
    """A symmetrical window: no evidence is the middle grey."""
    most = float(np.abs(shares).max()) or 1.0
    return VOILUTTransformation(
        window_center=0.0,
        window_width=2 * most,
        voi_lut_function=VOILUTFunctionValues.LINEAR_EXACT,  # the only one for widths below 1
    )


def _mapping(task: str, shares: np.ndarray) -> RealWorldValueMapping:
    most = float(np.abs(shares).max()) or 1.0
    return RealWorldValueMapping(
        lut_label=task.upper(),
        lut_explanation=f"Share of a pixel in the logit for {TASK_TITLES[task]}",
        unit=codes.NO_UNITS,
        value_range=(-most, most),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.EVIDENCE,
    )


def _anatomy(side: str) -> Dataset:
    """What the frames show: dcmqi, which 3D Slicer reads maps by, ends without it.

    A side must be said, and where it is unknown dcmqi itself writes U.
    """
    made = Dataset()
    made.FrameLaterality = side or "U"
    made.AnatomicRegionSequence = [CodedConcept.from_code(codes.REGION)]
    return made


def parametric_map(
    plane: str,
    task: str,
    evidence: Evidence,
    grids: list[Grid],
    spacing: float,
    sources: list[Dataset],
    side: str,
    common: dict,
) -> ParametricMap:
    """The map of one plane and task.

    Parameters
    ----------
    grids : where each slice's pixels lie.
    spacing : between slices in mm.
    sources : the source images, one a slice or one that holds all as frames.
    side : R or L, "" where it is unknown.
    common : what all objects say of the software and of their series, see `dicom_objects`.
    """
    shares, pixel, shift = on_grid(evidence, grids[0])
    corners = [grid.first + shift * (grid.across + grid.down) for grid in grids]
    thickness = spacing if np.isfinite(spacing) and spacing > 0 else pixel
    title = f"Evidence for {TASK_TITLES[task]}, {PLANE_TITLES[plane].lower()}"
    made = ParametricMap(
        source_images=sources,
        pixel_array=shares,
        sop_instance_uid=UID(),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(task, shares)],
        voi_lut_transformations=[_window(shares)],
        pixel_measures=PixelMeasuresSequence(
            pixel_spacing=(pixel, pixel),
            slice_thickness=thickness,
            spacing_between_slices=thickness,
        ),
        plane_orientation=PlaneOrientationSequence(
            "PATIENT", [*map(float, grids[0].across), *map(float, grids[0].down)]
        ),
        plane_positions=[PlanePositionSequence("PATIENT", list(map(float, c))) for c in corners],
        content_label=f"{task}_{plane}".upper()[:16],
        content_description=title,
        **common,
    )
    made.ContentCreatorName = ""  # must be there, and highdicom leaves it out
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy(side)]
    return made
