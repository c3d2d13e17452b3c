"""Checksums of a study's files, taken once per file and change.

``data/<study>/checksums.json`` keeps them beside each file's size and times; the system's own time
of change cannot be set by hand. What the disk itself has garbled is found where a file is read for
a result, for it is then hashed anew.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from mrnetlib.files import InputError, code_digest, read_json, sha256, write_json
from mrnetlib.study import Study

#: A file's checksum, a folder's by the names in it, or None for what is not there.
Digest = str | dict[str, str] | None

#: What counts in a folder of exams, masks or networks; a user's own folder may hold more.
COUNTED = (".npy", ".csv", ".safetensors")


class Checksums:
    """The checksums of a study's files and of the code; `save` keeps those that were taken."""

    def __init__(self, study: Study):
        self.root, self.path = study.root, study.data / "checksums.json"
        self.known, self.taken = self._read(), {}
        self.codes: dict[Path, str] = {}  # a process asks many times, of code that it has loaded

    def _read(self) -> dict[str, list[str]]:
        with contextlib.suppress(InputError, OSError):
            found = read_json(self.path)
            if isinstance(found, dict):
                pairs = {k: v for k, v in found.items() if isinstance(v, list) and len(v) == 2}
                return {k: v for k, v in pairs.items() if all(isinstance(w, str) for w in v)}
        return {}

    def of(self, name: str, anew: bool = False) -> Digest:
        """The digest of a file or, where the name ends in ``/``, of a folder's `COUNTED` files.

        Parameters
        ----------
        name : from the study's root on.
        anew : read the files even where they seem unchanged.
        """
        path = self.root / name
        if not name.endswith("/"):
            return self._of_file(name, path, anew)
        if not path.is_dir():
            return None
        found = {}
        for folder, folders, names in os.walk(path):
            folders.sort()
            for file in sorted(names):
                if file.endswith(COUNTED) and not file.startswith("."):
                    inside = (Path(folder) / file).relative_to(path).as_posix()
                    found[inside] = self._of_file(name + inside, path / inside, anew)
        return found

    def _of_file(self, name: str, path: Path, anew: bool) -> str | None:
        try:
            stamp = _stamp(path)
            before = self.known.get(name)
            if before is None or before[0] != stamp or anew:
                self.known[name] = self.taken[name] = [stamp, sha256(path)]
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}). Mend that.") from None
        return self.known[name][1]

    def of_code(self, place: Path) -> str:
        """What `mrnetlib.files.code_digest` says of the files of a place, each parsed once."""
        if place in self.codes:
            return self.codes[place]
        digest = hashlib.sha256()
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            name, stamp = f"code of {path.relative_to(place.parent.parent)}", _stamp(path)
            if self.known.get(name, [""])[0] != stamp:
                self.known[name] = self.taken[name] = [stamp, code_digest(path)]
            digest.update(f"{path.relative_to(place.parent)} {self.known[name][1]}\n".encode())
        self.codes[place] = digest.hexdigest()
        return self.codes[place]

    def save(self) -> None:
        """Keep what was taken, beside what other processes have kept meanwhile.

        That it cannot be kept costs only the time to take it again.
        """
        if self.taken:
            with contextlib.suppress(InputError):
                write_json(self.path, self._read() | self.taken)
            self.taken = {}


def _stamp(path: Path) -> str:
    about = path.stat()
    return f"{about.st_size}-{about.st_mtime_ns}-{about.st_ctime_ns}"
