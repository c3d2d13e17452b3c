"""What the study's own test exams say of a probability: how often those like it had the finding."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import expit

from mrnetlib.evaluation.roc import wilson_interval
from mrnetlib.files import InputError
from mrnetlib.reading.models import Member, Models
from mrnetlib.reading.reading import Estimate

#: So many test exams that scored nearest are asked, at most a quarter of all.
NEAREST = 20

#: What test exams with a finding did, in words.
HAD = {"abnormal": "were abnormal", "acl": "had an ACL tear", "meniscus": "had a meniscus tear"}


def joined(planes: Mapping[str, float] | list[str]) -> str:
    """The name of a fusion of planes in ``model.json``."""
    return "+".join(planes)


def coefficients(member: Member, task: str, planes: list[str]) -> dict[str, float] | None:
    """A member's regression over these planes, None for a single one, which needs none."""
    if len(planes) == 1:
        return None
    return member.model["fusion"][task][joined(planes)]


def fused(regression: Mapping[str, float] | None, planes: pd.DataFrame) -> np.ndarray:
    """Fused probabilities (E,) of a table with a column of probabilities a plane."""
    if regression is None:
        return planes.iloc[:, 0].to_numpy()
    weighted = sum(regression[plane] * planes[plane].to_numpy() for plane in planes)
    return expit(regression["intercept"] + weighted)


def test_scores(models: Models, task: str, planes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The test exams' labels (E,) and mean probabilities (E,), fused over `planes`."""
    labels, scores = None, []
    for member in models.members:
        own = member.test[member.test["task"] == task]
        wide = own.pivot(index="row", columns="plane", values="probability").sort_index()
        truth = own.groupby("row")["label"].first().sort_index().to_numpy()
        if labels is not None and not np.array_equal(labels, truth):
            raise InputError(f"{member.folder}: its test exams have other labels than the others'.")
        labels = truth
        scores.append(fused(coefficients(member, task, planes), wide[planes]))
    return labels, np.mean(scores, axis=0)


def estimate(
    members: dict[str, float], labels: np.ndarray, scores: np.ndarray
) -> tuple[Estimate, str]:
    """A probability with what the test exams that scored nearest say of it.

    Parameters
    ----------
    members : each member's probability.
    labels, scores : of the test exams, from `test_scores`.

    Returns
    -------
    The estimate, and what `wording` says of the scores of the exams that were asked.
    """
    value = float(np.mean(list(members.values())))
    count = max(1, min(NEAREST, len(scores) // 4))
    nearest = np.argsort(np.abs(scores - value), kind="stable")[:count]
    found = int(labels[nearest].sum())
    interval = wilson_interval(found, count)
    reached = f"{scores[nearest].min():.2f} to {scores[nearest].max():.2f}"
    if not scores.min() <= value <= scores.max():
        reached += f"; none of all {len(scores)} {'lower' if value < scores.min() else 'higher'}"
    return Estimate(value, interval.low, interval.high, found, count, members), reached


def wording(task: str, one: Estimate, reached: str, data: str) -> str:
    """What the study's test results support, in a sentence."""
    return (
        f"Of the {one.scored} test exams that scored nearest to this ({reached}), "
        f"{one.found} {HAD.get(task, f'were positive for {task}')} (95 % interval "
        f"{one.low:.0%} to {one.high:.0%}); test exams: {data}."
    )
