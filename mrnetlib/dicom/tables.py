"""The tables beside converted exams: who is numbered what, what was written, what was found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.dicom.sources import File
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
    exam: str
    study: Examination
    slices: dict[str, int]
    sha256: dict[str, str]
    measured: dict[str, np.ndarray]


def numbered(
    found: dict[str, list[File]], source: Path, split: str, labels: Path | None
) -> list[dict[str, Any]]:
    """A row per study: its exam number, split, labels and its key in `found`."""
    if labels is None:
        return [{"exam": f"{n:04d}", "split": split, "study": uid} for n, uid in enumerate(found)]
    table = _read_label_table(labels)
    where: dict[str, str] = {}
    for uid, files in found.items():
        for part in (*Path(files[0].path).parts, *Path(files[0].member or "").parts):
            where.setdefault(Path(part).stem if part.endswith(".zip") else part, uid)
    rows = []
    for number, row in enumerate(table.to_dict("records")):
        if row["exam"] not in where:
            raise InputError(
                f"{labels}: exam {row['exam']} has no folder in {source}. Take its line away, or "
                "add its study."
            )
        rows.append({**row, "exam": f"{number:04d}", "study": where[row["exam"]]})
    if len({row["study"] for row in rows}) < len(rows):
        raise InputError(f"{labels}: two exams name the same study in {source}. Keep one.")
    return rows


def _read_label_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__}).") from None
    wanted = ["exam", "split", *TASKS]
    good = set(wanted) <= set(table) and table["split"].isin(list(MRNET_FOLDERS)).all()
    if not good or not table[list(TASKS)].isin(["0", "1"]).all(axis=None):
        raise InputError(
            f"{path}: expected the columns {','.join(wanted)}, split train or test, labels 0 or 1."
        )
    table = table[wanted].astype(dict.fromkeys(TASKS, int))
    return pd.concat([table[table["split"] == split] for split in MRNET_FOLDERS])


def write_tables(folder, out, exams, done, labelled, others, broken, unlabelled) -> Conversion:
    rows, report, failed = [], [], {}
    for row, one in zip(exams, done, strict=True):
        report += [{**line, "exam": one.exam} for line in one.study.rows]
        if one.study.faults:
            failed[one.exam] = "; ".join(one.study.faults)
        elif not one.slices:
            failed[one.exam] = "none of its series could be used"
        for plane in PLANES:
            if plane not in one.slices:
                reason = f"no volume: no usable {plane} series"
                report.append(
                    {"exam": one.exam, "plane": plane, "decision": "absent", "reason": reason}
                )
        if one.slices:
            rows.append(
                {key: row[key] for key in row if key != "study"}
                | {f"slices_{plane}": one.slices.get(plane, 0) for plane in PLANES}
                | {f"sha256_{plane}": one.sha256.get(plane, "") for plane in PLANES}
            )
    if broken:
        failed["-"] = f"{len(broken)} zips cannot be read; copy them again from their source"
        report.append({"decision": "refused", "reason": failed["-"]})
    columns = ["exam", "split", *(TASKS if labelled else ())]
    columns += [f"{what}_{plane}" for what in ("slices", "sha256") for plane in PLANES]
    table = pd.DataFrame(rows, columns=columns)
    found = pd.DataFrame(report, columns=list(REPORT_COLUMNS))
    whole = ["series", "images", "rows", "columns"]
    found[whole] = found[whole].astype("Int64")
    write_csv(folder / "exams.csv", table)
    write_csv(folder / "dicom_report.csv", found)
    if labelled:
        for split, place in MRNET_FOLDERS.items():
            part = table[table["split"] == split]
            for task in TASKS:
                lines = [f"{e},{y}\n" for e, y in zip(part["exam"], part[task], strict=True)]
                write_text(folder / f"{place}-{task}.csv", "".join(lines))
    lines = [f"{len(table)} of {len(exams)} studies became exams in {out}"]
    short = int((table[[f"slices_{plane}" for plane in PLANES]] == 0).any(axis=1).sum())
    if short:
        lines.append(f"{short} of them lack a plane: see {out / 'dicom_report.csv'}")
    if others:
        lines.append(f"{others} files were no DICOM and were passed over")
    if unlabelled:
        lines.append(f"{unlabelled} studies have no line in the labels and were left out")
    lines += [f"study {exam}: {reason}" for exam, reason in list(failed.items())[:20]]
    if failed:
        lines.append(f"{len(failed)} studies need attention: see {out / 'dicom_report.csv'}")
    return Conversion(table, found, failed, "\n".join(lines))


def write_key(path: Path, exams: list[dict[str, Any]], found: dict[str, list[File]]) -> None:
    table = pd.DataFrame(
        {
            "exam": [row["exam"] for row in exams],
            "study": [row["study"] for row in exams],
            "folder": [found[row["study"]][0].folder for row in exams],
        }
    )
    write_csv(path, table)
    path.chmod(0o600)  # for its owner only: it says who the exams are
