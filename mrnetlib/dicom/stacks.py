"""A stack of slices: its plane, its place in the body, the order of its slices, what it lacks."""

from dataclasses import dataclass, field

import numpy as np

from mrnetlib.dicom.geometry import MAX_OBLIQUE, frame_of, plane_of, upward_normal
from mrnetlib.dicom.headers import Image
from mrnetlib.dicom.refusals import Refused, check_pixels

#: Slices nearer to each other than this, in mm, lie at one position.
SAME_POSITION = 0.02

#: A distance between neighbours this many times the usual one is a gap.
GAP = 1.5

#: A part of a series with fewer slices than this is no stack of its own.
MIN_STACK = 4

#: Series of one exam whose centres are farther apart than this across, in mm, show two knees.
SAME_KNEE = 90.0

#: Distances between neighbours that differ from the usual one by more than this share are uneven.
UNEVEN = 0.25

#: Slices shifted within their plane by more than this, in mm, do not lie above each other.
MAX_SHIFT = 2.0


@dataclass(eq=False)
class Stack:
    """Images of one series that belong together, in the order of their slices once checked.

    ``distance`` is the usual one between neighbours in mm, NaN for a single slice; ``gaps`` says
    after how many slices one is missing and how wide the gap is. ``centre`` and ``extent`` are in
    mm along x, y and z. ``lacking`` is a sentence about slices that the header announces and that
    are not there, ``notes`` are remarks for the report.
    """

    number: int
    images: list[Image]
    part: str = ""
    plane: str = ""
    angle: float = float("nan")
    frame: np.ndarray | None = None
    distance: float = float("nan")
    centre: np.ndarray | None = None
    extent: np.ndarray | None = None
    gaps: list[tuple[int, float]] = field(default_factory=list)
    lacking: str = ""
    notes: list[str] = field(default_factory=list)
    refused: Refused | None = None

    @property
    def name(self) -> str:
        """How ``--prefer series:`` names it: 3, or 3.2 for the second part of series 3."""
        return f"{self.number}.{self.part.partition(' ')[0]}" if self.part else str(self.number)


def heights_of(images: list[Image]) -> np.ndarray:
    """Positions along the normal in mm, growing to the left, the back or the head."""
    frame = frame_of(images[0].orientation)
    return np.array([image.position for image in images]) @ upward_normal(frame, plane_of(frame)[0])


def locate(stack: Stack) -> None:
    """Find a stack's plane, and where in the body it lies; refuse one between two planes."""
    first, header = stack.images[0], stack.images[0].header
    stack.frame = frame = frame_of(first.orientation)
    stack.plane, stack.angle = plane_of(frame)
    heights = heights_of(stack.images)
    ends = [stack.images[int(end)].position for end in (heights.argmin(), heights.argmax())]
    rows, columns = first.spacing or (1.0, 1.0)
    across = frame[0] * columns * (header.columns - 1)
    down = frame[1] * rows * (header.rows - 1)
    stack.centre = np.mean(ends, axis=0) + across / 2 + down / 2
    stack.extent = np.abs(across) + np.abs(down) + np.abs(np.subtract(*ends))
    if stack.angle > MAX_OBLIQUE:
        stack.refused = Refused(
            f"too oblique: its normal is {stack.angle:.0f} degrees off the nearest plane's axis, "
            f"at most {MAX_OBLIQUE:g} are allowed",
            fault=False,
        )


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
    if stack.lacking and not allow_gaps and len(stack.images) > 1:
        raise Refused(f"{stack.lacking}; fetch the series again, or allow it with --allow-gaps")
    if stack.lacking:
        stack.notes.append(stack.lacking)


def _check_repeats(images: list[Image], steps: np.ndarray) -> None:
    repeats = int((steps < SAME_POSITION).sum())
    if not repeats:
        return
    total, places = len(images), len(images) - repeats
    if places == 1 and total > 2:
        if len({image.header.location for image in images}) > 1:
            raise Refused(
                f"the positions of its {total} images are all alike (ImagePositionPatient), while "
                "SliceLocation differs; export the series with its geometry"
            )
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
    usual = _usual(stack, steps)
    wide = np.flatnonzero(steps > GAP * usual)
    stack.gaps = [(int(index) + 1, float(steps[index])) for index in wide]
    if stack.gaps and not allow_gaps:
        missing = int(sum(max(1, round(step / usual) - 1) for _, step in stack.gaps))
        after, width = stack.gaps[0]
        raise Refused(
            f"{_slices(missing)} missing, the first after slice {after} of {len(stack.images)} "
            f"({width:.1f} mm to the next instead of {usual:.1f}); fetch the series again, or "
            "allow it with --allow-gaps"
        )
    narrow = np.abs(np.delete(steps, wide) - usual) > UNEVEN * usual
    if narrow.any() and not allow_gaps:
        raise Refused(
            f"unevenly spaced slices: {steps.min():.1f} to {steps.max():.1f} mm apart; two stacks "
            "may be mixed in one series"
        )


def _usual(stack: Stack, steps: np.ndarray) -> float:
    """The distance of neighbours, in mm, where nothing is missing.

    Most often the median; the announced one, or the least of all, where the others are multiples.
    """
    announced, thickness = stack.images[0].distance, stack.images[0].thickness
    if announced and thickness and announced > 0.9 * thickness:
        times = round(stack.distance / announced)
        if times > 1 and abs(stack.distance / announced - times) < 0.02 * times:
            return announced
    times = steps / steps.min()
    multiples = np.abs(times - np.rint(times)) < 0.05 * times
    if multiples.all() and (times < GAP).sum() > 1 and times.max() < 20:
        return float(np.median(steps[times < GAP]))
    return stack.distance


def _slices(count: int) -> str:
    return "1 slice is" if count == 1 else f"{count} slices are"
