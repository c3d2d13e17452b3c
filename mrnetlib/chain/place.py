"""The place of a running study: its lock, its temporary files, and nothing left of an earlier run.

However a run was ended, the next one finds what it left: processes that have not noticed yet, files
half-written, temporary folders. It ends and removes them, and begins where they were.
"""

import contextlib
import getpass
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from mrnetlib.files import holder, lock_file, locked
from mrnetlib.parallel import EVERY, PATIENCE
from mrnetlib.study import Study

#: The environment variable that all processes of a running study carry: its folder.
STUDY_VARIABLE = "MRNETLIB_STUDY"

#: Held in a study's data folder while it is run.
LOCK = ".running"

#: How `mrnetlib.files.written_whole` calls what it has not finished.
_UNFINISHED = re.compile(r"\..*-[a-z0-9_]{8}(\.[^.]*)?")

#: Seconds after which a file is nobody's on file systems that know no locks.
_FORGOTTEN = 86_400


@contextlib.contextmanager
def taken(study: Study, alone: bool = True) -> Iterator[dict[str, Any]]:
    """Hold a study for a run, and clean up behind this one and the one before.

    Parameters
    ----------
    alone : whether all jobs run on this machine, and have their temporary files in one folder.

    Yields
    ------
    How `mrnetlib.parallel.attend` is to run the chain: folder, lock and environment. The system
    knows who holds the lock, so that nothing is left to unlock, however a run ended.

    Raises
    ------
    InputError
        Where another process runs the study; it says who.
    """
    _wait_for_heirs(study.data / LOCK)
    with locked(study.data / LOCK, lambda who: refusal(study, who)) as lock:
        end_orphans(study)
        sweep(study.data)
        with temporary_folder(study) as folder:
            # Snakemake holds the lock, too, for the moment that it outlives a killed process.
            names = ("TMPDIR", "JUPYTER_RUNTIME_DIR") if alone else ()
            places = dict.fromkeys(names, str(folder))
            yield {
                "cwd": study.root,
                "pass_fds": [lock.fileno()] if os.name != "nt" else [],
                "env": os.environ | places | {STUDY_VARIABLE: str(study.data)},
            }
        sweep(study.data)


def refusal(study: Study, who: str) -> str:
    """Why a study cannot be run now."""
    return (
        f"study {study.name}: {who} is running it. Wait for it, or stop it by Ctrl-C where it runs."
    )


def _wait_for_heirs(lock: Path) -> None:
    """Wait while a killed process's lock is held by what it had started and is about to notice."""
    end = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < end and (who := holder(lock)) and _has_ended(who):
        time.sleep(EVERY / 5)


def _has_ended(who: str) -> bool:
    """Whether the process that holds a lock, one of this machine, is there no more."""
    number, node = who.removeprefix("process ").partition(" ")[0], f" on {platform.node()} since "
    if os.name == "nt" or not number.isdecimal() or node not in who:
        return False
    try:
        os.kill(int(number), 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False


def end_orphans(study: Study) -> None:
    """Wait for processes of an earlier run, whose leader was killed, and kill those that stay."""
    end = time.monotonic() + 2 * PATIENCE
    while left := _of_study(study):
        for process in left if time.monotonic() > end else []:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(EVERY / 5)


def _of_study(study: Study) -> list[psutil.Process]:
    """This user's processes of the study; those of a run that goes on hold its lock, which is
    ours."""
    if os.environ.get(STUDY_VARIABLE) == str(study.data):
        return []  # called by a process of the study itself
    return marked(study.data)


def marked(data: Path) -> list[psutil.Process]:
    """The processes that carry the mark of a study with this data folder, but for zombies."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.environ().get(STUDY_VARIABLE) == str(data)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextlib.contextmanager
def temporary_folder(study: Study) -> Iterator[Path]:
    """An empty folder for all temporary files of a run, removed with what is in it.

    It has one name for a study, so that the next run finds what a killed one left. It is not in
    the study's own folder: sockets lie in it, whose paths have to be short.
    """
    digest = hashlib.sha256(os.fsencode(study.data.resolve())).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"mrnetlib-{_user()}-{digest}"
    with fresh_folder(folder) as ours:
        yield ours


@contextlib.contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """An empty folder of that name, removed with what is in it; another one where it is another
    user's."""
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)  # refuses a link
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        folder = Path(tempfile.mkdtemp(prefix="mrnetlib-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()


def sweep(folder: Path) -> list[Path]:
    """Remove what killed processes had not finished writing in a folder, at any depth.

    A file that a process is writing is left: it holds its lock.
    """
    found = [path for path in folder.rglob(".*-*") if _UNFINISHED.fullmatch(path.name)]
    gone = [path for path in found if path.is_file() and _is_nobodys(path)]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def _is_nobodys(path: Path) -> bool:
    with contextlib.suppress(OSError):  # it has just got its name
        if time.time() - path.stat().st_mtime > _FORGOTTEN:
            return True
        with path.open("rb") as file:
            return os.name != "nt" and lock_file(file, unknown=False)
    return False
