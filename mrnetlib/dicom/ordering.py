"""The order of a stack's slices, and whether they make a volume."""

import numpy as np

from mrnetlib.dicom.headers import Image
from mrnetlib.dicom.refusals import Refused, check_pixels
from mrnetlib.dicom.stacks import GAP, SAME_POSITION, Stack, heights_of

#: Distances between neighbours that differ from the usual one by more than this share are uneven.
UNEVEN = 0.25

#: Slices shifted within their plane by more than this, in mm, do not lie above each other.
MAX_SHIFT = 2.0


def order(stack: Stack, allow_gaps: bool = False) -> None:
    """Order a stack's slices along its normal and check that they make a volume.

    Raises
    ------
    Refused
    """
    heights = heights_of(stack.images)
    ranks = np.argsort(heights, kind="stable")
    stack.images = [stack.images[rank] for rank in ranks]
    heights = heights[ranks]
    check_pixels(stack.images)
    steps = np.diff(heights)
    _check_repeats(stack.images, steps)
    _check_shift(stack)
    if len(steps):
        stack.distance = float(np.median(steps))
        _check_gaps(stack, steps, allow_gaps)
    header, first = stack.images[0].header, stack.images[0]
    spacing = first.spacing or (1.0, 1.0)
    middle = (np.array(first.position) + np.array(stack.images[-1].position)) / 2
    stack.centre = (
        middle
        + stack.frame[0] * spacing[1] * (header.columns - 1) / 2
        + stack.frame[1] * spacing[0] * (header.rows - 1) / 2
    )


def _check_repeats(images: list[Image], steps: np.ndarray) -> None:
    repeats = int((steps < SAME_POSITION).sum())
    if not repeats:
        return
    total, places = len(images), len(images) - repeats
    if places == 1 and total > 2:
        raise Refused(f"a time series: {total} images of one position", fault=False)
    times = {image.temporal for image in images} | {image.acquisition for image in images}
    if total % places == 0 and total // places > 1 and len(times - {""}) > 1:
        raise Refused(
            f"a time series: {total // places} images at each of {places} positions", fault=False
        )
    raise Refused(
        f"{repeats} slices are duplicated ({total} images at {places} positions); keep one of each"
    )


def _check_shift(stack: Stack) -> None:
    positions = np.array([image.position for image in stack.images])
    inside = (positions - positions[0]) @ stack.frame[:2].T  # (S, 3)(3, 2) -> (S, 2)
    shift = float(np.abs(inside).max())
    if shift > MAX_SHIFT:
        raise Refused(
            f"slices are shifted within their plane by up to {shift:.0f} mm, so they do not lie "
            "above each other"
        )


def _check_gaps(stack: Stack, steps: np.ndarray, allow_gaps: bool) -> None:
    usual = stack.distance
    announced, thickness = stack.images[0].distance, stack.images[0].thickness
    if announced and thickness and announced > 0.9 * thickness:
        times = round(usual / announced)
        if times > 1 and abs(usual / announced - times) < 0.02 * times:
            usual = announced
    wide = np.flatnonzero(steps > GAP * usual)
    stack.gaps = [(int(index) + 1, float(steps[index])) for index in wide]
    if stack.gaps and not allow_gaps:
        missing = int(sum(max(1, round(step / usual) - 1) for _, step in stack.gaps))
        after, width = stack.gaps[0]
        raise Refused(
            f"{missing} slices are missing, the first after slice {after} of {len(stack.images)} "
            f"({width:.1f} mm to the next instead of {usual:.1f}); fetch the series again, or "
            "allow it with --allow-gaps"
        )
    narrow = np.abs(np.delete(steps, wide) - usual) > UNEVEN * usual
    if narrow.any() and not allow_gaps:
        raise Refused(
            f"unevenly spaced slices: {steps.min():.1f} to {steps.max():.1f} mm apart; two stacks "
            "may be mixed in one series"
        )
