"""Which file belongs to which study, found quickly for thousands of them."""

import re
from pathlib import Path

from pydicom.filereader import read_partial

from mrnetlib.dicom.quiet import quiet
from mrnetlib.dicom.sources import File, find, is_dicom

_STUDY_UID = re.compile(rb"(?:UI)?[\x00-\x40]{2,4}([0-9][0-9.]{1,63})")


def _uids(head: bytes) -> set[bytes]:
    """What stands in the first bytes where a StudyInstanceUID would, in any byte order."""
    found = set()
    for tag in (b"\x20\x00\x0d\x00", b"\x00\x20\x00\x0d"):
        at = head.find(tag)
        while at >= 0:
            if match := _STUDY_UID.match(head, at + 4):
                found.add(match[1].rstrip(b"."))
            at = head.find(tag, at + 1)
    return found


def study_uid(file: File) -> str | None:
    """The StudyInstanceUID of a file; "" where it should have one, None where it is not DICOM.

    Found in the first bytes where it stands there exactly once, else by parsing the header.
    """
    head = file.head()
    if head is None or not is_dicom(head):
        return "" if file.means_dicom() else None
    found = _uids(head)
    if len(found) == 1:
        return found.pop().decode()
    try:
        with quiet(), file.open() as opened:
            header = read_partial(opened, lambda tag, vr, length: tag > 0x0020000D, force=True)
            return str(header.get("StudyInstanceUID") or "")
    except Exception:
        return ""


def studies(source: Path, broken: list[Path]) -> tuple[dict[str, list[File]], int]:
    """The files of a source by study, in the order of their first files, and how many others.

    Studies are told apart by StudyInstanceUID wherever their files lie. Files that are DICOM but
    do not say their study go to the study of their folder where that has one only.
    """
    found: dict[str, list[File]] = {}
    by_folder: dict[str, set[str]] = {}
    lost: list[File] = []
    others = 0
    for file in find(source, broken):
        uid = study_uid(file)
        if uid is None:
            others += 1
        elif uid == "":
            lost.append(file)
        else:
            found.setdefault(uid, []).append(file)
            by_folder.setdefault(file.folder, set()).add(uid)
    for file in lost:
        neighbours = by_folder.get(file.folder, set())
        key = next(iter(neighbours)) if len(neighbours) == 1 else f"folder {file.folder}"
        found.setdefault(key, []).append(file)
    return found, others
