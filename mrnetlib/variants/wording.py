"""The choices of a study side by side: the closing table, and sentences that its tests allow."""

from collections.abc import Sequence

import pandas as pd

from mrnetlib.evaluation.comparisons import Comparison, holm, p_text, p_value


def summary(rows: Sequence[tuple[str, str, str, Comparison]]) -> pd.DataFrame:
    """The closing table: every choice with its test, corrected for their number.

    Parameters
    ----------
    rows : the choice, what it stands instead of, the number that is reported, the comparison.

    Returns
    -------
    DataFrame with the columns choice, instead_of, number, difference, low, high, p, p_holm, method.
    """
    names = ["choice", "instead_of", "number", *Comparison._fields]
    table = pd.DataFrame([[*row[:3], *row[3]] for row in rows], columns=names)
    table.insert(len(table.columns) - 1, "p_holm", holm(table["p"]))
    return table


def counted(table: pd.DataFrame, level: float = 0.95) -> str:
    """How many of a table's differences have a small p, alone and corrected for their number.

    Parameters
    ----------
    table : columns panel, row, difference and p.
    """
    corrected, limit = holm(table["p"]), 1 - level
    left = [
        f"{row.panel} ({row.row}, {row.difference:+.3f}, {p_text(p)})"
        for row, p in zip(table.itertuples(), corrected, strict=True)
        if p < limit
    ]
    return (
        f"In the table, {int((table['p'] < limit).sum())} of {len(table)} differences have "
        f"p < {limit:.2g} on their own, {len(left)} after Holm's correction"
        f"{': ' + '; '.join(left) if left else ''}."
    )


def in_words(choice: str, number: str, found, level: float = 0.95) -> str:
    """A sentence on a comparison, with the verdict that its test allows.

    Parameters
    ----------
    choice : the sentence's beginning, as in "Stopping on the test exams".
    number : what moves, as in "multi-view AUC".
    found : with difference, low, high and p: a `Comparison` or a row of a table.
    """
    if found.low == found.high == 0:
        return f"{choice}: the {number} does not move; no exam that it counts changes."
    moved = (
        f"{'higher' if found.difference > 0 else 'lower'}, which chance alone would seldom do"
        if found.p < 1 - level
        else "chance alone could do this"
    )
    return (
        f"{choice}: {number} {found.difference:+.3f} ({level:.0%} interval {found.low:+.3f} to "
        f"{found.high:+.3f}, {p_text(found.p)}): {moved}."
    )


def summary_text(table: pd.DataFrame, title: str, note: str, level: float = 0.95) -> str:
    """The closing table as Markdown, between a title and a note."""
    lines = [
        f"| Choice | Instead of | Number | Difference | {level:.0%} interval | p | p (Holm) |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in table.itertuples():
        limits = f"{row.low:+.3f} to {row.high:+.3f}"
        values = [f"{row.difference:+.3f}", limits, p_value(row.p), p_value(row.p_holm)]
        lines.append("| " + " | ".join([row.choice, row.instead_of, row.number, *values]) + " |")
    return "\n".join([f"**{title}**", "", *lines, "", note, ""])
