"""Evidence held against the truth: how much of it lies in the lesion, and beside what controls.

For an exam with a positive label and a plane that shows its lesion, three numbers: which share of
the evidence *for* the finding (the positive places) lies inside the lesion's mask; whether the
strongest place touches the lesion (the pointing game, Zhang et al. 2018); whether the slice with
the most evidence shows it. Controls say what such a number is worth (Adebayo et al. 2018, "Sanity
Checks for Saliency Maps"): what a dart would hit, what networks say that have learned nothing, and
what Grad-CAM says of the same network.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from mrnetlib.evaluation.scores import Score, against_zero, limits, minus, plus
from mrnetlib.names import TASK_TITLES
from mrnetlib.phantom.lesions import LESIONS
from mrnetlib.reading.evidence import Evidence

#: The lesions that a task is about; all kinds of them where it names none.
LESIONS_OF = {"acl": ("ACL tear",), "meniscus": ("meniscus tear",)}

#: What is measured, and its words.
MEASURES = {
    "inside": "share of the evidence inside the lesion",
    "pointing": "the strongest place touches the lesion",
    "slice": "the slice with the most evidence shows the lesion",
}

#: Where numbers come from besides the network's evidence, and the words for it.
EVIDENCE = "evidence"
CONTROLS = {
    "chance": "chance",
    "untrained": "an untrained network",
    "shuffled": "a network trained on shuffled labels",
    "grad_cam": "Grad-CAM of the same network",
}

#: What a row of a table of scores belongs to, besides its exam.
KEYS = ["task", "plane", "architecture", "seed", "source"]

#: Where a table's row is about all planes or architectures together.
ALL = "all"


class Hit(NamedTuple):
    """How evidence meets a lesion: each 0..1, see `MEASURES`."""

    inside: float
    pointing: float
    slice: float


def lesion_of(mask: np.ndarray, task: str) -> np.ndarray:
    """Where the lesions are that a task is about: a mask of codes (S, H, W) as bool."""
    kinds = LESIONS_OF.get(task)
    return mask > 0 if kinds is None else np.isin(mask, [LESIONS[kind] for kind in kinds])


def touched(evidence: Evidence, lesion: np.ndarray) -> np.ndarray:
    """Which places of the evidence's grid (S, h, w) hold a pixel of the lesion (S, H, W)."""
    return evidence.summed(lesion.astype(np.float64)) > 0


def score(evidence: Evidence, lesion: np.ndarray) -> Hit:
    """How the evidence for a finding meets its lesion; 0 where there is no evidence for it.

    Parameters
    ----------
    lesion : bool (S, H, W) of the same exam and plane, not empty.
    """
    found = replace(evidence, shares=evidence.shares.clip(min=0))
    total = float(found.shares.sum(dtype=np.float64))
    if total <= 0:
        return Hit(0.0, 0.0, 0.0)
    strongest = np.unravel_index(found.shares.argmax(), found.shares.shape)
    return Hit(
        float(found.on_pixels()[lesion].sum(dtype=np.float64)) / total,
        float(touched(found, lesion)[strongest]),
        float(lesion[evidence.of_slices().argmax()].any()),
    )


def by_chance(evidence: Evidence, lesion: np.ndarray) -> Hit:
    """What evidence would score that is spread evenly, or points anywhere, on the same grid."""
    return Hit(
        float(lesion.mean()),
        float(touched(evidence, lesion).mean()),
        float(lesion.any(axis=(1, 2)).mean()),
    )


def _values(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A measure of one source, a row per exam and a column per architecture and seed.

    Planes that show the lesion are averaged, and so are networks that do not belong to one seed.
    """
    return table.pivot_table(measure, "exam", ["architecture", "seed"])


def pooled(values: pd.DataFrame) -> Score:
    """The mean over exams and architectures, with its parts; see `mrnetlib.evaluation.scores`.

    Parameters
    ----------
    values : a row an exam, a column (architecture, seed).
    """
    names = list(dict.fromkeys(values.columns.get_level_values("architecture")))
    total = None
    for name in names:
        own = values[name].to_numpy()  # (E, S)
        mean, count = own.mean(axis=1), len(own)
        share = (mean - mean.mean()) / count * np.sqrt(count / max(count - 1, 1))
        one = Score({name: own.mean(axis=0) / len(names)}, share / len(names))
        total = one if total is None else plus(total, one)
    return total


def compared(table: pd.DataFrame, measure: str, level: float = 0.95) -> list[dict]:
    """The evidence's mean over exams, and what each control is below it, with intervals.

    Parameters
    ----------
    table : scores with the columns exam, architecture, seed, source and the measures, of one task
        and any planes; every source on the same exams.

    Returns
    -------
    A row for the evidence and each control: source, exams, estimate, low, high; and ``above``,
    ``above_low``, ``above_high``: the evidence minus the control, paired by exam. Intervals cover
    the exams and, where there are several, the seeds.
    """
    by_source = {name: _values(own, measure) for name, own in table.groupby("source", sort=False)}
    evidence, rows = by_source[EVIDENCE], []
    for source in [name for name in (EVIDENCE, *CONTROLS) if name in by_source]:
        values = by_source[source]
        names = values.columns.get_level_values("architecture")
        same = evidence.loc[:, evidence.columns.get_level_values("architecture").isin(names)]
        found = pooled(values)
        low, high = limits(found, level) or (found.estimate, found.estimate)
        row = {"source": source, "exams": len(values), "networks": values.shape[1]}
        row |= {"estimate": found.estimate, "low": low, "high": high}
        if source != EVIDENCE:
            gap = minus(pooled(same), found)
            tested = against_zero(gap, "exams", level)
            ends = tested[1:3] if tested else (gap.estimate, gap.estimate)
            row |= {"above": gap.estimate, "above_low": ends[0], "above_high": ends[1]}
        rows.append(row)
    return rows


def summary(table: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """`compared` for every task, measure, plane and architecture, and for all of them together."""
    rows = []
    for task, of_task in table.groupby("task", sort=False):
        for plane in (ALL, *dict.fromkeys(of_task["plane"])):
            for architecture in (ALL, *dict.fromkeys(of_task["architecture"])):
                own = _of(_of(of_task, "plane", plane), "architecture", architecture)
                keys = {"task": task, "plane": plane, "architecture": architecture}
                for measure in MEASURES:
                    found = compared(own, measure, level)
                    rows += [keys | {"measure": measure} | row for row in found]
    return pd.DataFrame(rows)


def _of(table: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    return table if value == ALL else table[table[column] == value]


def verdict(rows: pd.DataFrame) -> str:
    """What intervals allow to be said of one cell of `summary`: in a sentence.

    Parameters
    ----------
    rows : one task, plane, architecture and measure.
    """
    own = rows[rows["source"] == EVIDENCE].iloc[0]
    controls = rows[rows["source"] != EVIDENCE]
    told = {
        "clearly above": controls[controls["above_low"] > 0]["source"],
        "clearly below": controls[controls["above_high"] < 0]["source"],
    }
    rest = set(controls["source"]) - set(told["clearly above"]) - set(told["clearly below"])
    told["not told apart from"] = [name for name in controls["source"] if name in rest]
    parts = [f"{words} {_listed(names)}" for words, names in told.items() if len(names)]
    return f"{own['estimate']:.0%} ({own['low']:.0%} to {own['high']:.0%}): {'; '.join(parts)}."


def answer(table: pd.DataFrame) -> str:
    """Whether the evidence for each task lies in its lesion clearly above all controls, in words.

    Parameters
    ----------
    table : as `summary` gives it; what is said is about all planes and architectures together.
    """
    together = table[(table["plane"] == ALL) & (table["architecture"] == ALL)]
    lines, equal = [], False
    for task, of_task in together.groupby("task", sort=False):
        above, rest = [], []
        for measure, rows in of_task.groupby("measure", sort=False):
            beaten = rows["above_low"] > 0
            left = rows[(rows["source"] != EVIDENCE) & ~beaten]["source"]
            equal |= "grad_cam" in set(left)
            if left.empty:
                above.append(f"*{measure}*")
            else:
                rest.append(f"in *{measure}* it is not clearly above {_listed(left)}")
        where = _and(above) if above else "none of the measures"
        parts = [f"the evidence is clearly above all controls in {where}", *rest]
        lines.append(f"- **{TASK_TITLES.get(task, task)}**: {'; '.join(parts)}.")
    if equal:
        lines.append(
            "\nThat Grad-CAM is not beaten has a reason: where a network's last map goes straight "
            "into the average, it is the positive part of the very same shares."
        )
    return "\n".join(lines)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _listed(names: Iterable[str]) -> str:
    return _and([CONTROLS[name] for name in names])
