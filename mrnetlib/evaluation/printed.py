"""Tables to be read: a notebook's, and Table I beside the paper's where the exams are MRNet's."""

import html
import re
import zlib
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from mrnetlib.evaluation import published
from mrnetlib.evaluation.comparisons import p_value
from mrnetlib.evaluation.metrics import MEASURES
from mrnetlib.files import InputError
from mrnetlib.names import ARCHITECTURE_TITLES, PLANE_TITLES, TASK_TITLES, architecture_title

VIEW_TITLES = {
    "multi": "multi-view",
    "single-best": "single view, best plane per task",
    "single-mean": "single view, mean of all planes",
}


#: What is called otherwise in print; of other names the underlines become spaces.
TITLES = {
    **TASK_TITLES,
    **PLANE_TITLES,
    **ARCHITECTURE_TITLES,
    **{name: measure.title for name, measure in MEASURES.items()},
    "average": "Average",
    "p_holm": "p (Holm)",
    "auc_low": "AUC, low",
    "auc_high": "AUC, high",
    "n": "exams",
    **VIEW_TITLES,
    **{"tp": "found", "fn": "missed", "tn": "recognized", "fp": "false alarms"},
}

#: Columns of whole numbers, also where a missing one has made them floats.
COUNTS = ("n", "exams", "train_exams", "seeds", "epochs")

#: What stands in a cell without a value.
NONE = "–"


def readable(table: pd.DataFrame, digits: int = 3) -> Styler:
    """A table to be displayed: names as in print, few digits, and no row numbers.

    Counts are whole, and a dash stands for what is missing. Columns named p something are shown as
    `mrnetlib.evaluation.comparisons.p_value` does. An index that says something stays.
    """
    named = table.rename(columns=_title, index=_title)
    named = named.rename_axis(index=_title, columns=_title)
    for place, name in enumerate(table.columns):
        column = named.iloc[:, place]
        if isinstance(name, str) and re.match(r"p\b|p_", name):
            named.isetitem(place, column.map(p_value))
        elif name in COUNTS and column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
            named.isetitem(place, column.astype("Int64"))
        elif column.dtype.kind not in "biuf":
            named.isetitem(place, column.map(_title))
    # Every table has a name of its own on a page, and the same one in every run.
    name = f"{zlib.crc32(named.to_csv().encode()):08x}"
    shown = Styler(named, precision=digits, na_rep=NONE, uuid=name, cell_ids=False, escape="html")
    numbers = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    return shown.hide(axis="index") if numbers else shown


def _title(name: Any) -> Any:
    """A name as it is printed; what is no name stays as it is."""
    if not isinstance(name, str):
        return name
    first, _, views = name.rpartition(" ")
    if first and views in VIEW_TITLES:  # a model of Table I
        return f"{TITLES.get(first, first)}, {VIEW_TITLES[views]}"
    return TITLES.get(name, name.replace("_", " "))


def _cells(table: pd.DataFrame, with_paper: bool) -> list[list[str]]:
    """Header and rows as text, rounded to four decimals as in the paper."""
    titles = [measure.title for measure in MEASURES.values()]
    printed = [name for name in MEASURES if with_paper and name in published.MEASURES]
    paper = published.TABLE_1.set_index(["architecture", "views", "class"])
    header = ["Model", "Class", *titles, *(f"{MEASURES[name].title} (paper)" for name in printed)]
    rows = [[*header, "n"]]
    for row in table.to_dict("records"):
        kind = TASK_TITLES.get(row["class"], row["class"].capitalize())
        name = f"{architecture_title(row['architecture'])}, {VIEW_TITLES[row['views']]}"
        # By the granularity of its accuracies the paper's single-view row is a mean.
        views = {"single-mean": "single"}.get(row["views"], row["views"])
        key = (row["architecture"], views, row["class"])
        known = paper.loc[key] if key in paper.index else {}
        cells = [name, kind, *(f"{row[measure]:.4f}" for measure in MEASURES)]
        cells += [f"{known[measure]:.4f}" if measure in known else "" for measure in printed]
        rows.append([*cells, str(row["n"])])
    return rows


def table_1_text(
    table: pd.DataFrame,
    study: str,
    data_name: str,
    select_on: str,
    form: str = "markdown",
    trained: str = "",
) -> str:
    """Table I to be read: a title that names study and data, four decimals, a note.

    Parameters
    ----------
    table : from `mrnetlib.evaluation.table1.table_1`.
    study, data_name : the study and its exams, for the title. The paper's numbers stand
        beside only where `data_name` is MRNet (``MRNet`` or ``MRNet-v1.0``).
    select_on : the split that chose the best planes, for the note.
    form : ``markdown`` or ``html``.
    trained : a sentence on the seeds, for the note (`mrnetlib.evaluation.verdict.trained`).
    """
    forms = {"markdown": _markdown, "html": _html}
    if form not in forms:
        raise InputError(f"form '{form}': expected markdown or html.")
    with_paper = data_name.casefold() in ("mrnet", "mrnet-v1.0")
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
    return forms[form](title, _cells(table, with_paper), f"{note} {trained}".rstrip())


def _markdown(title: str, rows: list[list[str]], note: str) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    rule = "| --- | --- " + "| ---: " * (len(rows[0]) - 2) + "|"
    return "\n".join([f"**{title}**", "", lines[0], rule, *lines[1:], "", note, ""])


def _html(title: str, rows: list[list[str]], note: str) -> str:
    cells = [[html.escape(cell) for cell in row] for row in rows]
    head = "".join(f"<th>{cell}</th>" for cell in cells[0])
    body = "\n".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells[1:]
    )
    return (
        f"<table>\n<caption>{html.escape(title)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n<p>{html.escape(note)}</p>\n"
    )
