"""Whether all images of a series have come: what its header announces against what is there.

Positions show a slice that was lost between others. One lost at an end, or every second one, shows
only in the images' numbers and in the counts that scanners write.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable
from itertools import pairwise

import numpy as np

from mrnetlib.dicom.choose import WHOLE_KNEE
from mrnetlib.dicom.headers import Image
from mrnetlib.dicom.stacks import Stack, heights_of

#: Numbers above this are no count of images.
MANY = 20_000

#: Slices that are numbered in steps and lie farther apart than this many thicknesses are not all.
SPARSE = 1.5

#: Slices farther apart than this many thicknesses leave room for a whole one, and are not all.
ROOM = 2.1


def announce(stacks: list[Stack]) -> None:
    """Write into ``lacking`` of each stack of a study what of its series is not there."""
    series: dict[int, list[Stack]] = defaultdict(list)
    for stack in stacks:
        series[stack.number].append(stack)
    numbers = {number: _numbers(members) for number, members in series.items()}
    families = _families(stacks)
    for number, members in series.items():
        images = [image for stack in members for image in stack.images]
        others = [found for other, found in numbers.items() if other != number]
        usable = [stack for stack in members if stack.plane and stack.refused is None]
        whole = _fewer_images(images, families)
        for stack in usable:
            stack.lacking = (
                whole
                or _fewer_places(stack, usable)
                or _fewer_than_another(stack, usable)
                or _missing_numbers(stack, numbers[number], others, len(members) == 1)
                or _room(stack)
            )


def _numbers(stacks: list[Stack]) -> set[int]:
    """InstanceNumbers of a series, none where one is missing or there twice."""
    images = [image for stack in stacks for image in stack.images]
    numbers = {image.header.number for image in images}
    if None in numbers or len(numbers) < len(images) or max(numbers) > MANY:
        return set()
    return numbers


def _family(image: Image) -> Hashable:
    """What images share whose scan wrote one count for all of its series, as of a Dixon's."""
    directions = tuple(round(part, 1) + 0.0 for part in image.orientation)
    return image.header.extras.images, image.repetition_time, directions


def _families(stacks: list[Stack]) -> dict[Hashable, int]:
    counts: dict[Hashable, int] = defaultdict(int)
    for stack in stacks:
        if stack.images[0].header.extras.images:
            for image in stack.images:
                counts[_family(image)] += 1
    return counts


def _fewer_images(images: list[Image], families: dict[Hashable, int]) -> str:
    first = images[0]
    files = {image.header.file for image in images}
    parts = first.header.extras.parts or 0
    if len(files) < parts <= MANY:
        return f"it is cut short: {len(files)} of the {parts} files of a concatenation are there"
    announced = max((image.header.extras.images or 0 for image in images), default=0)
    if first.header.described or not 0 < announced <= MANY:
        return ""
    counts = Counter(image.acquisition for image in images)
    fewest = min(counts.values())
    if fewest < announced == max(counts.values()):
        return f"it is cut short: an acquisition has {fewest} of {announced} announced images"
    if len(images) >= announced:
        return ""
    if announced % len(images) == 0 and families.get(_family(first), 0) >= announced:
        return ""  # the count is that of several series, as of a Dixon acquisition
    return f"it is cut short: {len(images)} of the {announced} images that its header announces"


def _fewer_places(stack: Stack, stacks: list[Stack]) -> str:
    announced = max((image.header.extras.places or 0 for image in stack.images), default=0)
    images = [image for other in stacks if other.plane == stack.plane for image in other.images]
    places = len(set(np.round(heights_of(images), 1)))
    if not places < announced <= MANY:
        return ""
    return f"it is cut short: {places} of the {announced} slices that its header announces"


def _fewer_than_another(stack: Stack, stacks: list[Stack]) -> str:
    """What another echo or acquisition of the series has more, where it has all of these too."""
    places = set(np.round(heights_of(stack.images), 1))
    for other in stacks:
        parallel = other.plane == stack.plane and np.allclose(other.frame, stack.frame, atol=0.01)
        more = set(np.round(heights_of(other.images), 1)) if parallel else set()
        if places < more:
            return (
                f"it is cut short: {len(places)} of the {len(more)} slices that part {other.name} "
                "of its series has"
            )
    return ""


def _missing_numbers(stack: Stack, numbers: set[int], others: list[set[int]], alone: bool) -> str:
    """What the InstanceNumbers say; numbers that another series goes on with are not missing."""
    if len(numbers) < 2:
        return ""
    taken = set().union(*(other for other in others if not other & numbers))
    holes = set(range(1, max(numbers))) - numbers - taken
    before = {hole for hole in holes if hole < min(numbers)}
    numbered_on = len(before) >= len(numbers) and (
        len(before) > 2 * len(numbers) or _reach(stack) >= WHOLE_KNEE
    )
    if numbered_on:  # a series that is numbered from 101, or goes on with another's numbers
        before = set()
    lost = len(before)
    if alone:
        lost += _lost_inside(stack, sorted(numbers), holes)
        if sparse := _sparse(stack, holes):
            return sparse
    if not lost:
        return ""
    return (
        f"{lost} {'slice is' if lost == 1 else 'slices are'} missing at an end: InstanceNumber "
        f"leaves out {lost} of {max(numbers)}"
    )


def _reach(stack: Stack) -> float:
    """How far its slices reach, in mm."""
    heights = np.sort(heights_of(stack.images))
    return len(heights) * float(np.median(np.diff(heights))) if len(heights) > 1 else 0.0


def _lost_inside(stack: Stack, numbers: list[int], holes: set[int]) -> int:
    """Holes between numbers of slices that are no neighbours: their slices lie at an end."""
    heights = heights_of(stack.images)
    ranks = {
        stack.images[index].header.number: rank for rank, index in enumerate(heights.argsort())
    }
    apart = [(low, high) for low, high in pairwise(numbers) if abs(ranks[low] - ranks[high]) > 1]
    return sum(len(holes & set(range(low + 1, high))) for low, high in apart)


def _sparse(stack: Stack, holes: set[int]) -> str:
    """What it is where room is left for slices between those that are there.

    By numbers that go in steps, or by slices as far apart as two thicknesses and more; not where
    the announced distance is that of the slices.
    """
    heights = heights_of(stack.images)
    distance = float(np.median(np.diff(np.sort(heights))))
    announced, thickness = stack.images[0].distance, stack.images[0].thickness or 0.0
    if announced and abs(announced - distance) < 0.1 * distance:
        return ""
    ordered = [stack.images[index].header.number for index in heights.argsort()]
    steps = set(np.abs(np.diff(ordered)))
    step = min(steps)
    between = step > 1 and len(steps) == 1 and min(ordered) + 1 in holes
    if between and distance > SPARSE * thickness:
        which = {2: "second", 3: "third"}.get(int(step), f"{int(step)}th")
        return (
            f"only every {which} slice is there: InstanceNumber leaves out those between, and the "
            "slices are too far apart for their thickness"
        )
    return ""


def _room(stack: Stack) -> str:
    """What it is where whole slices would fit between all neighbours and nothing announces that."""
    steps = np.diff(np.sort(heights_of(stack.images)))
    announced, thickness = stack.images[0].distance, stack.images[0].thickness
    distance = float(np.median(steps)) if len(steps) else 0.0
    if not thickness or distance < ROOM * thickness:
        return ""
    if announced and abs(announced - distance) < 0.1 * distance:
        return ""
    return (
        f"its slices are {distance:.1f} mm apart and {thickness:g} mm thick, so that every second "
        "one may be missing"
    )
