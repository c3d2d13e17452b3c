"""The choices of a study side by side: the closing table, and sentences that its tests allow."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mrnetlib.comparisons import Comparison, holm
from mrnetlib.reruns import Score, difference, equal_seeds


def best_seed(found: Score, level: float = 0.95) -> Comparison:
    """The seed that is best on the test exams against the mean of all, on the same exams.

    The interval is that of the two as if they had been fixed beforehand; p is that of
    `mrnetlib.reruns.equal_seeds`.
    """
    best = int(np.argmax(found.estimates))
    one = Score(found.estimates[[best]], found.share[:, [best]])
    mean = Score(found.estimates.mean(keepdims=True), found.share.mean(axis=1, keepdims=True))
    # Which seed is best was seen on these exams; whether they differ at all is a fair question.
    return difference(one, mean, level)._replace(p=equal_seeds(found), method="all seeds equal")


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


def p_text(p: float) -> str:
    """A p-value to be read: ``p = 0.03``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2f}" if p >= 0.01 else f"p = {p:.3f}"


def in_words(choice: str, number: str, found, level: float = 0.95) -> str:
    """A sentence on a comparison, with the verdict that its test allows.

    Parameters
    ----------
    choice : the sentence's beginning, as in "Stopping on the test exams".
    number : what moves, as in "multi-view AUC".
    found : with difference, low, high and p: a `Comparison` or a row of a table.
    """
    if found.low == found.high == 0:
        return f"{choice}: the {number} does not move; no exam is ranked or called differently."
    moved = (
        f"{'higher' if found.difference > 0 else 'lower'}, which chance alone would seldom do"
        if found.p < 1 - level
        else "chance alone could do this"
    )
    return (
        f"{choice}: {number} {found.difference:+.3f} ({level:.0%} interval {found.low:+.3f} to "
        f"{found.high:+.3f}, {p_text(found.p)}): {moved}."
    )


def summary_text(table: pd.DataFrame, title: str, note: str) -> str:
    """The closing table as Markdown, between a title and a note."""
    lines = [
        "| Choice | Instead of | Number | Difference | 95 % interval | p | p (Holm) |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in table.itertuples():
        limits = f"{row.low:+.3f} to {row.high:+.3f}"
        values = [f"{row.difference:+.3f}", limits, f"{row.p:.3f}", f"{row.p_holm:.3f}"]
        lines.append("| " + " | ".join([row.choice, row.instead_of, row.number, *values]) + " |")
    return "\n".join([f"**{title}**", "", *lines, "", note, ""])
