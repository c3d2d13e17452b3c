"""How far two files of results agree: a run's and the one that was kept.

Another processor rounds otherwise, and a training grows a rounding into another network. So a table
is compared cell by cell, each number within a tolerance of the study's settings; of predictions the
AUC is compared and not each exam's probability; and a picture has only to be there.
"""

from collections.abc import Iterable
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mrnetlib.evaluation.metrics import MEASURES
from mrnetlib.evaluation.roc import auc
from mrnetlib.files import InputError, read_json
from mrnetlib.settings import DRAWING, KEYS, VERIFY, Settings, keys_of

#: Differences that are rounding, where numbers follow from the labels alone.
ROUNDING = 1e-9

#: Columns whose numbers tell rows apart.
KEY_NUMBERS = ("seed", "fold", "slices")

#: Columns that are what the exams and the settings make them, on any machine.
FIXED = ("n", "exams", "train_exams", "seeds", "observed", "brier_of_share")

#: AUCs, what is like a rate of exams, and differences of two of them, besides Table I's measures.
AREAS = ("pretrained", "scratch", "first", "second")
SHARES = ("brier", "predicted")
DIFFERENCES = ("difference", "gain", "low", "high")

#: Columns whose numbers are shown and not judged: they have no scale of their own, or follow from
#: numbers that are judged.
SHOWN = ("intercept", "seconds", "epochs", "kept_epoch", "p", "p_holm")

#: Tuning exams are few: their AUC may differ by so many times the tolerance.
TUNING = 2

#: Text that follows from numbers, and so tells no rows apart.
REMARKS = ("method", "covers")

REMEDY = (
    "Take the file out and make it again: by 'make study', or from git where it is the kept one."
)


class Found(NamedTuple):
    """What a comparison of two files came to: ``within``, ``outside`` or ``exists``, and why."""

    verdict: str
    note: str = ""
    share: float = 0.0  # of the tolerance that is used up


def read_table(path: Path) -> pd.DataFrame:
    """A CSV with all its values as text; an `InputError` that names a file that is none."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable CSV ({error}). {REMEDY}") from None


def limit(column: str, level: str, settings: Settings) -> float | None:
    """How far the numbers of a column may differ: infinitely far where they are only shown, None
    where nothing says it.

    Parameters
    ----------
    level : ``table`` for means over seeds, ``single`` for one network, ``baseline`` where no
        network is trained, ``choices`` for what variants of few networks move, AUCs or rates;
        ``shown`` for tables that are not judged at all.
    """
    if column in FIXED:
        return ROUNDING
    name = column.removesuffix("_low").removesuffix("_high")
    if level == "shown" or name in SHOWN:
        return inf
    # Both ends of a difference or of an interval move.
    times = 2 if name != column or name in DIFFERENCES else 1
    if name not in (*MEASURES, *AREAS, *SHARES, *DIFFERENCES):
        return None
    decided = name in SHARES or (name in MEASURES and MEASURES[name].decides)
    key = f"tolerance_{level}_rate" if decided else f"tolerance_{level}"
    key = "tolerance_single_rate" if level == "choices" else key
    return times * getattr(settings, key) + ROUNDING if key in KEYS else None


def _numbers(column: pd.Series) -> pd.Series | None:
    """A column as floats, NaN where it is empty or holds NaN; None for words."""
    empty = column.str.strip().str.casefold().isin(("", "nan"))
    numbers = pd.to_numeric(column.where(~empty), errors="coerce")
    return None if empty.all() or numbers[~empty].isna().any() else numbers.astype(float)


def _paired(ours: pd.DataFrame, kept: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, str]:
    """Rows side by side (``_x`` and ``_y``) and, where one has no counterpart, which."""
    tables = [table.assign(_times=table.groupby(keys).cumcount()) for table in (ours, kept)]
    both = tables[0].merge(tables[1], how="outer", on=[*keys, "_times"], indicator=True)
    for side, words in (("right_only", "missing"), ("left_only", "new")):
        odd = both[both["_merge"] == side]
        if len(odd):
            row = " ".join(odd.iloc[0][keys])
            return both, f"{len(odd)} of the rows {words}, first: {row}"
    return both, ""


def cells(ours: Path, kept: Path, settings: Settings, level: str) -> Found:
    """Two tables, row by row as their words and seeds tell, every number within its tolerance."""
    ours, kept = read_table(ours), read_table(kept)
    if list(ours) != list(kept):
        return Found("outside", f"columns {','.join(ours)} instead of {','.join(kept)}")
    numeric = [
        name for name in kept if name not in KEY_NUMBERS and _numbers(kept[name]) is not None
    ]
    keys = [name for name in kept if name not in (*numeric, *REMARKS)]
    both, odd = _paired(ours, kept, keys)
    if odd:
        return Found("outside", odd)
    worst = [_column(both, name, keys, limit(name, level, settings)) for name in numeric]
    return _all_of(worst)


def _all_of(parts: Iterable[Found]) -> Found:
    """All that is outside or, where nothing is, what comes nearest to its tolerance."""
    parts = list(parts)
    outside = [part for part in parts if part.verdict == "outside"]
    if outside:
        return Found("outside", "; ".join(part.note for part in outside))
    return max(parts, key=lambda part: part.share, default=Found("within", "no number in it"))


def _column(both: pd.DataFrame, name: str, keys: list[str], most: float | None) -> Found:
    """The numbers of one column of a pairing."""
    if most is None:
        return Found("outside", f"no tolerance is known for the column {name}")
    ours, kept = (_numbers(both[f"{name}_{side}"]) for side in "xy")
    if ours is None or (ours.isna() != kept.isna()).any():
        return Found("outside", f"{name} is not a number where the other is one")
    apart = (ours - kept).abs().where(ours != kept, 0.0).fillna(0.0)
    place = apart.idxmax()
    if apart[place] == 0:
        return Found("within")
    where = f" ({' '.join(both.loc[place, keys])})" if keys else ""
    told = f"{name} differs by {apart[place]:.3g}{where}"
    if most == inf and np.isfinite(apart[place]):
        return Found("within", f"{told}, not judged", 1e-9)  # said if nothing is judged
    verdict = "within" if apart[place] <= most and np.isfinite(apart[place]) else "outside"
    return Found(verdict, f"{told}, tolerance {most:.3g}", apart[place] / most)


def aucs(ours: Path, kept: Path, settings: Settings) -> Found:
    """Two files of predictions: the same exams, splits, labels and seeds, and per group of them an
    AUC within ``tolerance_single``, on the few tuning exams within twice that; how far
    probabilities differ is shown."""
    ours, kept = read_table(ours), read_table(kept)
    if sorted(ours) != sorted(kept) or not {"exam", "split", "label", "probability"} <= set(kept):
        return Found("outside", f"columns {','.join(ours)} instead of {','.join(kept)}")
    keys = [name for name in kept if name != "probability"]
    both, odd = _paired(ours, kept, keys)
    if odd or both.empty:
        return Found("outside", odd or "no exam in it")
    values = [_numbers(both[name]) for name in ("probability_x", "probability_y", "label")]
    if any(value is None or not value.between(0, 1).all() for value in values):
        return Found("outside", "a probability or label is no number from 0 to 1")
    both = both.assign(**dict(zip(("ours", "kept", "label"), values, strict=True)))
    groups = [name for name in keys if name not in ("exam", "label")]
    most = settings.tolerance_single
    found = []
    for name, group in both.groupby(groups):
        apart, where = _areas(name, group)
        found.append((apart / (TUNING * most if "tune" in name else most), apart, where))
    used, apart, where = max(found)
    shift = (both["ours"] - both["kept"]).abs()
    note = (
        f"AUC differs by {apart:.3f} ({where}), tolerance {apart / used if used else most:.3g}; "
        f"probabilities by {shift.mean():.3f} on average, {shift.max():.3f} at most"
    )
    return Found("within" if used <= 1 + ROUNDING else "outside", note)


def _areas(name: tuple[str, ...], group: pd.DataFrame) -> tuple[float, str]:
    """How far the AUCs of one split and seed are apart; 0 where one class leaves none."""
    words = " ".join(name)
    if group["label"].nunique() < 2:
        return 0.0, f"{words}, of one class"
    return abs(auc(group["label"], group["ours"]) - auc(group["label"], group["kept"])), words


def histories(ours: Path, kept: Path, settings: Settings) -> Found:
    """Two training curves, loosely: where a training stopped may differ, the tuning AUC of the
    epoch that was kept only by twice ``tolerance_single``."""
    tables = [read_table(path) for path in (ours, kept)]
    if list(tables[0]) != list(tables[1]) or not {"epoch", "best", "tune_auc"} <= set(tables[1]):
        return Found("outside", f"columns {','.join(tables[0])} instead of {','.join(tables[1])}")
    tables = [table if "seed" in table else table.assign(seed="0") for table in tables]
    ours, kept = (table.apply(pd.to_numeric, errors="coerce") for table in tables)
    spoilt = np.isfinite(kept).all() & ~np.isfinite(ours).all()
    if spoilt.any():
        return Found("outside", f"{spoilt.idxmax()} is not a number where the other is one")
    best = [table[table["best"] == 1].set_index("seed") for table in (ours, kept)]
    if list(best[0].index) != list(best[1].index) or not best[1].index.is_unique or best[1].empty:
        return Found("outside", "not the same seeds, or not one epoch that is kept of each")
    apart = (best[0]["tune_auc"] - best[1]["tune_auc"]).abs().fillna(0)
    epochs = [" ".join(f"{epoch:g}" for epoch in table["epoch"]) for table in best]
    note = (
        f"tuning AUC of the kept epoch differs by {apart.max():.3f}, tolerance "
        f"{TUNING * settings.tolerance_single:g}"
    )
    if epochs[0] != epochs[1]:
        note += f"; epoch {epochs[0]} is kept instead of {epochs[1]}"
    inside = apart.max() <= TUNING * settings.tolerance_single + ROUNDING
    return Found("within" if inside else "outside", note)


def existence(ours: Path, kept: Path, settings: Settings) -> Found:
    """A picture or a page: that both are there is all that is compared."""
    return Found("exists", "compared by existence only")


def studies(ours: Path, kept: Path, settings: Settings, *without: str) -> Found:
    """Two notes of a run: the same settings, on whatever machine, with whatever versions."""
    odd = other_settings(*(read_note(path)["settings"] for path in (ours, kept)), *without)
    return Found("outside", f"another study file: {odd}") if odd else Found("within", "settings")


def read_note(path: Path) -> dict[str, Any]:
    """A ``provenance.json``; an `InputError` for a file that is none."""
    try:
        note = read_json(path)
    except OSError as error:
        raise InputError(f"{path}: could not be read ({error.strerror}). {REMEDY}") from None
    if not isinstance(note, dict) or not isinstance(note.get("settings"), dict):
        raise InputError(f"{path}: no settings in it, expected what a run writes. {REMEDY}")
    return note


def other_settings(ours: dict[str, Any], kept: dict[str, Any], *without: str) -> str:
    """Which settings of two runs differ, in words; one that a run did not know had its default.

    Captions and tolerances do not count, nor what the steps `without` read.
    """
    uncounted = {name for step in (DRAWING, VERIFY, *without) for name in keys_of(step)}
    defaults = {name: plain(value) for name, value in asdict(Settings()).items()}
    first, second = (
        defaults | {name: plain(value) for name, value in own.items()} for own in (ours, kept)
    )
    names = [name for name in first | second if name not in uncounted | {"exams_folder"}]
    odd = [name for name in names if first.get(name) != second.get(name)]
    return ", ".join(f"{name} {first.get(name)} instead of {second.get(name)}" for name in odd)


def plain(value: Any) -> Any:
    """A setting as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value
