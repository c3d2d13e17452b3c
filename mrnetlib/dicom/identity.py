"""Whose a file is: its study, series and patient.

Nothing read here is ever written, except the study's UID into the key file.
"""

import struct
from collections import Counter
from typing import NamedTuple

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from mrnetlib.dicom.archives import File, is_dicom
from mrnetlib.dicom.sources import quiet
from mrnetlib.dicom.values import text, whole

_NAME, _ID, _BIRTH, _SEX = 0x00100010, 0x00100020, 0x00100030, 0x00100040
_STUDY, _SERIES, _FRAME, _FRAMES = 0x0020000D, 0x0020000E, 0x00200052, 0x00280008
_WANTED = (_NAME, _ID, _BIRTH, _SEX, _STUDY, _SERIES, _FRAME, _FRAMES)
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SHORT = set(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_ELEMENT, _SIZE = struct.Struct("<HH2sH"), struct.Struct("<I")
_IMPLICIT = ImplicitVRLittleEndian.encode()
_UNUSUAL = (b"", DeflatedExplicitVRLittleEndian.encode(), ExplicitVRBigEndian.encode())


class Identity(NamedTuple):
    """What a file says of its place: UIDs of its study, series and frame of reference, "" where
    it does not say; the patient's name, number, date of birth and sex; whether it holds frames."""

    study: str = ""
    series: str = ""
    frame_of_reference: str = ""
    patient: tuple[str, str, str, str] = ("", "", "", "")
    many_frames: bool = False


def _quick(head: bytes) -> dict[int, bytes] | None:
    """The wanted elements of a plain file, None where anything about it is out of the ordinary.

    A tenth of pydicom's time. Sequences of unknown length, big endian and deflated data sets,
    elements out of order or of an unknown kind, and headers longer than `head` are left to it.
    """
    if head[128:132] != b"DICM":
        return None
    found: dict[int, bytes] = {}
    at, last, syntax, implicit = 132, 0, b"", False
    while at + 12 <= len(head):
        group, element, kind, size = _ELEMENT.unpack_from(head, at)
        tag = group << 16 | element
        if tag > _FRAMES:
            return found if found.get(_STUDY) else None
        if tag <= last:
            return None
        if last < 0x00080000 <= tag:
            if syntax in _UNUSUAL:
                return None
            implicit = syntax == _IMPLICIT
        last, at = tag, at + 8
        if implicit:
            (size,) = _SIZE.unpack_from(head, at - 4)
        elif kind in _LONG:
            (size,) = _SIZE.unpack_from(head, at)
            at += 4
        elif kind not in _SHORT:
            return None
        if tag == 0x00020010:
            syntax = head[at : at + size].rstrip(b"\0 ")
        elif tag in _WANTED:
            found[tag] = head[at : at + size]
        at += size
    return None


def _thorough(file: File) -> dict[int, bytes | str]:
    """The wanted elements as pydicom reads them, none where it cannot."""
    try:
        with quiet(), file.open() as opened:
            header = dcmread(opened, stop_before_pixels=True, force=True, specific_tags=[*_WANTED])
            return {tag: _raw(header, tag) for tag in _WANTED}
    except Exception:  # pydicom raises nearly anything on damaged bytes
        return {}


def _raw(header: Dataset, tag: int) -> bytes | str:
    if tag == _FRAMES:
        return str(whole(header, tag, 1))
    if tag in (_STUDY, _SERIES, _FRAME):
        return text(header, tag)
    value = header.get_item(tag)
    return getattr(value, "value", None) or b""


def identity(file: File, head: bytes | None) -> Identity | None:
    """What a file of these first bytes says of its place, None where it is not DICOM."""
    if head is None or not is_dicom(head):
        return Identity() if file.means_dicom() else None
    found = _quick(head)
    if found is None:
        found = _thorough(file)
    name, number, birth, sex, study, series, frame, frames = (
        _words(found.get(tag, b"")) for tag in _WANTED
    )
    return Identity(study, series, frame, (name, number, birth, sex), frames not in ("", "1"))


def _words(value: bytes | str) -> str:
    said = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return said.strip("\0 ")


def study_uid(file: File) -> str | None:
    """The StudyInstanceUID of a file; "" where it should have one, None where it is not DICOM."""
    found = identity(file, file.head())
    return None if found is None else found.study


def several_people(patients: Counter[tuple[str, str, str, str]]) -> str:
    """Why the files of a study cannot be of one person, "" where they may.

    What is missing or written otherwise (capitals, order, accents) is no difference.
    """
    known = patients.most_common()
    for patient, _ in known[1:]:
        if differing := _difference(known[0][0], patient):
            same = sum(count for other, count in known if not _difference(known[0][0], other))
            return (
                f"its files name several patients under one StudyInstanceUID ({differing} "
                f"differs: {same} files of one, {patients.total() - same} of others); give each "
                "patient's files a study of its own, or mend their headers"
            )
    return ""


def _difference(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """The name of an element that two patients cannot share, "" where there is none."""
    name, number, birth, sex = zip(one, other, strict=True)
    numbers = {part.strip().casefold() for part in number}
    births = {part for part in birth if len(part) == 8 and part.isdigit()}
    sexes = {part.upper() for part in sex} & {"M", "F"}
    words = [_name_words(part) for part in name]
    if len(numbers - {""}) == 2:
        return "PatientID"
    if len(births) == 2:
        return "PatientBirthDate"
    if len(sexes) == 2:
        return "PatientSex"
    alike = set(words[0]) & set(words[1]) or "".join(words[0]) == "".join(words[1])
    return "PatientName" if all(words) and not alike else ""


def _name_words(name: str) -> list[str]:
    """A name's words in plain letters; the character sets of two files need not be the same."""
    alphabetic = name.partition("=")[0].encode("ascii", "ignore").decode().lower()
    return "".join(c if c.isalnum() else " " for c in alphabetic).split()
