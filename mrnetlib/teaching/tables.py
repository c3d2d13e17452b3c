"""The exercises of notebook 04: another threshold, single networks that win, rankings, Brier."""

from itertools import product
from typing import Any

import numpy as np

from mrnetlib.evaluation.metrics import measured
from mrnetlib.evaluation.optimism import bootstrap_auc, bootstrap_counts
from mrnetlib.evaluation.predictions import read_fused, read_predictions
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise, function, names, number, numbers
from mrnetlib.teaching.networks import network_of

#: How often the ranking is drawn again, and how far two such counts may lie apart by chance.
DRAWS, BY_CHANCE = 400, 0.1


def _at_another_threshold(answer: Any, study: Study) -> str | None:
    architecture, _, task = network_of(study)
    fused = read_fused(study.results, [architecture], [task]).query("split == 'test'")
    first = fused[fused["seed"] == fused["seed"].min()]
    between = first["probability"].between(0.3, 0.5, inclusive="left")
    truth = [int((between & (first["label"] == label)).sum()) for label in (1, 0)]
    hints = (
        "Positive exams that are called positive now and were not at 0.5.",
        "Negative exams that are called positive now and were not at 0.5.",
    )
    return numbers(answer, truth, 0, hints)


def _beat_their_fusion(answer: Any, study: Study) -> str | None:
    settings = study.settings
    shape = settings.architectures, settings.planes, settings.tasks
    single = measured(read_predictions(study.results, *shape), ["architecture", "plane", "task"])
    fused = measured(
        read_fused(study.results, settings.architectures, settings.tasks), ["architecture", "task"]
    )
    both = single.merge(fused, on=["architecture", "task"], suffixes=("", "_fused"))
    winners = both[both["auc"] > both["auc_fused"]]
    truth = list(winners[["architecture", "plane", "task"]].itertuples(index=False, name=None))
    hint = "Compare the mean AUC over the seeds on the test exams with that of the fusion."
    return names(answer, truth, list(product(*shape)), hint)


def _stays_first(answer: Any, study: Study) -> str | None:
    names = study.settings.architectures
    fused = read_fused(study.results, names, study.settings.tasks)
    test = fused[fused["split"] == "test"]
    labels = test.pivot_table(index="exam", columns="task", values="label")
    counts = bootstrap_counts(labels.to_numpy(), DRAWS, np.random.default_rng(7))
    counts = np.vstack([np.ones(len(labels)), counts])  # the first draw is the exams as they are
    means = np.zeros((len(counts), len(names)))
    for place, name in enumerate(names):
        own = test[test["architecture"] == name]
        for task, table in own.groupby("task"):
            wide = table.pivot(index="exam", columns="seed", values="probability")
            areas = bootstrap_auc(labels[task].to_numpy(), wide.to_numpy(), counts)
            means[:, place] += areas.mean(axis=1)
    first = means.argmax(axis=1)
    truth = float((first[1:] == first[0]).mean())
    hint = "Draw whole exams with replacement, the same ones for all architectures, and rank anew."
    return number(answer, truth, BY_CHANCE, hint)


def _brier_of_share(answer: Any, study: Study) -> str | None:
    cases = [(share,) for share in (0.0, 0.1, 0.5, 0.8, 1.0)]

    def right(share: float) -> float:
        return float(np.mean((share - _exams(share)) ** 2))

    hint = "Of each exam take the squared distance of what is said, the share, from 0 or 1."
    return function(answer, right, cases, hint)


def _exams(share: float) -> np.ndarray:
    """A thousand labels of which this share is positive."""
    return (np.arange(1000) < round(1000 * share)).astype(float)


EXERCISES = {
    "04-1": Exercise("two numbers of exams, as in (3, 1)", _at_another_threshold),
    "04-2": Exercise('a list as in [("alexnet", "axial", "acl")], or []', _beat_their_fusion),
    "04-3": Exercise("a share from 0 to 1", _stays_first),
    "04-4": Exercise("a function of a share", _brier_of_share),
}
