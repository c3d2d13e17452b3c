"""What the lab of notebook 09 asks, and what its differences answer, whichever way they come out.

A difference is called one where its interval leaves out zero and Holm's p is small, as in the
study's tables (`mrnetlib.evaluation.verdict`); where only the interval does, that is said.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from mrnetlib.evaluation.comparisons import holm, p_text, p_value
from mrnetlib.evaluation.verdict import standing

#: A way on a number of training exams, and what it is compared with.
Pair = tuple[tuple[str, int], tuple[str, int]]

#: What a comparison can come to, in the order in which they are counted.
YES, ALONE, OPEN = "yes", "yes by the interval alone", "open"
NO, NO_ALONE = "the other way round", "the other way round by the interval alone"

#: What `standing` gives, in words.
_FOUND = {(1, True): YES, (1, False): ALONE, (-1, True): NO, (-1, False): NO_ALONE}
_FOUND |= {(0, True): OPEN, (0, False): OPEN}

_UNCORRECTED = "not after Holm's correction"
_SAID = {
    YES: YES,
    ALONE: f"{ALONE}, {_UNCORRECTED}",
    OPEN: "cannot be told apart",
    NO: NO,
    NO_ALONE: f"{NO_ALONE}, {_UNCORRECTED}",
}


class Question(NamedTuple):
    """A question and the comparisons that answer it: yes where the first of a pair is ahead."""

    words: str
    pairs: list[Pair]


def asked(sizes: Sequence[int], few: int) -> list[Question]:
    """The lab's questions for these numbers of training exams."""
    least, most = min(sizes), max(sizes)

    def alike(first: str, second: str) -> list[Pair]:
        return [((first, size), (second, size)) for size in sizes]

    fewer = [(("probe", least), ("scratch", most))]
    fewer += [(("all", size), ("scratch", most)) for size in sizes if size < most]
    return [
        Question(
            "Does pretraining beat a start from scratch?",
            alike("all", "scratch") + alike("last", "scratch"),
        ),
        Question("Do all blocks beat the last one alone?", alike("all", "last")),
        Question("Do slower early blocks beat one rate for all?", [(("rates", few), ("all", few))]),
        Question(f"Does transfer on fewer exams beat scratch on {most}?", fewer),
    ]


def told(pair: Pair, titles: Mapping[str, str]) -> str:
    """A comparison in words, as in ``all blocks against scratch, 40 exams each``."""
    (first, exams), (second, others) = pair
    first, second = (titles[way].removeprefix("from ") for way in (first, second))
    if exams == others:
        return f"{first} against {second}, {exams} exams each"
    return f"{first} on {exams} exams against {second} on {others}"


def judged(
    claims: pd.DataFrame, questions: Sequence[Question], titles: Mapping[str, str], level: float
) -> pd.DataFrame:
    """The differences with what each comes to.

    Parameters
    ----------
    claims : from `mrnetlib.teaching.lab.compared`, of the questions' pairs in their order.

    Returns
    -------
    DataFrame with the columns question, row, difference, low, high, p, p_holm (over all rows) and
    found: one of `YES`, `ALONE`, `OPEN`, `NO` and `NO_ALONE`.
    """
    rows = [(one.words, told(pair, titles)) for one in questions for pair in one.pairs]
    table = claims.drop(columns="claim").assign(p_holm=holm(claims["p"]))
    table[["question", "row"]] = rows
    table["found"] = [
        _FOUND[standing(row.low, row.high, row.p_holm, 1 - level)] for row in table.itertuples()
    ]
    return table


def answered(table: pd.DataFrame) -> str:
    """A sentence for each question, whether it was borne out, and one for each comparison.

    Parameters
    ----------
    table : from `judged`.
    """
    lines = []
    for words, own in table.groupby("question", sort=False):
        counts = own["found"].value_counts()
        parts = [f"{found} in {counts[found]}" for found in _SAID if found in counts]
        one = f"{len(own)} comparison{'s' if len(own) > 1 else ''}"
        lines += [f"**{words}** {one}: {', '.join(parts)}.", ""]
        lines += [f"- {row.row}: {_SAID[row.found]}, {_number(row)}" for row in own.itertuples()]
        lines.append("")
    return "\n".join(lines).rstrip()


def _number(row: tuple) -> str:
    limits = f"{row.low:+.3f} to {row.high:+.3f}"
    return f"{row.difference:+.3f} ({limits}; {p_text(row.p)}, Holm's {p_value(row.p_holm)})"


def most_gained(claims: pd.DataFrame, sizes: Sequence[int]) -> str:
    """With how many exams pretraining gains most over scratch, in a sentence.

    Parameters
    ----------
    claims : from `mrnetlib.teaching.lab.compared`.
    """
    found = claims.set_index("claim")["difference"]
    gains = {n: found[f"all on {n} exams - scratch on {n}"] for n in sorted(sizes)}
    if len(gains) < 2:
        return "One number of exams says nothing about more or fewer."
    best, least = max(gains, key=gains.get), min(gains)
    steps = ", ".join(f"{gain:+.3f} with {size}" for size, gain in gains.items())
    verdict = "borne out" if best == least else f"not borne out, it is largest with {best}"
    return f"In the means ({steps} exams) this is {verdict}; the intervals say how sure that is."
