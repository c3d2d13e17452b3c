"""One study: its series examined, one volume per plane read, a report of everything found."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mrnetlib.dicom import headers, knees, pixels, scale
from mrnetlib.dicom.archives import File, UnreadableError
from mrnetlib.dicom.choose import Preference, choose, contrast, describe, parse
from mrnetlib.dicom.gather import gather
from mrnetlib.dicom.geometry import Volume, display_turn, turned
from mrnetlib.dicom.headers import Image
from mrnetlib.dicom.refusals import Refused
from mrnetlib.dicom.series import split
from mrnetlib.dicom.sources import quiet
from mrnetlib.dicom.stacks import MIN_STACK, Stack, order
from mrnetlib.files import InputError
from mrnetlib.names import PLANES

#: Empty slices at an end of a stack that correction of distortion may leave.
EMPTY_ENDS = 2

#: Columns of ``dicom_report.csv``.
REPORT_COLUMNS = (
    *("exam", "series", "part", "plane", "decision", "reason", "images", "rows", "columns"),
    *("slice_mm", "row_mm", "column_mm", "degrees_oblique", "echo_ms", "repetition_ms"),
)


@dataclass
class Examination:
    """What examining a study gave.

    ``volumes`` per plane; ``rows`` of the report, one per stack; ``faults``, sentences about
    planes that should have become a volume and did not.
    """

    volumes: dict[str, Volume] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read_images(files: list[File]) -> tuple[list[Image], list[str]]:
    """Headers of all images, and why the files that look like DICOM could not be read."""
    images, unreadable = [], []
    for file in files:
        try:
            images += headers.read(file)
        except UnreadableError as error:
            if file.means_dicom():
                unreadable.append(str(error))
    return images, unreadable


def _row(stack: Stack, decision: str, reason: str) -> dict[str, object]:
    """A line of the report: numbers and our own words only."""
    image = stack.images[0]
    spacing = image.spacing or (None, None)
    return {
        "series": stack.number,
        "part": stack.part,
        "plane": stack.plane,
        "decision": decision,
        "reason": reason,
        "images": len(stack.images),
        "rows": image.header.rows,
        "columns": image.header.columns,
        "slice_mm": None if np.isnan(stack.distance) else round(stack.distance, 3),
        "row_mm": spacing[0],
        "column_mm": spacing[1],
        "degrees_oblique": None if np.isnan(stack.angle) else round(stack.angle, 1),
        "echo_ms": image.echo_time,
        "repetition_ms": image.repetition_time,
    }


def _read_volume(stack: Stack, reason: str, allow_gaps: bool) -> Volume:
    header, spacing = stack.images[0].header, stack.images[0].spacing or (float("nan"),) * 2
    if len(stack.images) * header.rows * header.columns > pixels.MAX_VOXELS:
        raise Refused("more voxels than an MR series has; the file is damaged")
    try:
        values = scale.rescaled(stack.images, stack.notes)
        scale.check_copies(values)
    except UnreadableError as error:
        raise Refused(f"{error}; fetch the series again") from None
    _check_empty(scale.empty(values), stack, allow_gaps)
    turn = display_turn(stack.frame, stack.plane)
    if turn[0]:
        spacing = spacing[::-1]
    return Volume(
        turned(values, turn),
        (stack.distance, *spacing),
        stack.plane,
        describe(stack),
        reason,
        tuple(after for after, _ in stack.gaps),
        tuple(stack.images),
        turn,
    )


def _check_empty(empty: np.ndarray, stack: Stack, allow_gaps: bool) -> None:
    """Refuse a stack of which slices hold nothing; a few at its ends may be a scanner's.

    `empty` (S,) says which.
    """
    if not empty.any() or len(empty) == 1:
        return
    filled = np.flatnonzero(~empty)
    inner = empty[filled[0] : filled[-1]].sum() if len(filled) else len(empty)
    ends = max(filled[0], len(empty) - 1 - filled[-1]) if len(filled) else 0
    numbers = ", ".join(str(index + 1) for index in np.flatnonzero(empty))
    said = f"{empty.sum()} of its {len(empty)} slices are empty (slice {numbers})"
    if (inner or ends > EMPTY_ENDS) and not (allow_gaps and len(filled)):
        raise Refused(f"{said}; fetch the series again, or allow it with --allow-gaps")
    stack.notes.append(said)


def _taken(stack: Stack, reason: str) -> str:
    """The reason for the report, with all that was done to the stack on the way."""
    notes = [f"{describe(stack)}; {reason}"]
    if stack.gaps:
        where = ", ".join(f"after slice {after} ({width:.1f} mm)" for after, width in stack.gaps)
        notes.append(f"slices are missing {where}, as --allow-gaps permits")
    if len(stack.images) == 1:
        notes.append("it has a single slice")
    if stack.images[0].header.lossy:
        notes.append("its pixels were once compressed with loss")
    if not stack.images[0].spacing:
        notes.append("it has no pixel spacing; pixels are taken as square")
    if any(display_turn(stack.frame, stack.plane)):
        notes.append("its slices were turned to standard display")
    return "; ".join([*notes, *stack.notes])


def _try_plane(
    stacks: list[Stack],
    faulty: list[Stack],
    preferences: list[Preference],
    allow_gaps: bool,
    study: Examination,
) -> list[Stack]:
    """Take the best stack of one plane that can be read; say of the others why they were not.

    `faulty` are stacks refused before, of the plane or of an unknown one. Returns the one taken,
    or none.
    """
    usable = []
    for stack in stacks:
        try:
            order(stack, allow_gaps)
            usable.append(stack)
        except Refused as refusal:
            stack.refused = refusal
    named = [s for s in usable if any(p.kind == "series" and p.matches(s) for p in preferences)]
    if not named and len(usable) >= MIN_STACK and all(len(s.images) < MIN_STACK for s in usable):
        _refuse_crumbs(usable, study)
        return []
    while usable:
        best, reason = choose(usable, preferences)
        try:
            refused = faulty + [s for s in stacks if s.refused and s.refused.fault]
            if best not in named:
                _check_stopgap(best, refused)
            usable.remove(best)
            study.volumes[best.plane] = _read_volume(best, reason, allow_gaps)
        except Refused as refusal:
            best.refused = refusal
            usable = [stack for stack in usable if stack is not best]
            continue
        count = sum(stack.plane == best.plane for stack in refused)
        note = f"; {count} other {best.plane} series had a fault, see there" if count else ""
        study.rows.append(_row(best, "taken", _taken(best, reason) + note))
        other = f"usable; {describe(best)} was taken instead, {reason}"
        study.rows += [_row(stack, "left", other) for stack in usable]
        return [best]
    return []


def _check_stopgap(stack: Stack, faulty: list[Stack]) -> None:
    """Refuse what is no knee series of its own in place of one that is faulty.

    A whole series of another weighting may stand in; a gradient echo without a name, as
    calibrations are, or a few slices may not.
    """
    slight = contrast(stack) in ("GRE", "") or len(stack.images) < MIN_STACK
    better = [
        other
        for other in faulty
        if contrast(other) not in ("GRE", "") and len(other.images) >= MIN_STACK
    ]
    if slight and better:
        raise Refused(
            f"not taken in place of series {better[0].name}, which has a fault; if it is wanted, "
            f"name it with --prefer {stack.plane}=series:{stack.name}",
            fault=False,
        )


def _refuse_crumbs(stacks: list[Stack], study: Examination) -> None:
    """Refuse the slices of a series that was taken apart beyond putting together, all at once."""
    reason = (
        f"{len(stacks)} {stacks[0].plane} series of a slice or a few each; their "
        "SeriesInstanceUIDs changed from file to file and nothing tells what belongs together"
    )
    study.faults.append(reason)
    for stack in stacks:
        stack.refused = Refused(reason, fault=False)


def _select(stacks: list[Stack], preferences: list[Preference], study: Examination) -> list[Stack]:
    """The stacks of one knee; rows and faults for the others."""
    found = knees.select(stacks, preferences)
    study.rows += [_row(stack, "left", reason) for stack, reason in found.left.items()]
    if found.fault:
        study.faults.append(found.fault)
        for stack in found.stacks:
            stack.refused = Refused(found.fault, fault=False)
        return []
    study.faults += found.absent().values()
    return found.stacks


@quiet()
def examine(
    files: list[File],
    preferences: list[Preference] | None = None,
    allow_gaps: bool = False,
) -> Examination:
    """Examine the files of one study; nothing about them raises, all of it is reported."""
    images, unreadable = read_images(files)
    study = Examination()
    stacks = split(images)
    usable = [stack for stack in stacks if stack.plane and not stack.refused]
    usable = _select(usable, preferences or [], study)
    taken = []
    for plane in PLANES:
        candidates = [stack for stack in usable if stack.plane == plane]
        faulty = [s for s in stacks if s.refused and s.refused.fault and s.plane in (plane, "")]
        taken += _try_plane(candidates, faulty, preferences or [], allow_gaps, study)
    refused = [stack for stack in stacks if stack.refused is not None]
    study.rows += [_row(stack, "refused", stack.refused.reason) for stack in refused]
    study.rows.sort(key=lambda row: (row["series"], len(str(row["part"])), str(row["part"])))
    _add_faults(refused, taken, study)
    for reason in sorted(set(unreadable)):
        count = unreadable.count(reason)
        said = f"{count} {'file' if count == 1 else 'files'} could not be read: {reason}"
        study.faults.append(said)
        study.rows.append({"decision": "refused", "reason": said, "images": count})
    return study


def _add_faults(refused: list[Stack], taken: list[Stack], study: Examination) -> None:
    """Say of every plane without a volume what is wrong with its series, each once."""
    missing = [plane for plane in PLANES if plane not in study.volumes]
    used = {stack.number for stack in taken}
    for stack in refused:
        # A damaged image may have been a slice of the very stack that was taken.
        lost = not stack.images[0].header.rows  # cut short, maybe within its series' UID
        doubtful = not stack.plane and (missing or stack.number in used or lost)
        if stack.refused.fault and (stack.plane in missing or doubtful):
            name = f"{stack.plane} series" if stack.plane else "series"
            study.faults.append(f"{name} {stack.number}: {stack.refused.reason}")
    if not study.volumes and not study.faults and study.rows:
        reasons = sorted({str(row["reason"]) for row in study.rows})
        study.faults.append(f"no usable series: {'; '.join(reasons)}")
    study.faults = list(dict.fromkeys(study.faults))


def read_study(
    folder: Path, prefer: str | list[str] | None = None, allow_gaps: bool = False
) -> dict[str, Volume]:
    """Read one study.

    Parameters
    ----------
    folder : a folder (with all below it), a zip, a DICOMDIR or a single file.
    prefer : which series to take where several would do, as ``"sagittal=T2"``; see `choose.parse`.
    allow_gaps : take stacks with missing slices.

    Returns
    -------
    dict
        A `Volume` for every plane found, in the order axial, coronal, sagittal.

    Raises
    ------
    InputError
        Where there is no volume, a plane's series is faulty, or there is more than one study.
    """
    study = examine_source(folder, prefer, allow_gaps)
    if study.faults:
        raise InputError(f"{folder}: {'. '.join(study.faults)}.")
    if not study.volumes:
        raise InputError(f"{folder}: no usable series: no DICOM images were found.")
    return study.volumes


def examine_source(
    folder: Path, prefer: str | list[str] | None = None, allow_gaps: bool = False
) -> Examination:
    """Examine the one study of a source, see `read_study`; what is wrong with it is in ``faults``.

    Raises
    ------
    InputError
        Where the source cannot be read, or there is more than one study.
    """
    found = gather(folder)
    if len(found.studies) > 1:
        raise InputError(
            f"{folder}: holds {len(found.studies)} studies, expected one. Give the folder of one "
            "study, or turn all of them into exams with 'python -m mrnetlib convert'."
        )
    key, files = next(iter(found.studies.items()), ("", []))
    refused = found.refused.get(key)
    study = Examination(faults=[refused]) if refused else examine(files, parse(prefer), allow_gaps)
    study.faults += found.faults[key] + found.lost
    return study
