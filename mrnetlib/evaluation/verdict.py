"""What the tables say, in words that follow from the tests and never say more than they do.

Every function returns Markdown. A difference is called one where its interval leaves out zero and
Holm's p is below 0.05; where only the interval does, that is said; else it is open.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mrnetlib.evaluation.comparisons import p_value
from mrnetlib.evaluation.metrics import MEASURES, seeded
from mrnetlib.evaluation.rows import ALL
from mrnetlib.names import PLANE_TITLES, TASK_TITLES, architecture_title

#: Holm's p below which a difference is called one.
CLEAR = 0.05

#: A sensitivity or specificity below this says that a model calls nearly all exams alike.
LOW = 0.20

#: The brightness baseline's name beside the networks.
BRIGHTNESS = "brightness, no network"

SINGLE = {"single-best": "the chosen single plane", "single-mean": "the mean single plane"}

#: What is compared with its like from scratch.
VIEWS = {"multi": "several views", "single-mean": "mean single plane"}


def trained(predictions: pd.DataFrame) -> str:
    """How often every network was trained, and what the numbers are therefore."""
    seeds = seeded(predictions).groupby("architecture", sort=False)["seed"].nunique()
    if (seeds == 1).all():
        return (
            "Every network was trained once: the intervals cover the choice of the test exams, not "
            "that another seed gives other networks."
        )
    if seeds.nunique() == 1:
        return f"Every network was trained with {seeds.iloc[0]} seeds; numbers are their means."
    counts = ", ".join(f"{architecture_title(name)} {count}" for name, count in seeds.items())
    return (
        f"Seeds of each network: {counts}. Numbers are means over them; where there is one seed, "
        "its luck is in no interval."
    )


def _interval(row: Mapping[str, Any]) -> str:
    p = p_value(row["p_holm"])
    p = p if p.startswith("<") else f"= {p}"
    limits = f"95 % interval {row['low']:+.3f} to {row['high']:+.3f}"
    return f"{row['difference']:+.3f}, {limits}, Holm's p {p}"


def standing(low: float, high: float, p_holm: float, clear: float = CLEAR) -> tuple[int, bool]:
    """The sign of a difference that its interval tells from none, else 0, and whether it stands
    after Holm's correction: the rule at the module's head."""
    return int(low > 0) - int(high < 0), p_holm < clear


def _judged(row: Mapping[str, Any], verbs: tuple[str, str], other: str) -> str:
    """Whether a difference is one; `verbs` are better, worse."""
    sign, stands = standing(row["low"], row["high"], row["p_holm"])
    if not sign:
        return f"cannot be told from {other}"
    verb = verbs[0] if sign > 0 else verbs[1]
    if stands:
        return f"**{verb}** {other}"
    return f"{verb} {other} by the interval alone, not after Holm's correction"


def _title(architecture: str) -> str:
    return (
        "Mean over the architectures" if architecture == ALL else architecture_title(architecture)
    )


def several_views(tests: pd.DataFrame) -> str:
    """Whether several views beat the chosen and the mean plane, per architecture and over all.

    Parameters
    ----------
    tests : from `mrnetlib.evaluation.table1.table_1_comparisons`, on the AUC.
    """
    lines = []
    for view, words in SINGLE.items():
        for row in tests[tests["second"].str.endswith(f" {view}")].to_dict("records"):
            name = row["second"].removesuffix(f" {view}")
            found = _judged(row, ("beat", "are worse than"), words)
            lines.append(f"- {_title(name)}: several views {found} ({_interval(row)}).")
    counted = _counted(tests, ": these, and those of the architectures with one another")
    return "\n".join([*lines, "", counted])


def _counted(tests: pd.DataFrame, which: str) -> str:
    """How many comparisons Holm's correction allows for."""
    return f"Holm's correction counts {len(tests)} comparisons{which}."


def pretraining(table: pd.DataFrame) -> str:
    """Whether pretraining beats scratch, per architecture and over all.

    Parameters
    ----------
    table : from `mrnetlib.evaluation.gains.scratch`.
    """
    lines = []
    for view, words in VIEWS.items():
        for row in table[table["views"] == view].to_dict("records"):
            found = _judged(row, ("beats", "is worse than"), "scratch")
            name = f"{_title(row['architecture'])}, {words}"
            lines.append(f"- {name}: pretraining {found} ({_interval(row)}).")
    return "\n".join([*lines, "", _counted(table, "")])


def low_rates(
    table: pd.DataFrame, fused: pd.DataFrame, fitted_on: Sequence[str], threshold: float = 0.5
) -> str:
    """Which multi-view rows call nearly all exams alike at the threshold, and why.

    Parameters
    ----------
    table : from `mrnetlib.evaluation.table1.table_1`.
    fused : the fused predictions of all splits.
    fitted_on : the splits on whose exams the fusion was fitted.
    """
    lines = []
    for row in table[(table["views"] == "multi") & (table["class"] != "average")].to_dict(
        "records"
    ):
        for measure in ("sensitivity", "specificity"):
            if row[measure] < LOW:
                lines.append(f"- {_low_rate(row, measure, fused, fitted_on, threshold)}")
    if not lines:
        return (
            f"No multi-view row has a sensitivity or specificity below {LOW:.2f} at {threshold:g}."
        )
    why = (
        f"Low is below {LOW:.2f}. Where the rate is low on the fitted exams already, the share "
        "of positive exams decides: the regression's penalty holds the weights of the planes "
        "small, so that its probabilities stay near that share, on one side of the threshold. "
        "Where it is low on the test exams only, the networks had learned from the fitted "
        "exams, and part the classes further there than on new ones. The order of the exams, "
        "and with it the AUC, does not suffer; the threshold does."
    )
    return "\n".join([*lines, "", why])


def _low_rate(
    row: Mapping[str, Any],
    measure: str,
    fused: pd.DataFrame,
    fitted_on: Sequence[str],
    threshold: float,
) -> str:
    own = fused[(fused["architecture"] == row["architecture"]) & (fused["task"] == row["class"])]
    fitted, test = own[own["split"].isin(fitted_on)], own[own["split"] == "test"]
    title = f"{architecture_title(row['architecture'])}, {TASK_TITLES[row['class']]}"
    called = (test["probability"] >= threshold).mean()
    words = f"{title}: {MEASURES[measure].title.lower()} {row[measure]:.2f}; "
    words += f"{called:.0%} of the test exams are called positive, {test['label'].mean():.0%} are. "
    if fitted.empty:
        return words.rstrip()
    there = MEASURES[measure].estimate(fitted["label"], fitted["probability"])
    apart = [_apart(part) for part in (fitted, test)]
    already = "low already" if there < LOW else "not low"
    return words + (
        f"On the exams that the regression was fitted on it is {there:.2f}, {already}; "
        f"{fitted['label'].mean():.0%} of them are positive, and the mean probabilities of the two "
        f"classes lie {apart[0]:.2f} apart there, on the test exams {apart[1]:.2f}."
    )


def _apart(table: pd.DataFrame) -> float:
    """Mean probability of the positive exams minus that of the negative ones."""
    means = table.groupby("label")["probability"].mean()
    return float(means.get(1, 0.0) - means.get(0, 0.0))


def with_baseline(single: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """The single networks' table and below it the brightness baseline, which has an AUC only.

    Parameters
    ----------
    single : from `mrnetlib.evaluation.metrics.single_view`.
    baseline : columns plane, task, auc, as in ``baseline.csv``.
    """
    rows = baseline.rename(columns={"task": "class"}).assign(architecture=BRIGHTNESS)
    rows = rows[rows["plane"].isin(single["plane"]) & rows["class"].isin(single["class"])]
    return pd.concat([single, rows.reindex(columns=single.columns)], ignore_index=True)


def against_baseline(single: pd.DataFrame, baseline: pd.DataFrame) -> str:
    """How many networks beat the brightness of their slices, and which do not."""
    both = single.merge(
        baseline.rename(columns={"task": "class"}), on=["plane", "class"], suffixes=("", "_plain")
    )
    beaten = both["auc"] > both["auc_plain"]
    words = f"{int(beaten.sum())} of {len(both)} networks have a higher AUC than the brightness of "
    words += "their slices without a network"
    if beaten.all():
        return f"{words}."
    names = [
        f"{architecture_title(row['architecture'])} {PLANE_TITLES[row['plane']].lower()} "
        f"{TASK_TITLES[row['class']]} ({row['auc']:.2f} against {row['auc_plain']:.2f})"
        for row in both[~beaten].to_dict("records")
    ]
    return f"{words}. Not: {'; '.join(names)}."
