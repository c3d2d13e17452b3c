"""The same knee without one of its lesions: what a network says of it then.

A digital knee can be imaged again with the same scanner and noise and one kind of lesion left out.
What changes between the two exams is that lesion and nothing else, so the change of a probability
is what the lesion was worth to the network: an experiment, where evidence is an account.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mrnetlib import fusion
from mrnetlib.evaluation.scores import against_zero
from mrnetlib.exams import intensity
from mrnetlib.exams.banks import ExamBank, bank_path, write_bank
from mrnetlib.exams.intake import claim
from mrnetlib.files import InputError, code_digest
from mrnetlib.names import TASKS
from mrnetlib.parallel import each
from mrnetlib.phantom.cohort import describe_exam, make_exam, protocol_of
from mrnetlib.phantom.writer import to_uint8
from mrnetlib.reading.scores import ALL, LESIONS_OF, pooled
from mrnetlib.settings import Settings
from mrnetlib.study import Study

#: The banks' split and folder, and the folder in ``data/<study>`` that it lies in.
REMOVED, FOLDER = "removed", "looks"

#: What a row of `pairs` belongs to.
KEYS = ["exam", "kind", "severity", "architecture", "seed"]


class Without(NamedTuple):
    """An exam, its labels, and the lesion that is left out: its kind and how severe it is."""

    exam: str
    labels: dict[str, int]
    kind: str
    severity: float

    @property
    def name(self) -> str:
        """Of the exam in a bank."""
        return f"{self.exam} without {self.kind}"


def lesions_to_remove(exams: pd.DataFrame, settings: Settings) -> list[Without]:
    """Every kind of lesion of every exam; of several of a kind the severest counts.

    Parameters
    ----------
    exams : rows of ``exams.csv``: exam, and a column for each task.
    """
    protocol, found = protocol_of(settings), []
    for row in exams.itertuples():
        labels = {task: int(getattr(row, task)) for task in TASKS}
        _, lesions = describe_exam(row.exam, labels, protocol, settings.seed)
        for kind in dict.fromkeys(lesion.kind for lesion in lesions):
            severity = max(lesion.severity for lesion in lesions if lesion.kind == kind)
            found.append(Without(row.exam, labels, kind, severity))
    return found


def _imaged(task: tuple) -> dict[str, np.ndarray]:
    """One exam as its networks see it, by plane: uint8 (S, H, W) on the study's grey scale."""
    exam, labels, kind, settings, landmarks = task
    made = make_exam(exam, labels, protocol_of(settings), settings.seed, kind)
    raw = settings.phantom_format == "mrnet"
    return {
        plane: intensity.apply(to_uint8(volume) if raw else volume, landmarks[plane])
        for plane, volume in made.volumes.items()
    }


def image_again(study: Study, wanted: list[Without], workers: int | None = None) -> Path:
    """Image exams without a lesion, into banks of the split `REMOVED`; those that are there stay.

    Returns
    -------
    The banks' folder, ``data/<study>/looks/removed``.

    Raises
    ------
    InputError
        Where the exam *with* its lesion does not come out as the study's own: its exams are then of
        another phantom, and there is nothing to compare.
    """
    folder, settings = study.data / FOLDER / REMOVED, study.settings
    landmarks = intensity.load(study.data / "landmarks.json")
    _check_first(study, wanted[0], landmarks)
    phantom = Path(fusion.__file__).parent / "phantom"
    made_of = {"exams": [one.name for one in wanted], "seed": settings.seed}
    made_of |= {"grey scale": {plane: one.standard for plane, one in landmarks.items()}}
    made_of |= {"code": code_digest(phantom, Path(intensity.__file__))}
    claim(study.data / FOLDER / f"{REMOVED}.json", made_of, [folder])
    paths = [bank_path(folder, REMOVED, plane) for plane in settings.planes]
    if all(path.with_suffix(".json").is_file() for path in paths):
        return folder
    tasks = [(one.exam, one.labels, one.kind, settings, landmarks) for one in wanted]
    volumes = list(each(_imaged, tasks, workers, "exams without a lesion"))
    rows = pd.DataFrame([{"exam": one.name, **one.labels} for one in wanted])
    for plane in settings.planes:
        of_plane = [volume[plane] for volume in volumes]
        counted = rows.assign(**{f"slices_{plane}": [len(volume) for volume in of_plane]})
        write_bank(folder, REMOVED, plane, counted, of_plane)
    return folder


def _check_first(study: Study, one: Without, landmarks: dict) -> None:
    again = _imaged((one.exam, one.labels, None, study.settings, landmarks))
    for plane in study.settings.planes:
        bank = ExamBank.open(study.banks, "test", plane)
        kept = bank.exam(bank.exams.index(one.exam)).numpy()
        if not np.array_equal(kept, again[plane]):
            raise InputError(
                f"exam {one.exam}, {plane}: imaged again with its lesions it is not the study's "
                f"own. Its exams are of another phantom; run 'make study STUDY={study.name}'."
            )


def pairs(said: pd.DataFrame, wanted: list[Without], models: pd.DataFrame) -> pd.DataFrame:
    """Probabilities with and without each lesion, of every plane's network and of their fusion.

    Parameters
    ----------
    said : columns exam, of a whole exam or `Without.name`, architecture, plane, task, seed and
        probability.
    models : the fusions' weights, from `mrnetlib.fusion.models`.

    Returns
    -------
    DataFrame with the columns of `KEYS`, task, view (a plane or ``multi``), before, after and
    change: before minus after, what the lesion added to the probability, -1..1.
    """
    keys = ["architecture", "task", "seed"]
    wide = said.pivot(index=[*keys, "exam"], columns="plane", values="probability")
    planes = list(wide.columns)
    wide = wide.reset_index().merge(models, on=keys, suffixes=("", "_weight"))
    logit = wide["intercept"] + sum(wide[p] * wide[f"{p}_weight"] for p in planes)
    wide["multi"] = 1 / (1 + np.exp(-logit))
    long = wide.melt([*keys, "exam"], [*planes, "multi"], "view", "probability")
    left_out = pd.DataFrame(
        [(one.exam, one.name, one.kind, one.severity) for one in wanted],
        columns=["exam", "name", "kind", "severity"],
    )
    before = left_out.merge(long, on="exam").rename(columns={"probability": "before"})
    after = long.rename(columns={"exam": "name", "probability": "after"})
    both = before.merge(after, on=["name", "view", *keys], validate="one_to_one")
    both = both.assign(change=both["before"] - both["after"])
    return both[[*KEYS, "task", "view", "before", "after", "change"]]


def summary(table: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """The mean change of a probability by kind and severity of the lesion that was left out.

    Parameters
    ----------
    table : as `pairs` gives it.

    Returns
    -------
    Columns kind, severity (``all``, or ``milder`` and ``severer``: up to, and above, the median
    lesion of its kind), least and most (that severity's numbers), task, view, architecture, exams,
    before, after, change, low, high. The interval covers the exams and, where there are several,
    the seeds; it is empty for one exam.
    """
    rows = []
    for keys, own in _groups(table):
        values = own.pivot_table("change", "exam", ["architecture", "seed"])
        found = pooled(values)
        tested = against_zero(found, "exams", level) if len(values) > 1 else None
        low, high = tested[1:3] if tested else (np.nan, np.nan)
        row = {"exams": len(values), "before": own["before"].mean(), "after": own["after"].mean()}
        rows.append(keys | row | {"change": found.estimate, "low": low, "high": high})
    return pd.DataFrame(rows)


def _groups(table: pd.DataFrame) -> Iterator[tuple[dict, pd.DataFrame]]:
    for kind, of_kind in table.groupby("kind", sort=True):
        middle = of_kind.drop_duplicates("exam")["severity"].median()
        severe = of_kind["severity"] > middle
        for name, chosen in ((ALL, slice(None)), ("milder", ~severe), ("severer", severe)):
            part = of_kind[chosen]
            ends = {"least": part["severity"].min(), "most": part["severity"].max()}
            for (task, view), own in part.groupby(["task", "view"], sort=False):
                keys = {"kind": kind, "severity": name, **ends, "task": task, "view": view}
                yield keys | {"architecture": ALL}, own
                for architecture, one in own.groupby("architecture", sort=False):
                    yield keys | {"architecture": architecture}, one


def in_words(table: pd.DataFrame, titles: dict[str, str]) -> str:
    """What a task's fused probability loses without its own lesion, and without others.

    Parameters
    ----------
    table : rows of `summary`, of one view and architecture.
    titles : of the tasks.
    """
    lines = []
    for task, kinds in LESIONS_OF.items():
        own = table[(table["task"] == task) & table["kind"].isin(kinds)].set_index("severity")
        if own.empty:
            continue
        said = {name: _interval(row) for name, row in own.iterrows()}
        line = f"- {titles[task]}, without its own lesion: {said[ALL]}"
        if {"milder", "severer"} <= set(said):
            line += f"; milder half {said['milder']}, severer half {said['severer']}"
        rest = table[(table["task"] == task) & ~table["kind"].isin(kinds)]
        rest = rest[(rest["severity"] == ALL) & ((rest["low"] > 0) | (rest["high"] < 0))]
        others = [f"{row['kind']} {_interval(row)}" for _, row in rest.iterrows()]
        line += f". Others whose interval leaves out zero: {', '.join(others) or 'none'}."
        lines.append(line)
    return "\n".join(lines)


def _interval(row: pd.Series) -> str:
    return f"{row['change']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"
