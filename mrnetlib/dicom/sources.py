"""What a source holds: a file, a folder, an archive or a DICOMDIR, with all that is in the way."""

import contextlib
import logging
import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydicom import dcmread

from mrnetlib.dicom.archives import File, UnreadableError, is_archive, is_dicom, plausible, why
from mrnetlib.files import InputError

#: Folders in which systems and tools keep their own things, copies of the user's among them.
_HOUSEKEEPING = {
    *(".git", ".svn", ".hg", ".datalad", ".snapshot", ".zfs", ".cache", "__MACOSX"),
    *(".AppleDouble", ".Trashes", ".Trash", ".Spotlight-V100", ".fseventsd", ".TemporaryItems"),
}

#: Together, the archives inside one archive may unpack to so much at least, and else in proportion.
_UNPACKED_AT_LEAST = 1 << 30


class Lost(NamedTuple):
    """Something in a folder that could not be looked into; `what` is a link, folder or archive."""

    what: str
    reason: str
    folder: str


@dataclass
class Walk:
    """How to go through a source, and what was met on the way that is no file.

    ``follow_links`` also where they lead out of the source; ``out``, the folder to be written,
    whose lock and workplace are no part of the source; ``lost``, what could not be looked into.
    """

    follow_links: bool = False
    out: Path | None = None
    lost: list[Lost] = field(default_factory=list)


def told(lost: list[Lost]) -> list[str]:
    """A sentence for every kind of thing that could not be looked into, with how many there are."""
    return [
        f"{count} {what}{'' if count == 1 else 's'} could not be read: {reason}"
        for (what, reason), count in sorted(Counter(one[:2] for one in lost).items())
    ]


def find(source: Path, walk: Walk | None = None) -> Iterator[File]:
    """All files of a source in a fixed order; see `heads`."""
    return (file for file, _ in heads(source, walk))


def heads(source: Path, walk: Walk | None = None) -> Iterator[tuple[File, bytes | None]]:
    """All files of a folder, an archive or a DICOMDIR in a fixed order, or the one file given.

    Zips, gzipped files and tars are opened wherever they lie, by their content. Hidden folders are
    looked into as well, apart from those of systems and tools; DICOMDIRs inside are passed over.

    Returns
    -------
    Files, each with its first bytes, None where these cannot be read. What else there is and
    cannot be looked into goes to ``walk.lost``.

    Raises
    ------
    InputError
        Where the source itself cannot be read.
    """
    source, walk = Path(source), walk or Walk()
    try:
        folder = stat.S_ISDIR(source.stat().st_mode)
    except FileNotFoundError:
        raise InputError(f"{source}: not found. Give a folder, a zip or a DICOMDIR.") from None
    except OSError as error:
        raise InputError(f"{source}: {why(error)}.") from None
    if folder:
        files = _in_folder(source, walk)
    elif source.name.upper() == "DICOMDIR":
        files = _in_dicomdir(source)
    else:
        files = iter([File(str(source))])
    found = False
    found = False
    for file in files:
        for pair in _unpacked(file, walk, []):
            found = True
            yield pair
    if not (found or folder) and walk.lost:
        raise InputError(f"{source}: {'. '.join(told(walk.lost))}.")


def _unpacked(file: File, walk: Walk, spent: list[int]) -> Iterator[tuple[File, bytes | None]]:
    """A file, or the files in it where it is an archive; `spent` are bytes of nested archives."""
    head = file.head()
    named = file.name.lower().endswith(".zip")
    if head is None or is_dicom(head) or not (named or is_archive(head)):
        yield file, head
        return
    try:
        inside, unpacked = file.contents()
        spent.append(unpacked)
        if sum(spent) > max(_UNPACKED_AT_LEAST, plausible(Path(file.path).stat().st_size)):
            raise UnreadableError("it unpacks to an implausible size")
    except UnreadableError as error:
        walk.lost.append(Lost("archive", str(error), file.folder))
        return
    for one in inside:
        if not (_is_junk(one.name) or "__MACOSX" in one.location):
            yield from _unpacked(one, walk, spent)


def _is_junk(name: str) -> bool:
    """Whether a name is that of an index, or of what macOS writes beside every file."""
    return name.startswith("._") or name == ".DS_Store" or name.upper() == "DICOMDIR"


def _in_folder(source: Path, walk: Walk) -> Iterator[File]:
    root = os.path.realpath(source)
    ours = walk.out and (os.path.realpath(walk.out.parent), f".{walk.out.name}.")
    waiting, seen = [str(source)], set()
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back would be walked for ever
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            walk.lost.append(Lost("folder", why(error), str(Path(folder).parent)))
            continue
        inside = []
        for entry in entries:
            if ours and real == ours[0] and entry.name.startswith(ours[1]):
                continue
            if entry.is_symlink() and (reason := _astray(entry, root, walk.follow_links)):
                walk.lost.append(Lost("link", reason, folder))
            elif entry.is_dir():
                if entry.name not in _HOUSEKEEPING:
                    inside.append(entry.path)
            elif entry.name.upper() == "DICOMDIR" and entry.is_file():
                walk.lost += _missing(Path(entry.path), folder)
            elif entry.is_file() and not _is_junk(entry.name):
                yield File(entry.path.removeprefix(os.curdir + os.sep))
        waiting += reversed(inside)


def _astray(entry: os.DirEntry, root: str, follow: bool) -> str:
    """Why a link is not followed, "" where it is."""
    try:
        entry.stat()
    except OSError as error:
        if isinstance(error, PermissionError):
            return why(error)
        return "there is nothing where it leads; fetch it first (as with git annex get)"
    target = os.path.realpath(entry.path)
    if follow or target == root or target.startswith(root.rstrip(os.sep) + os.sep):
        return ""
    return "it leads out of the source; if it is meant to, give --follow-links"


def _missing(index: Path, folder: str) -> list[Lost]:
    """What a DICOMDIR in a folder lists and is not there; nothing where it cannot be read."""
    try:
        files = [Path(file.path) for file in _in_dicomdir(index)]
    except InputError:
        return []
    reason = "a DICOMDIR lists it and it is not there"
    return [Lost("file", reason, folder) for file in files if not os.path.lexists(file)]


def _in_dicomdir(path: Path) -> Iterator[File]:
    """Files that a DICOMDIR lists (DICOM PS3.3 F); pydicom's FileSet wants a faultless one."""
    try:
        with quiet():
            records = dcmread(path).DirectoryRecordSequence
            names = [record.get("ReferencedFileID") for record in records]
    except PermissionError as error:
        raise InputError(f"{path}: {why(error)}.") from None
    except Exception:
        raise InputError(
            f"{path}: not a readable DICOMDIR. Give the folder that it lies in instead."
        ) from None
    names = [[name] if isinstance(name, str) else list(name) for name in names if name]
    if not names:
        raise InputError(f"{path}: the DICOMDIR lists no files. Give its folder instead.")
    root = path.parent.resolve()
    for parts in sorted(names):
        options = [root.joinpath(*parts), root.joinpath(*(part.lower() for part in parts))]
        inside = [option for option in options if root in option.resolve().parents]
        if not inside:
            continue  # a listed path that leads out of the file set is not followed
        yield File(str(next((option for option in inside if option.is_file()), inside[0])))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and log lines of pydicom to ourselves inside the block.

    They quote values of the file, which may be names. What is wrong with a file is reported in
    words of this package, which quote nothing.
    """
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
