"""Which images make a series, and which of a series make a stack.

A series is never halved in silence: what divides it is what the pictures show, their geometry, or
a position that is there twice. Pieces that fit together are put together or refused.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable

import numpy as np

from mrnetlib.dicom.geometry import frame_of, upward_normal
from mrnetlib.dicom.headers import Image
from mrnetlib.dicom.places import (
    Key,
    by_geometry,
    by_name,
    by_place,
    faults,
    grouped,
    middles,
    parallel,
    same_matrix,
)
from mrnetlib.dicom.refusals import Refused, check_kind, telling
from mrnetlib.dicom.stacks import GAP, MIN_STACK, Stack, locate
from mrnetlib.dicom.wholeness import announce

#: More volumes in one series than this are a time series, not echoes or repeats.
MAX_PARTS = 12


def split(images: Iterable[Image]) -> list[Stack]:
    """Split a study's images into stacks; those that cannot become volumes carry a refusal.

    Series are told apart by SeriesInstanceUID and numbered from 1 in the order of SeriesNumber.
    Within a series what the pictures show, the knee, orientation and matrix always divide; echo
    time, image type and acquisition where slices taken together would repeat a position.
    """
    series = _series(list(images))
    ordered = sorted(
        series, key=lambda found: (_series_number(found[0]), found[0][0].header.series)
    )
    stacks = []
    for number, (members, files) in enumerate(ordered, 1):
        found = _split_series(number, members)
        if files > 1:
            for stack in found:
                stack.notes.append(
                    f"its files have {files} SeriesInstanceUIDs and were put together by geometry"
                )
        stacks += found
    announce(stacks)
    return stacks


def _series_number(images: list[Image]) -> float:
    number = images[0].header.series_number
    return float("inf") if number is None else number


def _series(images: list[Image]) -> list[tuple[list[Image], int]]:
    """Images by series, each with the number of UIDs that it was put together from.

    An anonymizer may have given every file a SeriesInstanceUID of its own. Series that are alike
    in number, description and all that describes the scan are one where each has only a few
    images, or where together they are as evenly spaced as one stack. Those of different numbers
    are one where each has a few images, or InstanceNumber goes through all of them.
    """
    series = list(grouped(images, lambda image: image.header.series).values())
    counts = [1] * len(series)
    for key, few_only in ((_scan, False), (_geometry, True), (_geometry, False)):
        alike: dict[Hashable, list[int]] = defaultdict(list)
        for index, members in enumerate(series):
            if not few_only or (counts[index] == 1 and len(members) < MIN_STACK):
                alike[key(members[0])].append(index)
        for members in alike.values():
            if len(members) > 1 and _are_one([series[index] for index in members]):
                first = members[0]
                for other in members[1:]:
                    series[first] = series[first] + series[other]
                    counts[first] += counts[other]
                    series[other] = []
        kept = [index for index, members in enumerate(series) if members]
        series, counts = [series[i] for i in kept], [counts[i] for i in kept]
    return list(zip(series, counts, strict=True))


def _geometry(image: Image) -> Hashable:
    header = image.header
    times = image.echo_time, image.repetition_time
    directions = tuple(round(part, 2) + 0.0 for part in image.orientation)
    spacing = tuple(round(side, 2) for side in image.spacing)
    kind = header.sop_class, telling(image), header.frames
    return kind, header.rows, header.columns, spacing, directions, times


def _scan(image: Image) -> Hashable:
    return image.header.series_number, image.header.description, image.side, _geometry(image)


def _are_one(series: list[list[Image]]) -> bool:
    images = [image for members in series for image in members]
    if not all(image.position and frame_of(image.orientation) is not None for image in images):
        return False
    if len({image.header.series_number for image in images}) > 1 and len(images) < 2 * MIN_STACK:
        return False
    if max(map(len, series)) < MIN_STACK:
        return len(images) >= MIN_STACK
    if any(len(grouped(members, _geometry)) > 1 for members in series):
        return False
    repeated, gaps = faults(images)
    if repeated or gaps > 1 or len(by_place(images)) > 1:
        return False
    if len({image.header.series_number for image in images}) == 1:
        return True
    numbers = {image.header.number for image in images}  # of one series, if they go through both
    return None not in numbers and len(numbers) == len(images) == max(numbers) - min(numbers) + 1


def _contrast(image: Image) -> tuple[Hashable, ...]:
    header = image.header
    b_value = -1.0 if image.b_value is None else image.b_value
    return (*_picture(image), image.image_type, header.echo, b_value)


def _picture(image: Image) -> tuple[Hashable, ...]:
    """What always makes another picture of an image, other than how it was taken."""
    header = image.header
    return (
        telling(image),
        header.sop_class,
        header.samples,
        header.photometric,
        header.extras.mosaic,
    )


def _split_series(number: int, images: list[Image]) -> list[Stack]:
    refused, parts = [], []
    sides = {image.side for image in images} - {""}
    key = (lambda image: (image.side, *_contrast(image))) if len(sides) > 1 else _contrast
    for _, group in sorted(grouped(images, key).items(), key=by_name):
        try:
            check_kind(group)
            parts += by_geometry(group)
        except Refused as refusal:
            refused.append(Stack(number, group, refused=refusal))
    stacks = []
    for part, note in _joined(parts):
        for images_of_one in _by_timing(part):
            stacks.append(Stack(number, images_of_one, notes=[note] if note else []))
    stacks = [*refused, *stacks]
    for index, stack in enumerate(stacks):
        stack.part = f"{index + 1} of {len(stacks)}" if len(stacks) > 1 else ""
        if stack.refused is None:
            locate(stack)
    if len(stacks) > 1:
        _refuse_pieces(stacks)
    return stacks


def _echo_time(image: Image) -> float:
    return -1.0 if image.echo_time is None else image.echo_time


def _by_timing(images: list[Image]) -> list[list[Image]]:
    """Parts of one echo time or acquisition, where that resolves repeated positions.

    A gap is resolved by echo times alone: acquisitions that were taken one after the other, or
    each of every second slice, make one stack, and a gap in it is a slice that was lost.
    """
    repeated, gaps = faults(images)
    if not repeated and not gaps:
        return [images]
    if repeated and len({image.temporal for image in images}) > 1:
        return [images]
    keys: list[Key] = [_echo_time]
    if repeated:
        keys += [
            lambda image: image.acquisition,
            lambda image: (_echo_time(image), image.acquisition),
        ]
    for key in keys:
        groups = [group for _, group in sorted(grouped(images, key).items(), key=by_name)]
        found = [faults(group) for group in groups]
        mended = not any(again for again, _ in found) and (
            repeated > 0 or not any(gaps for _, gaps in found)
        )
        enough = min(map(len, groups)) >= (2 if repeated else MIN_STACK)
        if 1 < len(groups) <= MAX_PARTS and enough and mended:
            return groups
    return [images]


def _same_side(one: Image, other: Image) -> bool:
    return len({one.side, other.side} - {""}) < 2


def _complement(one: list[Image], other: list[Image]) -> bool:
    """Whether two parts lie in one place and share no position, as pieces of a stack do."""
    frames = [frame_of(images[0].orientation)[2:] for images in (one, other)]
    if not (parallel(frames[0], frames[1]) or parallel(frames[0], -frames[1])):
        return False
    times = [_echo_time(images[0]) for images in (one, other)]
    if abs(times[0] - times[1]) > 1e-3 * max(times):
        return False
    both = [*one, *other]
    return not faults(both)[0] and len(by_place(both)) == 1


def _joined(parts: list[list[Image]]) -> list[tuple[list[Image], str]]:
    """Parts of a series, those put together that differ only in words which change no picture."""
    joined: list[tuple[list[Image], str]] = []
    for part in parts:
        for index, (members, _) in enumerate(joined):
            one, other = members[0], part[0]
            alike = _picture(one) == _picture(other) and _same_side(one, other)
            turned = frame_of(one.orientation), frame_of(other.orientation)
            if (
                alike
                and parallel(*turned)
                and same_matrix(one, other)
                and _complement(members, part)
            ):
                note = "its image type or echo number changes within the stack"
                joined[index] = [*members, *part], note
                break
        else:
            joined.append((part, ""))
    return joined


def _refuse_pieces(stacks: list[Stack]) -> None:
    """Refuse stacks that look like the pieces of one, as one whose kind changes half way.

    One of them may have been refused already, for what it shows or how it is encoded.
    """
    parallel_ones = [stack for stack in stacks if _one_orientation(stack.images)]
    for index, one in enumerate(parallel_ones):
        for other in parallel_ones[index + 1 :]:
            usable = [stack for stack in (one, other) if stack.refused is None]
            if not usable or not _same_side(one.images[0], other.images[0]):
                continue
            if _complement(one.images, other.images) or _continued(one, other):
                reason = (
                    f"its images are {len(one.images)} and {len(other.images)} slices that lie "
                    "beside each other like one stack, and differ in matrix, orientation, kind or "
                    "encoding; export the series again"
                )
                for stack in usable:
                    stack.refused = Refused(reason)


def _continued(one: Stack, other: Stack) -> bool:
    """Whether one stack begins where the other ends, turned or shifted, as the rest of it would."""
    if len(one.images) < 2 or len(other.images) < 2 or not one.plane or one.plane != other.plane:
        return False
    times = [_echo_time(stack.images[0]) for stack in (one, other)]
    if abs(times[0] - times[1]) > 1e-3 * max(times):
        return False
    normal = upward_normal(one.frame, one.plane)
    places = [np.sort(middles(stack.images) @ normal) for stack in (one, other)]
    low, high = sorted(places, key=lambda heights: heights[0])
    usual = max(float(np.median(np.diff(ends))) for ends in places)
    return 0.25 * usual < high[0] - low[-1] < GAP * usual


def _one_orientation(images: list[Image]) -> bool:
    frames = [frame_of(direction) for direction in {image.orientation for image in images}]
    if any(frame is None for frame in frames) or not all(image.position for image in images):
        return False
    return all(parallel(frame, frames[0]) for frame in frames)
