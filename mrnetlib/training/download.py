"""A file from a server: whole and right or not there, resumed, and not waited for without end."""

import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

from mrnetlib.files import held, sha256

#: The environment variable that, when it says anything but 0, keeps all from asking the network.
OFFLINE_VARIABLE = "MRNETLIB_OFFLINE"

#: Seconds that a server may be silent.
TIMEOUT = 30.0

#: Bytes a second that are too few, once a transfer has lasted `TIMEOUT` seconds.
SLOWEST = 1000

#: How often a transfer that breaks off is taken up again.
TRIES = 3


class FetchError(Exception):
    """A file that could not be had; the message says why."""


def offline() -> bool:
    """Whether the user has forbidden the network."""
    return os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0")


def fetch(url: str, path: Path, digest: str) -> None:
    """Have a file at `path`, whose SHA-256 begins with `digest`.

    It grows under a hidden name beside `path`, which a later call takes up where an earlier one
    ended, and is renamed when it is whole and right. Another process that fetches it is waited
    for. Proxies are those of the environment (``https_proxy``, ``no_proxy``).

    Raises
    ------
    FetchError
        Where the network is forbidden, silent or not there, or the file is another one.
    """
    if offline():
        raise FetchError(f"{OFFLINE_VARIABLE} forbids the network")
    part = path.with_name(f".{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    while (file := held(part)) is None:
        time.sleep(1.0)
    try:
        if path.is_file() and sha256(path).startswith(digest):
            file.truncate(0)  # another process has fetched it meanwhile
        else:
            _whole(url, file)
            if not sha256(part).startswith(digest):
                file.truncate(0)
                raise FetchError(
                    f"what {url} gives is damaged: its SHA-256 does not begin {digest}"
                )
            if os.name == "nt":
                file.close()  # Windows renames no open file
            part.replace(path)
    finally:
        if not file.closed and file.seek(0, os.SEEK_END) == 0:
            part.unlink(missing_ok=True)
        file.close()


def _whole(url: str, file: BinaryIO) -> None:
    """Append what is missing, in some tries."""
    for left in reversed(range(TRIES)):
        try:
            return _append(url, file)
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            if isinstance(error, HTTPError) and error.code == 416:  # more is here than is there
                file.truncate(0)
            if not left:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
                raise FetchError(reason) from None


def _append(url: str, file: BinaryIO) -> None:
    there = file.seek(0, os.SEEK_END)
    request = Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    with build_opener().open(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:
            file.truncate(0)
            there = 0
        came, start = 0, time.monotonic()
        while block := answer.read1(1 << 16):
            file.write(block)
            came += len(block)
            took = time.monotonic() - start
            if took > TIMEOUT and came < SLOWEST * took:
                raise TimeoutError(f"fewer than {SLOWEST} bytes a second")
        file.flush()
        promised = answer.headers.get("Content-Length")
        if promised is not None and came < int(promised):
            raise ConnectionError(f"cut short after {there + came} bytes")
