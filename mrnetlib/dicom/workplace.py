"""Where exams are written until all are there: locked, resumable, and gone or renamed at the end.

Beside ``OUT`` lie, for as long as a conversion lasts, ``.OUT.lock`` and ``.OUT.partial-<digest>``.
The digest is the request's, so that the same command takes up what a stopped one finished, and
another one does not.
"""

import contextlib
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrnetlib import files
from mrnetlib.dicom.archives import File
from mrnetlib.files import InputError, for_everyone, write_text
from mrnetlib.parallel import Stopped


@dataclass(frozen=True)
class Workplace:
    """A folder beside `out`: ``exams``, which becomes `out`, and what is known of finished ones."""

    folder: Path

    @property
    def exams(self) -> Path:
        return self.folder / "exams"

    def keep(self, exam: str, content: dict[str, Any]) -> None:
        """Note that an exam is finished; call it when its volumes are written."""
        said = json.dumps(content, default=lambda value: value.tolist())
        write_text(self.folder / "finished" / f"{exam}.json", said)

    def kept(self, exam: str) -> dict[str, Any] | None:
        """What was noted of an exam, None where it is not finished."""
        path = self.folder / "finished" / f"{exam}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def count(self) -> int:
        return sum(1 for _ in (self.folder / "finished").glob("[!.]*.json"))

    def sweep(self) -> None:
        """Remove what a killed process left half-written."""
        for path in self.folder.rglob(".*"):
            path.unlink()


def request_digest(same: list[Any], landmarks: Path | None, studies: dict[str, list[File]]) -> str:
    """A digest of all that the exams depend on: request, code, and the files' names and dates."""
    digest = hashlib.sha256(json.dumps(same, default=str).encode())
    package = Path(__file__).parents[1]
    for path in sorted([*(package / "dicom").glob("*.py"), *(package / "exams").glob("*.py")]):
        digest.update(path.read_bytes())
    if landmarks:
        digest.update(Path(landmarks).read_bytes())
    for members in studies.values():
        for file in members:
            with contextlib.suppress(OSError):
                known = Path(file.path).stat()
                digest.update(f"{known.st_size} {known.st_mtime_ns} ".encode())
            digest.update(os.fsencode("\0".join((file.path, *file.members))))
    return digest.hexdigest()


def locked(out: Path) -> contextlib.AbstractContextManager:
    """Hold ``.OUT.lock`` beside `out`, see `mrnetlib.files.locked`."""
    path = out.parent / f".{out.name}.lock"
    return files.locked(
        path,
        lambda holder: (
            f"{out}: another conversion ({holder}) is writing it. Wait for it, or choose another "
            "folder."
        ),
    )


@contextlib.contextmanager
def workplace(out: Path, request: str) -> Iterator[Workplace]:
    """A workplace whose ``exams`` become `out` when the block succeeds.

    Else it stays where an exam is finished, for the same request to go on, and goes where none is;
    the error that ended the block says which.

    Parameters
    ----------
    request : a digest of all that the exams depend on.
    """
    place = Workplace(out.parent / f".{out.name}.partial-{request[:12]}")
    try:
        place.folder.mkdir(mode=0o700, exist_ok=True)
        place.sweep()
        yield place
        place.sweep()
        _appear(place, out)
    except KeyboardInterrupt as error:
        raise Stopped(_left(place), getattr(error, "number", Stopped().number)) from None
    except InputError as error:
        raise InputError(f"{error} {_left(place)}") from error
    except OSError as error:
        said = f"{out}: cannot be written ({error.strerror})"
        raise InputError(f"{said}. {_left(place)}") from error
    except BaseException:
        _left(place)
        raise


def _left(place: Workplace) -> str:
    """Remove a workplace without a finished exam; returns what was left of it."""
    count = place.count()
    if not count:
        shutil.rmtree(place.folder, ignore_errors=True)
        return "Nothing was kept; the same command starts from the beginning."
    return (
        f"{count} finished exam{' is' if count == 1 else 's are'} kept in {place.folder}; the same "
        "command goes on from there. To start afresh, remove that folder."
    )


def _appear(place: Workplace, out: Path) -> None:
    for_everyone(place.exams, 0o777)
    if out.exists():
        out.rmdir()  # fails where somebody has put something in
    place.exams.rename(out)
    shutil.rmtree(place.folder, ignore_errors=True)


def left_behind(out: Path, place: Workplace) -> list[str]:
    """A note on workplaces of other requests for the same `out`, which were stopped."""
    found = sorted(out.parent.glob(f".{glob.escape(out.name)}.partial-*"))
    return [
        f"{path} holds exams of another, stopped conversion; remove it if they are not wanted"
        for path in found
        if path != place.folder
    ]


@contextlib.contextmanager
def key_written(path: Path | None, text: str) -> Iterator[Callable[[], None]]:
    """Write a key file for its owner's eyes, beside `path` at once, so that what forbids it is
    known before hours of work; it gets its name when the function given is called, and goes again
    where the block fails.

    Raises
    ------
    InputError
        Where it cannot be written, or there is such a file already.
    """
    if path is None:
        yield lambda: None
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    named = []

    def name() -> None:
        if os.path.lexists(path):
            raise InputError(f"{path}: exists. Keys are not overwritten.")
        temporary.rename(path)
        named.append(path)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputError(f"{path}: the key cannot be written ({error.strerror}).") from None
    try:
        yield name
    except BaseException:
        for one in named:
            one.unlink(missing_ok=True)
        raise
    finally:
        temporary.unlink(missing_ok=True)
