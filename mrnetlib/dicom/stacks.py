"""From images to stacks: series split where they must be, slices ordered and checked."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from mrnetlib.dicom.geometry import MAX_OBLIQUE, frame_of, plane_of, upward_normal
from mrnetlib.dicom.headers import Image
from mrnetlib.dicom.refusals import Refused, check_kind, check_pixels

#: Directions that differ by less than this many degrees are one orientation.
SAME_ORIENTATION = 0.5

#: Slices nearer to each other than this, in mm, lie at one position.
SAME_POSITION = 0.02

#: A distance between neighbours this many times the usual one is a gap.
GAP = 1.5

#: A part of a series with fewer slices than this is no stack of its own.
MIN_STACK = 4

#: More volumes in one series than this are a time series, not echoes or repeats.
MAX_PARTS = 12


@dataclass
class Stack:
    """Images of one series that belong together, in the order of their slices once checked.

    ``distance`` is the usual one between neighbours in mm, NaN for a single slice; ``gaps`` says
    after how many slices one is missing and how wide the gap is.
    """

    number: int
    images: list[Image]
    part: str = ""
    plane: str = ""
    angle: float = float("nan")
    frame: np.ndarray | None = None
    distance: float = float("nan")
    centre: np.ndarray | None = None
    gaps: list[tuple[int, float]] = field(default_factory=list)
    refused: Refused | None = None


def split(images: Iterable[Image]) -> list[Stack]:
    """Split a study's images into stacks; those that cannot become volumes carry a refusal.

    Series are told apart by SeriesInstanceUID and numbered from 1 in the order of SeriesNumber.
    Within a series echo, b-value, image type, orientation and matrix always divide; echo time and
    acquisition divide where slices taken together would repeat a position or leave a gap.
    """
    series = _grouped(images, lambda image: image.header.series)
    ordered = sorted(series.items(), key=lambda item: (_series_number(item[1]), item[0]))
    return [
        stack
        for number, (_, members) in enumerate(ordered, 1)
        for stack in _split_series(number, members)
    ]


def _series_number(images: list[Image]) -> float:
    number = images[0].header.series_number
    return float("inf") if number is None else number


def _grouped(
    images: Iterable[Image], key: Callable[[Image], Hashable]
) -> dict[Hashable, list[Image]]:
    groups: dict[Hashable, list[Image]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return dict(groups)


def _by_name(item: tuple[Hashable, list[Image]]) -> str:
    return repr(item[0])  # keys of mixed types have no order of their own


def _contrast(image: Image) -> tuple[Hashable, ...]:
    header = image.header
    kind = header.sop_class, header.samples, header.photometric, header.mosaic
    return image.image_type, kind, header.echo, -1.0 if image.b_value is None else image.b_value


def _split_series(number: int, images: list[Image]) -> list[Stack]:
    stacks = []
    groups = sorted(_grouped(images, _contrast).items(), key=_by_name)
    for _, group in groups:
        try:
            check_kind(group)
            parts = [
                part for member in _by_orientation_and_matrix(group) for part in _by_timing(member)
            ]
        except Refused as refusal:
            stacks.append(Stack(number, group, refused=refusal))
            continue
        stacks += [Stack(number, part) for part in parts]
    for index, stack in enumerate(stacks):
        stack.part = f"{index + 1} of {len(stacks)}" if len(stacks) > 1 else ""
        if stack.refused is None:
            _name_plane(stack)
    return stacks


def _name_plane(stack: Stack) -> None:
    frame = frame_of(stack.images[0].orientation)
    stack.frame = frame
    stack.plane, stack.angle = plane_of(frame)
    if stack.angle > MAX_OBLIQUE:
        stack.refused = Refused(
            f"too oblique: its normal is {stack.angle:.0f} degrees off the nearest plane's axis, "
            f"at most {MAX_OBLIQUE:g} are allowed",
            fault=False,
        )


def _by_orientation_and_matrix(images: list[Image]) -> list[list[Image]]:
    """Parts of one orientation and one matrix, if each is a stack of its own."""
    total = len(images)
    lost = sum(not image.position or frame_of(image.orientation) is None for image in images)
    if lost:
        raise Refused(
            f"{lost} of {total} images have no usable orientation or position, so neither plane "
            "nor order is known; export the series with its geometry"
        )
    clusters: list[tuple[np.ndarray, list[Image]]] = []
    directions: dict[tuple[float, ...], list[Image]] = {}
    for image in images:
        if image.orientation not in directions:
            vectors = frame_of(image.orientation)
            near = [
                members
                for other, members in clusters
                if (np.linalg.norm(other - vectors, axis=1) < np.radians(SAME_ORIENTATION)).all()
            ]
            if not near:
                clusters.append((vectors, []))
            directions[image.orientation] = near[0] if near else clusters[-1][1]
        directions[image.orientation].append(image)
    groups = [members for _, members in clusters]
    if len(groups) > 1:
        smallest, largest = min(map(len, groups)), max(map(len, groups))
        planes = {plane_of(frame)[0] for frame, _ in clusters}
        if len(planes) == 3 and largest < 2 * MIN_STACK:
            raise Refused("a localizer: a few images in each of three planes", fault=False)
        if smallest < MIN_STACK:
            raise Refused(
                f"mixed orientation: {total} images point {len(groups)} ways; the slices of a "
                "stack are parallel"
            )
    return [part for group in groups for part in _by_matrix(group)]


def _by_matrix(images: list[Image]) -> list[list[Image]]:
    def matrix(image: Image) -> tuple[Hashable, ...]:
        spacing = tuple(round(side, 3) for side in image.spacing)
        return image.header.rows, image.header.columns, spacing

    groups = sorted(_grouped(images, matrix).items(), key=_by_name)
    if len(groups) > 1 and min(len(group) for _, group in groups) < MIN_STACK:
        found = ", ".join(f"{m[0]} x {m[1]}" for m in sorted({m for m, _ in groups}))
        raise Refused(
            f"varying matrix: images of {found} pixels or of different pixel sizes in one stack"
        )
    return [group for _, group in groups]


def heights_of(images: list[Image]) -> np.ndarray:
    """Positions along the normal in mm, growing to the left, the back or the head."""
    frame = frame_of(images[0].orientation)
    return np.array([image.position for image in images]) @ upward_normal(frame, plane_of(frame)[0])


def _faults(images: list[Image]) -> tuple[int, int]:
    """How many positions are repeated and how many gaps there are."""
    steps = np.diff(np.sort(heights_of(images)))
    repeated = int((steps < SAME_POSITION).sum())
    steps = steps[steps >= SAME_POSITION]
    return repeated, int((steps > GAP * np.median(steps)).sum()) if len(steps) else 0


def _by_timing(images: list[Image]) -> list[list[Image]]:
    """Parts of one echo time and acquisition, where that resolves repeated positions or gaps."""
    repeated, gaps = _faults(images)
    if not repeated and not gaps:
        return [images]
    if repeated and len({image.temporal for image in images}) > 1:
        return [images]
    keys: list[Callable[[Image], Hashable]] = [
        lambda image: -1.0 if image.echo_time is None else image.echo_time,
        lambda image: image.acquisition,
        lambda image: (image.echo_time or -1.0, image.acquisition),
    ]
    for key in keys:
        groups = [group for _, group in sorted(_grouped(images, key).items(), key=_by_name)]
        found = [_faults(group) for group in groups]
        mended = not any(again for again, _ in found) and (
            repeated > 0 or not any(gaps for _, gaps in found)
        )
        enough = min(map(len, groups)) >= (2 if repeated else MIN_STACK)
        if 1 < len(groups) <= MAX_PARTS and enough and mended:
            return groups
    return [images]


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
