"""Label files as people have them, and which study of a source each of their lines means."""

import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mrnetlib.dicom.archives import SUFFIXES, File
from mrnetlib.exams.layout import LABELS
from mrnetlib.files import InputError, read_text
from mrnetlib.names import MRNET_FOLDERS, TASKS

_COLUMNS = ("exam", "split", *TASKS)
_PACKED = (".zip", ".tar", ".tgz", ".gz", *SUFFIXES)


def read_labels(path: Path) -> list[dict[str, Any]]:
    """The rows of a label file, training exams first: exam, split, the tasks (0 or 1) and line.

    Commas, semicolons or tabs separate; UTF-8 and UTF-16, with or without a mark, and the Latin
    of Windows are read; blanks around values and empty lines do not count.

    Raises
    ------
    InputError
        Names the line and what stands there.
    """
    lines = read_text(Path(path), "Give a CSV with labels.").splitlines()
    at = next((n for n, line in enumerate(lines) if line.strip()), None)
    if at is None:
        raise InputError(f"{path}: is empty. Expected the columns {','.join(_COLUMNS)}.")
    separator = max(",;\t", key=lines[at].count)
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=separator)
    header, rows = None, []
    for cells in _cells(path, reader):
        if header is None:
            header = _header(path, cells) if any(cells) else None
        elif any(cells):
            rows.append(_row(f"{path}, line {reader.line_num}", header, cells, reader.line_num))
    if not rows:
        raise InputError(f"{path}: has a header and no exams. Add a line for each exam.")
    _check_once(path, rows)
    return [row for split in MRNET_FOLDERS for row in rows if row["split"] == split]


def _cells(path: Path, reader) -> Iterator[list[str]]:
    try:
        for cells in reader:
            yield [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}. Mend the line.") from None


def _header(path: Path, cells: list[str]) -> dict[str, int]:
    names = [cell.lower() for cell in cells]
    lacking = [name for name in _COLUMNS if name not in names]
    double = [name for name in _COLUMNS if names.count(name) > 1]
    if lacking or double:
        what = f"no column {', '.join(lacking)}" if lacking else f"two columns {', '.join(double)}"
        raise InputError(f"{path}: has {what}; expected the columns {','.join(_COLUMNS)}.")
    return {name: names.index(name) for name in _COLUMNS}


def _row(where: str, header: dict[str, int], cells: list[str], line: int) -> dict[str, Any]:
    if len(cells) <= max(header.values()):
        raise InputError(f"{where}: has {len(cells)} values, too few for the header. Complete it.")
    row: dict[str, Any] = {name: cells[at] for name, at in header.items()}
    if not row["exam"]:
        raise InputError(f"{where}: names no exam. Give the name of the study's folder.")
    row["split"] = row["split"].lower()
    if row["split"] not in MRNET_FOLDERS:
        raise InputError(f"{where}: split is '{row['split']}', expected train or test.")
    for task in TASKS:
        if row[task] not in LABELS:
            raise InputError(f"{where}: {task} is '{row[task]}', expected 0 or 1.")
        row[task] = LABELS[row[task]]
    return row | {"line": line}


def _check_once(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = defaultdict(list)
    for row in rows:
        lines[_plain(row["exam"])].append(row["line"])
    for exam, those in lines.items():
        if len(those) > 1:
            said = ", ".join(map(str, those))
            raise InputError(f"{path}: exam {exam} has {len(those)} lines ({said}). Keep one.")


def _plain(name: str) -> str:
    """A name in one spelling of its accents; macOS takes them apart."""
    return unicodedata.normalize("NFC", name)


def _names(part: str) -> set[str]:
    """A folder's name, and that of an archive or a file also without what says its kind."""
    found = {_plain(part)}
    while part.lower().endswith(_PACKED):
        part = part[: part.rindex(".")]
        found.add(_plain(part))
    return found


def match(
    rows: list[dict[str, Any]], found: dict[str, list[File]], source: Path, labels: Path
) -> list[str]:
    """The study that each row means: its exam is the name of that study's folder.

    Such a folder lies at one level below the source, the same for all exams; it holds one study
    and the whole of it. So neither the folder of a series nor one around several studies counts.
    A source that is a single study may itself be the folder.

    Raises
    ------
    InputError
        Where an exam has no such folder, or it cannot be told which one is meant.
    """
    levels = _study_folders(found, Path(source))
    hits = [sum(_plain(row["exam"]) in names for row in rows) for names in levels]
    if not any(hits):
        raise InputError(
            f"{labels}: none of its {len(rows)} exams has a folder in {source} that holds one "
            "study. The column exam has to give the name of a study's folder, leading zeros "
            "included."
        )
    best = [names for names, count in zip(levels, hits, strict=True) if count == max(hits)]
    studies = []
    for row in rows:
        where = f"{labels}, line {row['line']}: exam {row['exam']}"
        meant = [names.get(_plain(row["exam"]), set()) for names in best]
        if not all(meant):
            raise InputError(
                f"{where} has no folder in {source} that holds one study, at the level of the "
                "other exams' folders. Take its line away, or add its study."
            )
        several = set.union(*meant)
        if len(several) > 1:
            raise InputError(
                f"{where} may mean {len(several)} studies in {source}: folders of different "
                "studies have this name. Rename them, or give the folder that holds the exams only."
            )
        studies += several
    _check_apart(rows, studies, source, labels)
    return studies


def _check_apart(rows, studies: list[str], source: Path, labels: Path) -> None:
    first: dict[str, int] = {}
    for row, study in zip(rows, studies, strict=True):
        if study in first:
            raise InputError(
                f"{labels}, lines {first[study]} and {row['line']}: both exams name the same study "
                f"in {source}. Keep one."
            )
        first[study] = row["line"]


def _study_folders(found: dict[str, list[File]], source: Path) -> list[dict[str, set[str]]]:
    """For every level from the source down, the studies whose folder has a name there."""
    if source.name.upper() == "DICOMDIR":
        source = source.parent.resolve()
    top = len(source.parts)
    holds: dict[tuple[str, ...], set[str]] = defaultdict(set)
    places: dict[str, list[set[tuple[str, ...]]]] = {}
    for study, files in found.items():
        levels: list[set[tuple[str, ...]]] = []
        for location in {file.location for file in files}:
            inside = (source.resolve().name, *location[top:])
            for level in range(len(inside)):
                if level == len(levels):
                    levels.append(set())
                levels[level].add(inside[: level + 1])
                holds[inside[: level + 1]].add(study)
        places[study] = levels
    named: list[dict[str, set[str]]] = []
    for study, levels in places.items():
        for level, those in enumerate(levels):
            while level >= len(named):
                named.append(defaultdict(set))
            place = next(iter(those))
            if len(those) == 1 and len(holds[place]) == 1:
                for name in _names(place[-1]):
                    named[level][name].add(study)
    return named
