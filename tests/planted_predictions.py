"""Predictions of whole studies with a planted truth, for the tests of what follows from them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from mrnetlib.evaluation.optimism import bootstrap_auc, bootstrap_counts
from mrnetlib.evaluation.rows import Model, Row
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS

LABEL = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
# probabilities with areas that can be counted by hand: wrong[k] puts k of 25 pairs in disorder
WRONG = {
    0: [0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9],
    5: [0.1, 0.1, 0.1, 0.1, 0.95, 0.9, 0.9, 0.9, 0.9, 0.9],
    10: [0.1, 0.1, 0.1, 0.95, 0.95, 0.9, 0.9, 0.9, 0.9, 0.9],
}


def ordered_rows(wrong, split, **names):
    """Ten exams of a split whose area is 1 - `wrong` / 25."""
    exams = [f"{split}{number}" for number in range(10)]
    own = {"exam": exams, "split": split, "label": LABEL, "probability": WRONG[wrong]}
    return pd.DataFrame(own).assign(**names)


def ordered_study(architectures=ARCHITECTURES, planes=PLANES, tasks=TASKS):
    """Axial best on tune, sagittal best on test, coronal in between; fused perfect on test."""
    tune = {"axial": 0, "coronal": 5, "sagittal": 10}
    test = {"axial": 10, "coronal": 5, "sagittal": 0}
    predictions = pd.concat(
        ordered_rows(wrong[plane], split, architecture=architecture, plane=plane, task=task)
        for architecture in architectures
        for plane in planes
        for task in tasks
        for split, wrong in (("tune", tune), ("test", test))
    )
    fused = pd.concat(
        ordered_rows(0, split, architecture=architecture, task=task)
        for architecture in architectures
        for task in tasks
        for split in ("tune", "test")
    )
    return predictions, fused


STRENGTH = {"alexnet": 2.5, "resnet18": 2.5, "googlenet": 0.6}  # of the fused models
SINGLE = 0.8


def noisy_study(seed=0, exams=120, architectures=tuple(STRENGTH)):
    """Fused models of planted strength; every single view is weaker than the good ones."""
    generator = np.random.default_rng(seed)
    label = {task: generator.random(2 * exams) < 0.45 for task in TASKS}
    numbers = [f"{number:04d}" for number in range(2 * exams)]
    split = ["tune"] * exams + ["test"] * exams

    def rows(strength, task, **names):
        score = generator.normal(strength * (label[task] - 0.5), 1)
        own = {"exam": numbers, "split": split, "label": label[task].astype(int)}
        return pd.DataFrame({**own, "probability": 1 / (1 + np.exp(-score))}).assign(
            task=task, **names
        )

    predictions = pd.concat(
        rows(SINGLE, task, architecture=architecture, plane=plane)
        for architecture in architectures
        for plane in PLANES
        for task in TASKS
    )
    fused = pd.concat(
        rows(STRENGTH[architecture], task, architecture=architecture)
        for architecture in architectures
        for task in TASKS
    )
    return predictions, fused


#: How far a plane's network parts the classes, in deviations of its score, by task and plane.
PARTED = np.array([[1.6, 1.1, 1.2], [0.9, 1.0, 1.6], [1.1, 1.0, 1.1]])


def trained_scores(generator, label, parted=PARTED, seeds=3, by_seed=0.25):
    """Probabilities (tasks, planes, E, seeds) of networks that see the same exams.

    An exam is as hard for every seed of a network as it is for the plane (half of the noise), and
    a seed's network parts the classes better or worse by `by_seed` deviations.
    """
    tasks, planes = parted.shape
    shape = tasks, planes, len(label), seeds
    strength = parted[..., None, None] + by_seed * generator.normal(size=(tasks, planes, 1, seeds))
    hard = generator.normal(size=(tasks, planes, len(label), 1))
    noise = np.sqrt(0.5) * (hard + generator.normal(size=shape))
    return expit(strength * (label.T[:, None, :, None] - 0.5) + noise)


def seeded_study(seed=0, seeds=3, counts=None, architectures=ARCHITECTURES, parted=PARTED):
    """A study of several seeds: single views and, fused, the mean of the planes' log odds.

    `counts` are the exams of each split; columns as those of `mrnetlib.evaluation.predictions`.
    """
    generator, single, fused = np.random.default_rng(seed), [], []
    counts = counts or {"train": 60, "tune": 40, "test": 120}
    split = np.repeat(list(counts), list(counts.values()))
    own = {"exam": [f"{number:04d}" for number in range(len(split))], "split": split}
    label = generator.random((len(split), len(TASKS))) < 0.45
    for architecture in architectures:
        given = trained_scores(generator, label, parted, seeds)
        joined = expit(logit(given).mean(axis=1))
        for t, task in enumerate(TASKS):
            for s in range(seeds):
                names = {"label": label[:, t].astype(int), "seed": s, "task": task}
                names |= own | {"architecture": architecture}
                fused.append(pd.DataFrame(names | {"probability": joined[t, :, s]}))
                single += [
                    pd.DataFrame(names | {"probability": given[t, p, :, s], "plane": plane})
                    for p, plane in enumerate(PLANES)
                ]
    return pd.concat(single, ignore_index=True), pd.concat(fused, ignore_index=True)


class Studied(NamedTuple):
    """Table I's rows of one architecture, and the mean true AUC of the planes that were chosen."""

    multi: Row
    best: Row
    truth: float


def chosen_and_joined(seed, parted=PARTED, seeds=3, tune=40, test=120, by_seed=0.25, draws=500):
    """A study with a known truth, as rows: each seed is a study of other exams and networks."""
    generator = np.random.default_rng(seed)
    label = generator.random((tune + test, len(TASKS))) < 0.45
    given = trained_scores(generator, label, parted, seeds, by_seed)
    joined = expit(logit(given).mean(axis=1))
    counts = bootstrap_counts(label[:tune], draws, generator)
    multi, best, truth = [], [], []
    for place, own in enumerate(label.T):
        tuned, tested = own[:tune].astype(int), own[tune:].astype(int)
        ones = np.vstack([np.ones(tune), counts])  # the first draw is the tuning exams as they are
        areas = np.column_stack(
            [bootstrap_auc(tuned, plane[:tune], ones).mean(axis=1) for plane in given[place]]
        )
        picks, planes = areas.argmax(axis=1), tuple(given[place][:, tune:])
        best.append(Model(tested, planes[picks[0]], "alexnet", planes, picks[1:]))
        multi.append(Model(tested, joined[place, tune:], "alexnet"))
        # scores part by `parted` deviations, give or take a seed's, and differ by two noises of 1
        truth.append(norm.cdf(parted[place, picks[0]] / np.sqrt(2 + by_seed**2)))
    rows = (
        Row("alexnet", "multi", "average", multi),
        Row("alexnet", "single-best", "average", best),
    )
    return Studied(*rows, float(np.mean(truth)))
