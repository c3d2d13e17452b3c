"""The exercises of notebook 03: what the fusion is fitted on, its weights, its turning points."""

from typing import Any

import pandas as pd

from mrnetlib import fusion
from mrnetlib.evaluation.predictions import read_predictions
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise, by_name, choice, names
from mrnetlib.teaching.networks import network_of


def _weights(study: Study, how: str, architectures: Any = None, tasks: Any = None) -> pd.DataFrame:
    """The regressions' numbers, a row per model."""
    settings = study.settings
    chosen = architectures or settings.architectures, settings.planes, tasks or settings.tasks
    return fusion.models(read_predictions(study.results, *chosen), how, settings.planes)


def _at_equal_numbers(answer: Any, study: Study) -> str | None:
    """Sizes of the weights on the training exams, on as few of them as are tuned on, and those."""
    architecture, _, task = network_of(study)
    planes = list(study.settings.planes)
    found = read_predictions(study.results, [architecture], planes, [task])
    tuning = found.loc[found["split"] == "tune", "exam"].nunique()
    first = found.loc[found["split"] == "train", "exam"].drop_duplicates().head(tuning)
    cases = {"train": found, "few": found[found["exam"].isin(first)], "tune": found}
    truth = {}
    for name, own in cases.items():
        weights = fusion.models(own, "tune" if name == "tune" else "train", planes)[planes]
        truth[name] = float(weights.abs().sum(axis=1).mean())
    hint = (
        "Fit every seed by itself; add up the sizes of its three weights, then take the mean. For "
        "'few' cut the training exams, in the table's order, to as many as there are tuning exams."
    )
    return by_name(answer, truth, 0.005, hint)


def _differ_most(answer: Any, study: Study) -> str | None:
    planes = list(study.settings.planes)
    means = _weights(study, study.settings.fuse_on).groupby(["architecture", "task"])[planes].mean()
    by_task = means.groupby("task")
    apart = (by_task.max() - by_task.min()).max(axis=1)
    hint = "For each task and plane: the largest mean weight of an architecture minus the smallest."
    return choice(answer, apart.idxmax(), study.settings.tasks, hint)


def _survives(answer: Any, study: Study) -> str | None:
    architecture, planes = network_of(study)[0], list(study.settings.planes)
    found = _weights(study, study.settings.fuse_on, [architecture])
    heaviest = found.assign(heaviest=found[planes].idxmax(axis=1)).groupby("task")["heaviest"]
    truth = [task for task, count in heaviest.nunique().items() if count == 1]
    hint = "For each seed find the plane with the largest weight; is it the same one for all seeds?"
    return names(answer, truth, study.settings.tasks, hint)


def _turns(answer: Any, study: Study) -> str | None:
    row, planes = _weights(study, study.settings.fuse_on).iloc[0], list(study.settings.planes)
    words = [row["architecture"]], planes, [row["task"]]
    own = read_predictions(study.results, *words)
    exam = fusion.by_plane(own[own["seed"] == row["seed"]], planes).query("split == 'test'").iloc[0]
    log_odds = row["intercept"] + sum(row[plane] * exam[plane] for plane in planes)
    truth = {plane: float(exam[plane] - log_odds / row[plane]) for plane in planes}
    hint = "At the turning point the log odds are 0, with the other planes as they were."
    return by_name(answer, truth, 0.005, hint)


EXERCISES = {
    "03-1": Exercise("a dict with a size for train, few and tune", _at_equal_numbers),
    "03-2": Exercise("the name of a task", _differ_most),
    "03-3": Exercise("a list of tasks, which may be empty", _survives),
    "03-4": Exercise("a dict with a number for each plane", _turns),
}
