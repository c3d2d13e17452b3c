"""Measures of a study's predictions, and the paper's Table I computed from them."""

import html
from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.evaluation import published
from mrnetlib.evaluation.predictions import read_fused, read_predictions
from mrnetlib.evaluation.roc import auc, checked
from mrnetlib.files import InputError
from mrnetlib.names import PLANES, TASK_TITLES, TASKS, architecture_title

__all__ = [
    "auc",
    "best_planes",
    "confusion",
    "measures",
    "rates",
    "read_fused",
    "read_predictions",
    "single_view",
    "table_1",
    "table_1_text",
]

MEASURES = published.MEASURES
MEASURE_TITLES = {
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
}
VIEW_TITLES = {
    "multi": "multi-view",
    "single-best": "single view, best plane per task",
    "single-mean": "single view, mean of all planes",
}


def confusion(label: Any, probability: Any, threshold: float = 0.5) -> dict[str, int]:
    """Counts of right and wrong decisions; positive where ``probability >= threshold``.

    Parameters
    ----------
    label : (E,) 0 or 1.
    probability : (E,) 0..1.
    threshold : 0..1; the paper uses 0.5.

    Returns
    -------
    tp, fn, tn, fp: numbers of exams, E in all.
    """
    positive, probability = checked(label, probability, both_classes=False)
    called = probability >= threshold
    return {
        "tp": int((called & positive).sum()),
        "fn": int((~called & positive).sum()),
        "tn": int((~called & ~positive).sum()),
        "fp": int((called & ~positive).sum()),
    }


def rates(label: Any, probability: Any, threshold: float = 0.5) -> dict[str, float]:
    """Sensitivity, specificity and accuracy (0..1) of ``probability >= threshold``.

    Raises
    ------
    InputError
        See `mrnetlib.evaluation.roc.checked`; both classes are needed.
    """
    checked(label, probability)
    count = confusion(label, probability, threshold)
    return {
        "sensitivity": count["tp"] / (count["tp"] + count["fn"]),
        "specificity": count["tn"] / (count["tn"] + count["fp"]),
        "accuracy": (count["tp"] + count["tn"]) / sum(count.values()),
    }


def measures(label: Any, probability: Any, threshold: float = 0.5) -> dict[str, float]:
    """The paper's four measures (0..1) and ``n``, the number of exams."""
    return {
        "auc": auc(label, probability),
        **rates(label, probability, threshold),
        "n": len(np.asarray(label)),
    }


def _measured(predictions: pd.DataFrame, keys: list[str], split: str) -> pd.DataFrame:
    """The measures of each group of `keys` on one split, in the table's own order."""
    chosen = predictions[predictions["split"] == split]
    if chosen.empty:
        raise InputError(
            f"the predictions hold no {split} exam, found {sorted(set(predictions['split']))}. "
            f"Predict the {split} exams, or ask for another split."
        )
    rows = []
    for values, group in chosen.groupby(keys, sort=False):
        try:
            measured = measures(group["label"], group["probability"])
        except InputError as error:
            raise InputError(f"{' '.join(values)}, {split} exams: {error}") from None
        rows.append({**dict(zip(keys, values, strict=True)), **measured})
    return pd.DataFrame(rows)


def single_view(predictions: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Every network's own measures: one row per architecture, plane and class (task).

    Returns
    -------
    DataFrame with the columns architecture, plane, class, auc, sensitivity, specificity,
    accuracy, n; unrounded.
    """
    table = _measured(predictions, ["architecture", "plane", "task"], split)
    return table.rename(columns={"task": "class"})


def best_planes(predictions: pd.DataFrame, split: str = "tune") -> pd.DataFrame:
    """The plane with the best AUC per architecture and task, chosen on `split`.

    The tuning exams choose by default: a plane chosen on the test exams is reported too well.
    A tie goes to the plane that comes first in `mrnetlib.names.PLANES`.

    Returns
    -------
    DataFrame with the columns architecture, task, plane, auc (on `split`).
    """
    table = _measured(predictions, ["architecture", "task", "plane"], split)
    rows = []
    for architecture in table["architecture"].unique():
        for task in sorted(table["task"].unique(), key=TASKS.index):
            own = table[(table["architecture"] == architecture) & (table["task"] == task)]
            areas = own.set_index("plane")["auc"]
            plane = max(sorted(areas.index, key=PLANES.index), key=areas.get)  # first of equals
            rows.append([architecture, task, plane, areas[plane]])
    return pd.DataFrame(rows, columns=["architecture", "task", "plane", "auc"])


def table_1(
    predictions: pd.DataFrame, fused: pd.DataFrame, select_on: str = "tune"
) -> pd.DataFrame:
    """The paper's Table I on the test exams, unrounded.

    Per architecture: the fused model per task and the plain mean of the tasks (views
    ``multi``), the mean over tasks of the plane that was best on `select_on`
    (``single-best``), and the mean over all planes and tasks (``single-mean``). The paper
    prints one single-view row without saying which of the two it is.

    Returns
    -------
    DataFrame with the columns architecture, views, class, auc, sensitivity, specificity,
    accuracy, n.
    """
    multi = _measured(fused, ["architecture", "task"], "test").rename(columns={"task": "class"})
    single = single_view(predictions)
    best = best_planes(predictions, select_on).rename(columns={"task": "class"})
    chosen = single.merge(best[["architecture", "class", "plane"]])

    def average(table: pd.DataFrame, architecture: str, views: str) -> dict:
        own = table[table["architecture"] == architecture]
        if own.empty:
            raise InputError(
                f"{architecture}: has fused predictions but no single-view predictions. "
                "Read both for the same architectures."
            )
        head = {"architecture": architecture, "views": views, "class": "average"}
        return {**head, **own[MEASURES].mean().to_dict(), "n": int(own["n"].iloc[0])}

    rows = []
    for architecture in multi["architecture"].unique():
        own = multi[multi["architecture"] == architecture]
        rows += own.assign(views="multi").to_dict("records")
        rows.append(average(multi, architecture, "multi"))
        rows.append(average(chosen, architecture, "single-best"))
        rows.append(average(single, architecture, "single-mean"))
    return pd.DataFrame(rows)[["architecture", "views", "class", *MEASURES, "n"]]


def _printed(table: pd.DataFrame, with_paper: bool) -> list[list[str]]:
    """Header and rows as text, rounded to four decimals as in the paper."""
    header = ["Model", "Class", *MEASURE_TITLES.values()]
    paper = published.TABLE_1.set_index(["architecture", "views", "class"])
    if with_paper:
        header += [f"{title} (paper)" for title in MEASURE_TITLES.values()]
    rows = [[*header, "n"]]
    for row in table.to_dict("records"):
        kind = TASK_TITLES.get(row["class"], row["class"].capitalize())
        name = f"{architecture_title(row['architecture'])}, {VIEW_TITLES[row['views']]}"
        cells = [name, kind, *(f"{row[measure]:.4f}" for measure in MEASURES)]
        if with_paper:
            # By the granularity of its accuracies the paper's single-view row is a mean.
            views = {"single-mean": "single"}.get(row["views"], row["views"])
            key = (row["architecture"], views, row["class"])
            known = paper.loc[key] if key in paper.index else None
            cells += ["" if known is None else f"{known[measure]:.4f}" for measure in MEASURES]
        rows.append([*cells, str(row["n"])])
    return rows


def table_1_text(
    table: pd.DataFrame, study: str, data_name: str, select_on: str, form: str = "markdown"
) -> str:
    """Table I to be read: a title that names study and data, four decimals, a note.

    Parameters
    ----------
    table : from `table_1`.
    study, data_name : the study and its exams, for the title. The paper's numbers stand
        beside only where `data_name` is MRNet (``MRNet`` or ``MRNet-v1.0``).
    select_on : the split that chose the best planes, for the note.
    form : ``markdown`` or ``html``.
    """
    with_paper = data_name.casefold() in ("mrnet", "mrnet-v1.0")
    rows = _printed(table, with_paper)
    title = f"Table I, study {study}: exams of {data_name}, {table['n'].iloc[0]} test exams"
    note = (
        f"Single view, best plane per task: the plane with the highest AUC on the {select_on} "
        "exams, measured on the test exams. "
    ) + (
        "Paper: Irmakci et al. 2020, Table I; its single-view row stands beside the mean of all "
        "planes."
        if with_paper
        else f"These are results on {data_name}, not comparable with the paper's on MRNet."
    )
    if form == "markdown":
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        rule = "| --- | --- " + "| ---: " * (len(rows[0]) - 2) + "|"
        return "\n".join([f"**{title}**", "", lines[0], rule, *lines[1:], "", note, ""])
    if form == "html":
        cells = [[html.escape(cell) for cell in row] for row in rows]
        head = "".join(f"<th>{cell}</th>" for cell in cells[0])
        body = "\n".join(
            "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells[1:]
        )
        return (
            f"<table>\n<caption>{html.escape(title)}</caption>\n<thead><tr>{head}</tr></thead>\n"
            f"<tbody>\n{body}\n</tbody>\n</table>\n<p>{html.escape(note)}</p>\n"
        )
    raise InputError(f"form '{form}': expected markdown or html.")
