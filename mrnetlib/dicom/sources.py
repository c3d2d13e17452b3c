"""Where DICOM files are: a file, a folder, a zip or a DICOMDIR, of one study or of thousands."""

import contextlib
import functools
import logging
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydicom import dcmread
from pydicom.filereader import read_partial

from mrnetlib.files import InputError

#: No single file may unpack to more than this; an enhanced series of 1,000 frames has 0.5 GB.
MAX_UNPACKED = 1 << 30

#: Deflate shrinks MR images some 3-fold, empty ones 30-fold; more than this is an attack or damage.
MAX_DEFLATION = 200

#: Names that promise DICOM, so that an empty or foreign file of such a name is damage.
SUFFIXES = (".dcm", ".dicom", ".ima")

#: Bytes in which the study's UID is looked for before the whole header is parsed.
HEAD = 1 << 14

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_FAILURES = (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError)


class UnreadableError(Exception):
    """A file that cannot be read as DICOM; the message says why and holds nothing of the file."""


class File(NamedTuple):
    """One file: its path, and its name inside where the path is a zip."""

    path: str
    member: str | None = None

    def open(self) -> BinaryIO:
        """Open for reading; deflated data sets come as their plain bytes, without file meta.

        Raises `UnreadableError`.
        """
        try:
            file = self._opened()
            head = file.read(2048)
            if _DEFLATED in head:
                with file:
                    return BytesIO(_inflate(head + file.read()))
            file.seek(0)
        except _FAILURES as error:
            raise UnreadableError(f"it cannot be opened ({type(error).__name__})") from None
        return file

    def _opened(self) -> BinaryIO:
        if self.member is None:
            return Path(self.path).open("rb")
        archive = _archive(self.path)
        if archive.getinfo(self.member).file_size > MAX_UNPACKED:
            raise UnreadableError("it unpacks to more than 1 GB")
        return BytesIO(archive.read(self.member))

    @property
    def folder(self) -> str:
        """Where the file lies, inside its zip too."""
        return (
            f"{self.path}/{Path(self.member).parent}"
            if self.member
            else str(Path(self.path).parent)
        )

    def head(self) -> bytes | None:
        """The first bytes of the file as they are, None where it cannot be opened."""
        try:
            if self.member is None:
                with Path(self.path).open("rb", buffering=0) as file:
                    return file.read(HEAD)
            with _archive(self.path).open(self.member) as file:
                return file.read(HEAD)
        except _FAILURES:
            return None

    def means_dicom(self) -> bool:
        """Whether content or name claim to be DICOM, or the file cannot even be opened."""
        head = self.head()
        suffix = Path(self.member or self.path).suffix.lower()
        return head is None or suffix in SUFFIXES or is_dicom(head)


@functools.lru_cache(2)
def _archive(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _inflate(content: bytes) -> bytes:
    """The data set of a Deflated Explicit VR Little Endian file (DICOM PS3.5 A.5)."""
    start = content.find(b"\x02\x00\x00\x00UL\x04\x00")
    if start < 0:
        raise UnreadableError("it is deflated and its header is damaged")
    begin = start + 12 + int.from_bytes(content[start + 8 : start + 12], "little")
    limit = min(MAX_UNPACKED, MAX_DEFLATION * len(content))
    try:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = inflater.decompress(content[begin:], limit)
    except zlib.error:
        raise UnreadableError("it is deflated and damaged") from None
    if inflater.unconsumed_tail:
        raise UnreadableError("it is deflated and unpacks to an implausible size")
    return plain


def is_dicom(head: bytes) -> bool:
    """Whether bytes begin like DICOM: with a preamble, or with a data element of group 2 or 8."""
    group, element = head[:2], head[2:4]
    first = {b"\x02\x00", b"\x08\x00"} if element[1:] == b"\x00" else {b"\x00\x08"}
    return head[128:132] == b"DICM" or (len(head) > 8 and group in first)


def find(source: Path, broken: list[Path] | None = None) -> Iterator[File]:
    """All files of a folder, a zip or a DICOMDIR in a fixed order, or the one file given.

    Zips inside a folder are opened; hidden files and DICOMDIRs inside a folder are passed over.
    Zips in a folder that cannot be read go to the list `broken`, if there is one, and else raise.

    Raises
    ------
    InputError
        Where there is no such file or folder, or a zip or DICOMDIR cannot be read.
    """
    source = Path(source)
    if source.is_dir():
        yield from _in_folder(source, broken)
    elif not source.exists():
        raise InputError(f"{source}: not found. Give a folder, a zip or a DICOMDIR.")
    elif source.name.upper() == "DICOMDIR":
        yield from _in_dicomdir(source)
    elif zipfile.is_zipfile(source):
        yield from _in_zip(source)
    elif source.suffix.lower() == ".zip":
        raise _not_a_zip(source)
    else:
        yield File(str(source))


def _in_folder(folder: Path, broken: list[Path] | None) -> Iterator[File]:
    seen = set()
    for name, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:  # a link that leads back would be walked for ever
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        for entry in sorted(files):
            path = Path(name, entry)
            if entry.startswith(".") or entry.upper() == "DICOMDIR" or not path.is_file():
                continue
            if path.suffix.lower() == ".zip":
                try:
                    yield from _in_zip(path)
                except InputError:
                    if broken is None:
                        raise
                    broken.append(path)
            else:
                yield File(str(path))


def _not_a_zip(path: Path) -> InputError:
    return InputError(f"{path}: not a whole zip archive. Copy it again from its source.")


def _in_zip(path: Path) -> Iterator[File]:
    try:
        members = _archive(str(path)).infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        raise InputError(
            f"{path}: not a whole zip archive. Copy it again from its source."
        ) from None
    if any(member.flag_bits & 1 for member in members):
        raise InputError(f"{path}: the zip is encrypted. Unpack it with its password first.")
    for member in sorted(members, key=lambda member: member.filename):
        name = Path(member.filename).name
        hidden = name.startswith(".") or member.filename.startswith("__MACOSX/")
        if not (member.is_dir() or hidden or name.upper() == "DICOMDIR"):
            yield File(str(path), member.filename)


def _in_dicomdir(path: Path) -> Iterator[File]:
    """Files that a DICOMDIR lists (DICOM PS3.3 F); pydicom's FileSet wants a faultless one."""
    try:
        with quiet():
            records = dcmread(path).DirectoryRecordSequence
            names = [record.get("ReferencedFileID") for record in records]
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
