"""Files written whole or not at all, digests of files and of code, and the one error users see."""

import ast
import codecs
import contextlib
import errno
import getpass
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

#: The file that names all others of its folder with their checksums, see `broken_part`.
MANIFEST = "manifest.json"


class InputError(ValueError):
    """Input that cannot be used. The message names the file, what was found, what was
    expected and what to do; the command line prints it without a traceback."""


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to `path` only when the block succeeds.

    Whatever ends the block early (an exception, a full disk, Ctrl-C) leaves `path` as it was
    and removes the temporary file. What a killed process leaves has a free lock, by which
    `mrnetlib.chain.place.sweep` finds it.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}-", path.parent)
        temporary = Path(name)
        with open(handle, "rb") as file:  # noqa: PTH123 - a handle, whose lock says it is in use
            if os.name == "nt":
                file.close()  # Windows renames no open file
            else:
                lock_file(file)
            yield temporary
            for_everyone(temporary, 0o666)
            temporary.replace(path)
    except OSError as error:
        why, advice = error.strerror or str(error), "Choose another folder"
        if error.errno in (None, errno.ENOSPC, errno.EDQUOT) and _is_full(path.parent, error):
            why, advice = os.strerror(errno.ENOSPC), "Free some space or choose another folder"
        raise InputError(
            f"{path}: could not be written ({why}); nothing was left half-written. {advice}, and "
            "run it again."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def for_everyone(path: Path, mode: int) -> None:
    """Give what was made private to its owner the mode of what is made for all: less the umask."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(mode & ~umask)


def _is_full(folder: Path, error: OSError) -> bool:
    """Whether a disk is full; NumPy says only how many bytes it could not write."""
    with contextlib.suppress(OSError):
        return error.errno is not None or shutil.disk_usage(folder).free < 1 << 20
    return False


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with ``\\n`` line ends on every system."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON; NaN is refused because JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index; floats keep every digit they need to be read back."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy``, never pickled."""
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


#: What files that are no text begin with.
_NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook or a zip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzipped file",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\x93NUMPY": "a NumPy array",
}


def read_text(path: Path, remedy: str, latin: bool = True) -> str:
    """The text of a table as people have it: UTF-8 or UTF-16, with or without a mark.

    Parameters
    ----------
    remedy : what to do about a file that cannot be read: a sentence.
    latin : whether other bytes are taken for the Latin of Windows.

    Raises
    ------
    InputError
        For a missing file, a folder, and what is no text, by its kind.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        there = not isinstance(error, FileNotFoundError)
        why = "a folder" if Path(path).is_dir() else "not found"
        why = f"cannot be read ({error.strerror})" if there and why != "a folder" else why
        raise InputError(f"{path}: {why}. {remedy}") from None
    for start, kind in _NO_TEXT.items():
        if content.startswith(start):
            raise InputError(f"{path}: is {kind}, not a CSV. Save it as CSV (UTF-8).")
    encodings = ["utf-8-sig", "cp1252"] if latin else ["utf-8-sig"]
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif b"\0" in content[:200]:
        encodings = ["utf-16-le" if content[1:2] == b"\0" else "utf-16-be"]
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode(encoding)
    raise InputError(f"{path}: not text in UTF-8 or UTF-16. Save it as CSV (UTF-8).")


def placed(source: Path, target: Path) -> None:
    """Put a file in a second place: a hard link where the file system has such, else a copy."""
    if target.exists() and target.samefile(source):
        return
    with written_whole(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copy2(source, temporary)


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or damaged one is an `InputError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found. Run the step that writes it first.") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}). Make it again.") from None


def refuse_read_only(*folders: Path) -> None:
    """An `InputError` for the first folder in which, or in whose place, nothing can be written."""
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not (there.is_dir() and os.access(there, os.W_OK)):
            raise InputError(
                f"{folder}: cannot be written, because {there} is read only for you or no folder. "
                "Copy the study's whole folder to a place of your own, and run it there."
            )


@contextlib.contextmanager
def locked(path: Path, refused: Callable[[str], str]) -> Iterator[BinaryIO]:
    """Hold a lock file; the system frees it when this process ends, however it does.

    `refused` makes what to say from words for who holds it: an `InputError`, where another process
    does. It is one, too, if the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = held(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from None
    if file is None:
        raise InputError(refused(holder(path) or "process unknown"))
    try:
        file.truncate(0)
        file.write(f"{_this_process()}\n".encode())
        file.flush()
        yield file
    finally:
        with contextlib.suppress(OSError):
            if os.name == "nt":
                file.close()  # Windows removes no open file
            path.unlink()
        file.close()


def holder(path: Path) -> str | None:
    """Who holds a lock file, in words; None where nobody does."""
    try:
        with Path(path).open("r+b") as file:
            if lock_file(file):
                return None  # and closing the file frees it again
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    return f"process {text or 'unknown'}"


def _this_process() -> str:
    user = "an unknown user"
    with contextlib.suppress(OSError, KeyError, ImportError):  # a container may know no names
        user = getpass.getuser()
    since = time.strftime("%Y-%m-%d %H:%M")
    return f"{os.getpid()} of {user} on {platform.node()} since {since}"


def held(path: Path) -> BinaryIO | None:
    """A file, made where there is none, open and locked; None where another process has it."""
    while True:
        file = path.open("a+b")
        if not lock_file(file):
            file.close()
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # who held it has removed it since; what we hold is not what others see


def lock_file(file: BinaryIO, unknown: bool = True) -> bool:
    """Whether this process now holds a file's lock; `unknown` where the file system has none."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        file.seek(1 << 20)  # beyond the text, so that others can read it
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that knows no locks
        return unknown
    return True


def sha256(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def broken_part(folder: Path, manifest: Any) -> str:
    """The first file of a folder that is not the one its manifest names, "" where all are.

    ``files`` of a manifest are names and their SHA-256.
    """
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not files:
        return MANIFEST
    for name, checksum in files.items():
        path = Path(folder) / name
        if not path.is_file() or sha256(path) != checksum:
            return name
    return ""


def code_digest(*places: Path) -> str:
    """SHA-256 of what Python code does: of its syntax trees without docstrings.

    Comments, docstrings, line breaks, the files' dates, a notebook's prose and the answers to its
    exercises leave it as it is; a changed statement, a new or a renamed module change it.

    Parameters
    ----------
    places : Python files or notebooks, or folders whose Python files count, at any depth.
    """
    digest = hashlib.sha256()
    for place in map(Path, places):
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            tree = ast.parse(_code_of(path))
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    node.body = _without_docstring(node.body)
            name = path.relative_to(place.parent).as_posix()
            digest.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


def _code_of(path: Path) -> bytes | str:
    if path.suffix != ".ipynb":
        return path.read_bytes()
    cells = read_json(path)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    own = [cell for cell in code if "exercise" not in cell["metadata"].get("tags", [])]
    return "\n".join("".join(cell["source"]) for cell in own)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_text and isinstance(first.value.value, str) else body
