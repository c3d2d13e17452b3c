"""What several views bring over one, and what pretraining brings over none, with intervals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mrnetlib.evaluation.agreement import plain, read_note
from mrnetlib.evaluation.comparisons import holm
from mrnetlib.evaluation.metrics import seeded
from mrnetlib.evaluation.predictions import read_fused, read_predictions
from mrnetlib.evaluation.rows import every_row, rows, together
from mrnetlib.evaluation.table1 import compared, pairs_of_views, score
from mrnetlib.files import InputError

#: Columns of ``gain.csv`` and ``scratch.csv``.
GAIN = ["architecture", "class", "over", "gain", "low", "high", "covers"]
SCRATCH = ["architecture", "views", "pretrained", "scratch", "difference", "low", "high", "p"]
SCRATCH += ["p_holm", "covers"]

#: What has to be equal for two studies to tell what pretraining brings.
SAME = ("epochs", "patience", "learning_rate", "schedule", "batch_exams", "seeds", "once")

FROM_SCRATCH = " from scratch"


def gains(
    predictions: pd.DataFrame,
    fused: pd.DataFrame,
    select_on: str = "tune",
    measure: str = "auc",
    level: float = 0.95,
) -> pd.DataFrame:
    """Multi-view minus the best and the mean single plane, for ``gain.csv``.

    Parameters
    ----------
    predictions, fused, select_on : as for `mrnetlib.evaluation.rows.rows`.
    measure : an entry of `mrnetlib.evaluation.metrics.MEASURES`.
    level : coverage aimed at by each interval.

    Returns
    -------
    DataFrame with the columns architecture (each, and the mean over all), class (each, and the
    average), over (single-best or single-mean), gain (-1..1), low, high, and covers.
    """
    found = every_row(predictions, fused, select_on)
    pairs = pairs_of_views([*found, *together(found)])
    table = [
        (first.architecture, first.kind, second.views, *gain[:3], covers)
        for first, second, gain, covers in compared(pairs, measure, level)
    ]
    return pd.DataFrame(table, columns=GAIN)


def read_scratch(folder: Path, settings: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Single-view and fused predictions of the sister study that trained from scratch.

    Parameters
    ----------
    folder : its results.
    settings : the settings of the study that is compared with it.

    Raises
    ------
    InputError
        Where it is not there, was trained otherwise (`SAME`), or is no study of the same networks.
    """
    remedy = (
        f"Make it with 'python -m mrnetlib study {folder.name}', then "
        f"'python -m mrnetlib keep {folder.name}'."
    )
    if not (folder / "provenance.json").is_file():
        raise InputError(f"{folder.name}: has no finished results. {remedy}")
    its = read_note(folder / "provenance.json")["settings"]
    if "once" in its:  # of architectures that this study does not have nothing is compared
        its |= {"once": [one for one in its["once"] if one in settings["architectures"]]}
    for name in SAME:
        pair = [plain(own.get(name)) for own in (settings, its)]
        if name in settings and name in its and pair[0] != pair[1]:
            raise InputError(
                f"{folder.name}: was trained with {name} {pair[1]}, this study with {pair[0]}; "
                f"expected the same. {remedy}"
            )
    chosen = [settings["architectures"], settings["tasks"]]
    predictions = read_predictions(folder, chosen[0], settings["planes"], chosen[1])
    return predictions, read_fused(folder, *chosen)


def scratch(
    pretrained: tuple[pd.DataFrame, pd.DataFrame],
    bare: tuple[pd.DataFrame, pd.DataFrame],
    level: float = 0.95,
) -> pd.DataFrame:
    """What pretraining brings: mean AUC of a study minus that of the same one from scratch.

    Paired on the test exams; the seeds are not paired, for they draw other starts.

    Parameters
    ----------
    pretrained, bare : single-view and fused predictions of the two studies.

    Returns
    -------
    DataFrame with the columns `SCRATCH`, for ``scratch.csv``: per architecture and for their mean,
    multi-view and the mean of the single planes. ``p_holm`` is Holm's over all rows.

    Raises
    ------
    InputError
        Where the two studies do not hold the same test exams, or not as many seeds.
    """
    both = []
    for own, other in zip(pretrained, bare, strict=True):
        _refuse_other_counts(own, other)
        renamed = other.assign(architecture=other["architecture"] + FROM_SCRATCH)
        both.append(pd.concat([own, renamed], ignore_index=True))
    averages = [r for r in rows(*both) if r.kind == "average" and r.views != "single-best"]
    own = [row for row in averages if not row.architecture.endswith(FROM_SCRATCH)]
    others = [row for row in averages if row.architecture.endswith(FROM_SCRATCH)]
    pairs = list(zip([*own, *together(own)], [*others, *together(others)], strict=True))
    table = pd.DataFrame(
        [
            {"architecture": first.architecture, "views": first.views, "covers": covers}
            | {"pretrained": score(first, "auc").estimate}
            | {"scratch": score(second, "auc").estimate}
            | found._asdict()
            for first, second, found, covers in compared(pairs, "auc", level)
        ]
    )
    return table.assign(p_holm=holm(table["p"]))[SCRATCH]


def _refuse_other_counts(own: pd.DataFrame, other: pd.DataFrame) -> None:
    """Refuse studies of which one was trained with more seeds."""
    counts = [seeded(table).groupby("architecture")["seed"].nunique() for table in (own, other)]
    for name, count in counts[0].items():
        if counts[1].get(name) != count:
            raise InputError(
                f"{name}: {count} seeds, from scratch {counts[1].get(name, 0)}; expected as many. "
                "Run both studies with the same seeds."
            )


def none_from_scratch() -> pd.DataFrame:
    """The table of `scratch` without a row, where there is nothing to compare with."""
    return pd.DataFrame(columns=SCRATCH)
