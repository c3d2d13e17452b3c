"""A full disk told as that, wherever a command meets one."""

import contextlib
import errno
import os
from collections.abc import Iterator

from mrnetlib.files import InputError


@contextlib.contextmanager
def disks_told() -> Iterator[None]:
    """Tell of a full disk, and of no place for temporary files, by an `InputError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = error.filename or os.environ.get("TMPDIR") or "a disk"
            raise InputError(
                f"{where}: no space is left on its disk. Free some, or name "
                "another folder for temporary files in TMPDIR, and run it again."
            ) from error
        if "No usable temporary directory" in str(error):
            raise InputError(
                f"TMPDIR: {error.strerror}. Their disk is full or they cannot be written. Free "
                "some space, or name another folder in TMPDIR, and run it again."
            ) from error
        raise
