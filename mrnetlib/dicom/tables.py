"""The tables beside converted exams: who is numbered what, what was written, what was found."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.dicom.archives import File
from mrnetlib.dicom.gather import Gathered
from mrnetlib.dicom.labels import match, read_labels
from mrnetlib.dicom.study import REPORT_COLUMNS, Examination
from mrnetlib.files import InputError, write_csv, write_text
from mrnetlib.names import MRNET_FOLDERS, PLANES, TASKS


@dataclass(frozen=True)
class Conversion:
    """What `convert` wrote.

    Attributes
    ----------
    exams : the table ``exams.csv``.
    report : the table ``dicom_report.csv``.
    failed : numbers of the studies with a fault, each with its sentence.
    summary : a few lines for the terminal.
    """

    exams: pd.DataFrame
    report: pd.DataFrame
    failed: dict[str, str]
    summary: str


@dataclass
class Done:
    """A finished study: what was found, and of each plane written its slices, its checksum and,
    where landmarks are learned, its percentiles."""

    exam: str
    study: Examination
    slices: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    measured: dict[str, np.ndarray] = field(default_factory=dict)


def refused(exam: str, reason: str) -> Done:
    """What a study gives that is refused as a whole."""
    row = {"decision": "refused", "reason": reason}
    return Done(exam, Examination(rows=[row], faults=[reason]))


def numbered(
    gathered: Gathered, source: Path, split: str, labels: Path | None
) -> list[dict[str, Any]]:
    """A row per study: its exam number, split, labels and their line, and its key in `gathered`.

    Where there are labels, ``matched`` is what they call the exam; it goes to the key file only.
    """
    found = gathered.studies
    if labels is None:
        return [{"exam": f"{n:04d}", "split": split, "study": uid} for n, uid in enumerate(found)]
    rows = read_labels(labels)
    try:
        studies = match(rows, found, source, labels)
    except InputError as error:
        if not gathered.refused:
            raise
        why = next(iter(gathered.refused.values()))
        raise InputError(f"{error} Besides, a study is refused: {why}.") from None
    return [
        {
            **{"exam": f"{number:04d}", "split": row["split"]},
            **{task: row[task] for task in TASKS},
            **{"labels_line": row["line"], "study": study, "matched": row["exam"]},
        }
        for number, (row, study) in enumerate(zip(rows, studies, strict=True))
    ]


def key_text(exams: list[dict[str, Any]], found: dict[str, list[File]]) -> str:
    """The key file: which exam came from which study and folder, and its name in the labels."""
    table = pd.DataFrame(
        {
            "exam": [row["exam"] for row in exams],
            "study": [plain_name(row["study"]) for row in exams],
            "folder": [plain_name(found[row["study"]][0].folder) for row in exams],
        }
    )
    if "matched" in exams[0]:
        table["label"] = [row["matched"] for row in exams]
    return table.to_csv(index=False, lineterminator="\n")


def plain_name(path: str) -> str:
    """A path as UTF-8 text from which its bytes can be had again.

    Bytes that are no UTF-8, as in names of old systems, become ``\\xNN``, and so that these can
    be told from it a backslash becomes two, except where it separates folders (Windows).
    """
    raw = os.fsencode(path)
    if os.sep != "\\":
        raw = raw.replace(b"\\", b"\\\\")
    return raw.decode("utf-8", "backslashreplace")


def write_tables(
    folder: Path,
    out: Path,
    exams: list[dict[str, Any]],
    done: list[Done],
    gathered: Gathered,
    notes: list[str],
) -> Conversion:
    """Write ``exams.csv``, ``dicom_report.csv`` and, where there are labels, MRNet's label files.

    `folder` is where they are written, `out` what it will be called; `notes` are for the terminal.
    """
    labelled = "labels_line" in exams[0]
    failed = {one.exam: "; ".join(one.study.faults) for one in done if one.study.faults}
    for one in done:
        if not (one.slices or one.study.faults):
            failed[one.exam] = "none of its series could be used"
    if gathered.lost:
        failed["-"] = "; ".join(gathered.lost)
    columns = ["exam", "split", *((*TASKS, "labels_line") if labelled else ())]
    columns += [f"{what}_{plane}" for what in ("slices", "sha256") for plane in PLANES]
    rows = [_exam_row(row, one) for row, one in zip(exams, done, strict=True) if one.slices]
    table = pd.DataFrame(rows, columns=columns)
    report = _report(exams, done, gathered.lost)
    write_csv(folder / "exams.csv", table)
    write_csv(folder / "dicom_report.csv", report)
    if labelled:
        _write_labels(folder, table)
    failed = {exam: failed[exam] for exam in sorted(failed)}
    summary = _summary(table, out, len(exams), failed, gathered)
    return Conversion(table, report, failed, "\n".join([*summary, *notes]))


def _exam_row(row: dict[str, Any], one: Done) -> dict[str, Any]:
    known = {key: value for key, value in row.items() if key not in ("study", "matched")}
    slices = {f"slices_{plane}": one.slices.get(plane, 0) for plane in PLANES}
    return known | slices | {f"sha256_{plane}": one.sha256.get(plane, "") for plane in PLANES}


def _report(exams: list[dict[str, Any]], done: list[Done], lost: list[str]) -> pd.DataFrame:
    """A line for every series found, every plane that is absent and all that was lost."""
    rows = []
    for row, one in zip(exams, done, strict=True):
        line = {"exam": one.exam} | {key: row[key] for key in ("labels_line",) if key in row}
        rows += [found | line for found in one.study.rows]
        for plane in PLANES:
            if plane not in one.slices:
                reason = f"no volume: no usable {plane} series"
                rows.append(line | {"plane": plane, "decision": "absent", "reason": reason})
    rows += [{"decision": "refused", "reason": sentence} for sentence in lost]
    columns = [*REPORT_COLUMNS, *(("labels_line",) if "labels_line" in exams[0] else ())]
    report = pd.DataFrame(rows, columns=columns)
    whole = ["series", "images", "rows", "columns", *columns[len(REPORT_COLUMNS) :]]
    report[whole] = report[whole].astype("Int64")
    return report


def _write_labels(folder: Path, table: pd.DataFrame) -> None:
    for split, place in MRNET_FOLDERS.items():
        part = table[table["split"] == split]
        for task in TASKS:
            lines = [f"{e},{y}\n" for e, y in zip(part["exam"], part[task], strict=True)]
            write_text(folder / f"{place}-{task}.csv", "".join(lines))


def _summary(
    table: pd.DataFrame, out: Path, count: int, failed: dict[str, str], gathered: Gathered
) -> list[str]:
    report = out / "dicom_report.csv"
    lines = [f"{len(table)} of {count} studies became exams in {out}"]
    short = int((table[[f"slices_{plane}" for plane in PLANES]] == 0).any(axis=1).sum())
    if short:
        lines.append(f"{short} of them lack a plane: see {report}")
    if gathered.others:
        lines.append(f"{gathered.others} files were no DICOM and were passed over")
    if gathered.copies:
        lines.append(f"{gathered.copies} files came twice, byte for byte; one of each was read")
    if unlabelled := len(gathered.studies) - count:
        lines.append(f"{unlabelled} studies have no line in the labels and were left out")
    studies = {exam: reason for exam, reason in failed.items() if exam != "-"}
    lines += [f"study {exam}: {reason}" for exam, reason in list(studies.items())[:20]]
    if studies:
        needy = "1 study needs" if len(studies) == 1 else f"{len(studies)} studies need"
        lines.append(f"{needy} attention: see {report}")
    return lines + [f"in the source, {sentence}" for sentence in gathered.lost]
