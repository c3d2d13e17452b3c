"""Files as they lie: on disk, or at any depth in zips, gzipped files and tars, within bounds."""

import errno
import functools
import gzip
import os
import re
import tarfile
import tempfile
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

#: No single file may unpack to more than this; an enhanced series of 1,000 frames has 0.5 GB.
MAX_UNPACKED = 1 << 30

#: No archive inside another one may be larger than this; it is unpacked to the disk.
MAX_NESTED = 1 << 32

#: Deflate shrinks MR images some 3-fold, empty ones 30-fold; more than this is an attack or damage.
MAX_DEFLATION = 200

#: All that lies in a zip may unpack to this much, beyond it only to so many times the zip's size.
MAX_TOGETHER, MAX_MEAN_DEFLATION = 1 << 30, 50

#: What is larger is unpacked to the disk and not into memory.
IN_MEMORY = 1 << 27

#: Archives in archives in archives; a deeper one is an attack.
MAX_DEPTH = 4

#: Bytes of a file that say what it is; most often they hold the StudyInstanceUID too.
HEAD = 1 << 14

#: Names that promise DICOM, so that an empty or foreign file of such a name is damage.
SUFFIXES = (".dcm", ".dicom", ".ima")

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_ZIP, _GZIP, _TAR = b"PK\x03\x04", b"\x1f\x8b\x08", b"ustar"
_OTHERS = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
_SEPARATOR = re.compile(r"[\\/]+")
_FAILURES = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, KeyError, ValueError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error),
)


class UnreadableError(Exception):
    """A file that cannot be read as DICOM; the message says why and holds nothing of the file."""


def why(error: Exception) -> str:
    """The true cause of a failure to read, in words that name no file."""
    if isinstance(error, UnreadableError):
        return str(error)
    if isinstance(error, PermissionError):
        return "permission to read it is denied"
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk for temporary files is full"
    if isinstance(error, NotImplementedError):
        return "it is packed in a way that is not read; unpack it first"
    if isinstance(error, RuntimeError):
        return "it is encrypted; unpack it with its password first"
    if isinstance(error, OSError) and error.errno:
        return f"the system cannot read it ({os.strerror(error.errno)})"
    return "it is damaged or cut short where it is packed; copy it again from its source"


class File(NamedTuple):
    """One file: a path on disk and, where that is an archive, the names inside, from outer to
    inner."""

    path: str
    members: tuple[str, ...] = ()

    def open(self) -> BinaryIO:
        """Open for reading; deflated data sets come as their plain bytes, without file meta.

        Raises `UnreadableError`.
        """
        try:
            file = self._whole()
            head = file.read(2048)
            if not head:
                file.close()
                raise UnreadableError("it is empty")
            if _DEFLATED in head:
                with file:
                    return BytesIO(_inflate(head + file.read()))
            file.seek(0)
        except _FAILURES as error:
            raise UnreadableError(why(error)) from None
        return file

    def _whole(self) -> BinaryIO:
        if not self.members:
            return Path(self.path).open("rb")
        container = self._archive()
        limit = min(MAX_UNPACKED, plausible(container.packed(self.members[-1])))
        return _spilled(container.open(self.members[-1]), limit, IN_MEMORY)

    def _archive(self) -> "_Container":
        stamp = Path(self.path).stat().st_mtime_ns
        return _container(self.path, self.members[:-1], stamp)

    def head(self) -> bytes | None:
        """The first bytes of the file as they are, None where it cannot be opened."""
        try:
            if not self.members:
                with Path(self.path).open("rb", buffering=0) as file:
                    return file.read(HEAD)
            with self._archive().open(self.members[-1]) as file:
                return file.read(HEAD)
        except (*_FAILURES, UnreadableError):
            return None

    def contents(self) -> tuple[list["File"], int]:
        """The files of an archive, sorted by name, and the bytes it took to unpack it to the disk.

        Raises `UnreadableError`.
        """
        try:
            if len(self.members) >= MAX_DEPTH:
                raise UnreadableError("archives lie in archives too deep; unpack it first")
            stamp = Path(self.path).stat().st_mtime_ns
            container = _container(self.path, self.members, stamp)
        except _FAILURES as error:
            raise UnreadableError(why(error)) from None
        names = sorted(container.names())
        return [File(self.path, (*self.members, name)) for name in names], container.unpacked

    @property
    def location(self) -> tuple[str, ...]:
        """The names on the way to the file; an archive counts as a folder, ``x.gz`` as ``x``."""
        parts = list(Path(self.path).parts)
        for member in self.members:
            if parts[-1].lower().endswith((".gz", ".tgz")) and _unzipped(parts[-1]) == member:
                parts.pop()
            parts += [part for part in _SEPARATOR.split(member) if part]
        return tuple(parts)

    @property
    def folder(self) -> str:
        """Where the file lies, inside its archive too."""
        if not self.members:
            return os.path.dirname(self.path) or os.curdir  # noqa: PTH120 - for every file
        return str(Path(*self.location[:-1]))

    @property
    def name(self) -> str:
        """The last of the names."""
        return self.location[-1] if self.members else os.path.basename(self.path)  # noqa: PTH119

    def means_dicom(self) -> bool:
        """Whether content or name claim to be DICOM, or the file cannot even be opened.

        An empty file has a claim where its name has no suffix either, as scanners write them.
        """
        head, path = self.head(), Path(self.name)
        if head == b"" and not path.name.startswith(".") and not path.suffix.strip(".0123456789"):
            return True
        return head is None or path.suffix.lower() in SUFFIXES or is_dicom(head)


def is_dicom(head: bytes) -> bool:
    """Whether bytes begin like DICOM: with a preamble, or with a data element of group 2 or 8."""
    group, element = head[:2], head[2:4]
    first = {b"\x02\x00", b"\x08\x00"} if element[1:] == b"\x00" else {b"\x00\x08"}
    return head[128:132] == b"DICM" or (len(head) > 8 and group in first)


def is_archive(head: bytes) -> bool:
    """Whether bytes begin like an archive, be it one that is read here or not."""
    return head.startswith((_ZIP, _GZIP, b"PK\x05\x06", *_OTHERS)) or head[257:262] == _TAR


def _unzipped(name: str) -> str:
    """The name of what a gzipped file holds."""
    return re.sub(r"\.gz$", "", re.sub(r"\.tgz$", ".tar", name, flags=re.I), flags=re.I) or name


class _Container(Protocol):
    unpacked: int

    def names(self) -> list[str]: ...
    def packed(self, name: str) -> int: ...
    def open(self, name: str) -> BinaryIO: ...


def _by_name(infos: list) -> dict:
    """Entries under their names; one whose name another has is told from it by a number."""
    named = {}
    for info in infos:
        name = getattr(info, "filename", None) or info.name
        key, number = name, 1
        while key in named:
            number += 1
            key = f"{name} ({number})"
        named[key] = info
    return named


class _Zip:
    def __init__(self, file: BinaryIO):
        self.archive = zipfile.ZipFile(file)
        infos = [info for info in self.archive.infolist() if not info.is_dir()]
        if any(info.flag_bits & 1 for info in infos):
            raise UnreadableError("it is encrypted; unpack it with its password first")
        # Reading ends at the size that is declared, so that no member gives more.
        packed = sum(info.compress_size for info in infos)
        if sum(info.file_size for info in infos) > max(MAX_TOGETHER, MAX_MEAN_DEFLATION * packed):
            raise UnreadableError("all in it together unpacks to an implausible size")
        self.infos = _by_name(infos)

    def names(self) -> list[str]:
        return list(self.infos)

    def packed(self, name: str) -> int:
        return self.infos[name].compress_size

    def open(self, name: str) -> BinaryIO:
        info = self.infos[name]
        if info.file_size > plausible(info.compress_size):
            raise UnreadableError("it unpacks to an implausible size")
        return self.archive.open(info)


class _Tar:
    def __init__(self, file: BinaryIO):
        self.archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - kept open
        self.infos = _by_name([info for info in self.archive.getmembers() if info.isfile()])

    def names(self) -> list[str]:
        return list(self.infos)

    def packed(self, name: str) -> int:
        return self.infos[name].size

    def open(self, name: str) -> BinaryIO:
        return self.archive.extractfile(self.infos[name])


class _Gzip:
    def __init__(self, file: BinaryIO, name: str):
        self.file, self.name = file, _unzipped(name)

    def names(self) -> list[str]:
        return [self.name]

    def packed(self, name: str) -> int:
        return self.file.seek(0, os.SEEK_END)

    def open(self, name: str) -> BinaryIO:
        self.file.seek(0)
        return gzip.GzipFile(fileobj=self.file)


@functools.lru_cache(4)
def _container(path: str, members: tuple[str, ...], stamp: int) -> _Container:
    """An archive, open; `stamp` is the date of the outermost one, so that no old one is kept."""
    if members:
        outer = _container(path, members[:-1], stamp)
        limit = min(MAX_NESTED, plausible(outer.packed(members[-1])))
        file = _spilled(outer.open(members[-1]), limit)
    else:
        file = Path(path).open("rb")  # noqa: SIM115 - lives as long as its archive
    head = file.read(512)
    if head.startswith(_OTHERS):
        raise UnreadableError("it is an archive of a kind that is not read; unpack it first")
    unpacked = file.seek(0, os.SEEK_END) if members else 0
    file.seek(0)
    if head.startswith(_GZIP):
        opened = _Gzip(file, Path(members[-1] if members else path).name)
    else:
        opened = _Tar(file) if head[257:262] == _TAR else _Zip(file)
    opened.unpacked = unpacked
    return opened


def _spilled(stream: BinaryIO, limit: int, in_memory: int = 1) -> BinaryIO:
    """What a stream gives, in memory up to so many bytes and else in a temporary file."""
    file = tempfile.SpooledTemporaryFile(in_memory)  # noqa: SIM115 - lives as long as its archive
    with stream:
        while block := stream.read(1 << 20):
            file.write(block)
            if file.tell() > limit:
                file.close()
                raise UnreadableError("it unpacks to an implausible size")
    file.seek(0)
    return file


def plausible(packed: int) -> int:
    """The most that so many bytes unpack to, if they are neither damaged nor an attack."""
    return (1 << 24) + MAX_DEFLATION * packed


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
