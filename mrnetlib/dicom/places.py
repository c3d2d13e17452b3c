"""Images by where they lie: parts of one orientation, one matrix and one place in the body."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

import numpy as np

from mrnetlib.dicom.geometry import SQUARE, frame_of, plane_of, upward_normal
from mrnetlib.dicom.headers import Image
from mrnetlib.dicom.refusals import Refused
from mrnetlib.dicom.stacks import GAP, MIN_STACK, SAME_KNEE, SAME_POSITION, heights_of

#: Directions that differ by less than this many degrees are one orientation.
SAME_ORIENTATION = 0.5

#: Stacks farther apart than this, in mm, within their plane or along their normal, are two.
APART = 40.0

#: A hole between slices narrower than this, in mm, is no way from one knee to the other.
NARROW = 15.0

Key = Callable[[Image], Hashable]


def grouped(images: Iterable[Image], key: Key) -> dict[Hashable, list[Image]]:
    groups: dict[Hashable, list[Image]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return dict(groups)


def by_name(item: tuple[Hashable, list[Image]]) -> str:
    return repr(item[0])  # keys of mixed types have no order of their own


def by_geometry(images: list[Image]) -> list[list[Image]]:
    """Parts of one orientation, one matrix and one place, if each is a stack of its own."""
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
            near = [members for other, members in clusters if parallel(other, vectors)]
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
    return [place for group in groups for part in _by_matrix(group) for place in by_place(part)]


def parallel(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two frames of unit vectors (3, 3) or (1, 3) point the same way."""
    return bool((np.linalg.norm(one - other, axis=1) < np.radians(SAME_ORIENTATION)).all())


def _same_spacing(one: Image, other: Image) -> bool:
    """Whether pixels are of one size; what an exporter rounded makes no other."""
    if len(one.spacing) != len(other.spacing):
        return False
    pairs = zip(one.spacing, other.spacing, strict=True)
    return all(abs(a - b) <= SQUARE * max(a, b) for a, b in pairs)


def _by_matrix(images: list[Image]) -> list[list[Image]]:
    groups: list[list[Image]] = []
    for _, members in sorted(grouped(images, _matrix).items(), key=by_name):
        near = [group for group in groups if same_matrix(group[0], members[0])]
        if near:
            near[0].extend(members)
        else:
            groups.append(list(members))
    if len(groups) > 1 and min(map(len, groups)) < MIN_STACK:
        sizes = sorted({(image.header.rows, image.header.columns) for image in images})
        found = ", ".join(f"{rows} x {columns}" for rows, columns in sizes)
        raise Refused(
            f"varying matrix: images of {found} pixels or of different pixel sizes in one stack"
        )
    return groups


def _matrix(image: Image) -> Hashable:
    return image.header.rows, image.header.columns, image.spacing


def same_matrix(one: Image, other: Image) -> bool:
    sizes = {(image.header.rows, image.header.columns) for image in (one, other)}
    return len(sizes) == 1 and _same_spacing(one, other)


def by_place(images: list[Image]) -> list[list[Image]]:
    """Parts that lie far from each other, as the stacks of two knees do.

    Stacks beside each other within their plane are two. A hole along the normal is where slices
    were lost, unless it is wide, both sides are stacks, and the images are numbered across it as
    if nothing were missing.
    """
    frame = frame_of(images[0].orientation)
    axes = [frame[0], frame[1], upward_normal(frame, plane_of(frame)[0])]
    places = middles(images) @ np.transpose(axes)  # (S, 3)(3, 3) -> (S, 3)
    for axis in range(3):
        order = np.argsort(places[:, axis], kind="stable")
        steps = np.diff(places[order, axis])
        if not len(steps) or steps.max() <= (NARROW if axis == 2 else APART):
            continue
        cut = int(steps.argmax()) + 1
        parts = [[images[i] for i in half] for half in (order[:cut], order[cut:])]
        if min(map(len, parts)) < MIN_STACK:
            continue
        if axis == 2 and not _two_stacks(parts, steps, places[order, 2]):
            continue
        return [piece for part in parts for piece in by_place(part)]
    return [images]


def middles(images: list[Image]) -> np.ndarray:
    """The middle of each image in mm, (S, 3)."""
    halves: dict[Hashable, np.ndarray] = {}
    for image in images:
        key = image.orientation, _matrix(image)
        if key not in halves:
            across, down, _ = frame_of(image.orientation)
            rows, columns = image.spacing or (1.0, 1.0)
            halves[key] = (
                across * columns * (image.header.columns - 1) / 2
                + down * rows * (image.header.rows - 1) / 2
            )
    return np.array([halves[i.orientation, _matrix(i)] + i.position for i in images])


def _two_stacks(parts: list[list[Image]], steps: np.ndarray, heights: np.ndarray) -> bool:
    """Whether a hole along the normal parts two stacks and is no loss of slices."""
    cut = len(parts[0])
    middles = [(half[0] + half[-1]) / 2 for half in (heights[:cut], heights[cut:])]
    usual = float(np.median(steps[steps >= SAME_POSITION]))
    if middles[1] - middles[0] <= SAME_KNEE or steps.max() <= GAP * usual:
        return False
    numbers = [{image.header.number for image in part} for part in parts]
    known = not any(None in part for part in numbers) and not numbers[0] & numbers[1]
    if not known or parts[0][0].header.described:
        return steps.max() > APART
    jump = min(abs(one - other) for one in numbers[0] for other in numbers[1])
    return jump <= max(1, (steps.max() / usual - 1) / 2)


def faults(images: list[Image]) -> tuple[int, int]:
    """How many positions are repeated and how many gaps there are."""
    steps = np.diff(np.sort(heights_of(images)))
    repeated = int((steps < SAME_POSITION).sum())
    steps = steps[steps >= SAME_POSITION]
    return repeated, int((steps > GAP * np.median(steps)).sum()) if len(steps) else 0
