"""What each choice of a recipe moves: two ways of doing a thing, compared on the same test exams.

All functions take long tables of predictions with the columns seed, architecture, task, exam,
split, label, probability (and plane, for single views) and compare by
`mrnetlib.variants.seeds`: paired by exam and seed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mrnetlib import fusion
from mrnetlib.evaluation.calibration import best_threshold
from mrnetlib.evaluation.comparisons import Comparison
from mrnetlib.evaluation.metrics import THRESHOLD, best_planes, named, rates
from mrnetlib.evaluation.predictions import paired, read_history
from mrnetlib.files import InputError
from mrnetlib.settings import Settings
from mrnetlib.variants.recipes import own_seeds
from mrnetlib.variants.seeds import compare, score

KEYS = ["seed", "architecture", "task"]


def fuse(
    predictions: pd.DataFrame,
    how: str,
    planes: Sequence[str],
    unseen: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The planes' predictions made one, per seed, architecture and task.

    Parameters
    ----------
    predictions : of single views.
    how : one of `mrnetlib.fusion.WAYS`.
    planes : those to fuse.
    unseen : for ``out_of_fold``, the training exams' predictions by networks that did not see
        them; like `predictions`, of the split train.

    Returns
    -------
    DataFrame with the columns seed, architecture, task, exam, split, label, probability.
    """
    needed = fusion.way(how).out_of_fold and unseen is not None
    groups = dict(list(unseen.groupby(KEYS))) if needed else {}
    parts = []
    for key, group in predictions.groupby(KEYS, sort=False):
        if needed and key not in groups:
            raise InputError(f"seed {key[0]}, {key[1]}, {key[2]}: no out-of-fold predictions.")
        own = fusion.by_plane(groups[key], planes) if needed else None
        answer = fusion.fuse(fusion.by_plane(group, planes), how, own)
        parts.append(answer.assign(**dict(zip(KEYS, key, strict=True))))
    return pd.concat(parts, ignore_index=True)


def chosen_planes(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """The plane with the best AUC on `split`: columns seed, architecture, task, plane."""
    parts = [
        best_planes(group, split).assign(seed=seed)
        for seed, group in predictions.groupby("seed", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)[[*KEYS, "plane"]]


def best_plane(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """The predictions of the plane with the best AUC on `split`, per seed, architecture, task."""
    return predictions.merge(chosen_planes(predictions, split), on=[*KEYS, "plane"])


def decided(fused: pd.DataFrame, tuned: bool) -> pd.DataFrame:
    """Predictions as decisions, 0 or 1, and the threshold they were made with.

    Parameters
    ----------
    tuned : use the threshold with the largest sensitivity + specificity on the tuning exams, per
        seed, architecture and task, instead of the paper's 0.5.
    """
    parts = []
    for _, group in fused.groupby(KEYS, sort=False):
        tune, threshold = group[group["split"] == "tune"], THRESHOLD
        if tuned:
            threshold = best_threshold(tune["label"], tune["probability"])
        called = (group["probability"] >= threshold).astype(float)
        parts.append(group.assign(probability=called, threshold=threshold))
    return pd.concat(parts, ignore_index=True)


def kept_epochs(results: Path, networks: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The epochs that the tuning and the test exams keep, a row per network.

    Parameters
    ----------
    results : the study's; its own networks' histories are read there.
    networks : of `mrnetlib.variants.recipes.read_networks`, where the study's own are missing.

    Returns
    -------
    DataFrame with the columns as_is and stopped_on_test.
    """
    index = ["architecture", "plane", "task", "seed"]
    stopped = networks[networks["variant"] == "stopped_on_test"]
    parts = [networks]
    for (architecture, plane, task), rows in stopped.groupby(index[:3]):
        history = read_history(results, architecture, plane, task)
        own = history[(history["best"] == 1) & history["seed"].isin(rows["seed"])]
        own = own[own["seed"].isin(own_seeds(settings, architecture))]
        about = {"architecture": architecture, "plane": plane, "task": task, "variant": "as_is"}
        parts.append(own.rename(columns={"epoch": "kept_epoch"}).assign(**about))
    every = pd.concat(parts)
    wide = every.pivot_table(index=index, columns="variant", values="kept_epoch")
    return wide[["as_is", "stopped_on_test"]]


def cells(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The architectures and tasks of a table, and every architecture's average of its tasks."""
    found = []
    for architecture in table["architecture"].unique():
        tasks = table.loc[table["architecture"] == architecture, "task"].unique()
        found += [(architecture, task) for task in tasks]
        found += [(architecture, "average")] * (len(tasks) > 1)
    return found


def cell(table: pd.DataFrame, architecture: str, task: str) -> pd.DataFrame:
    """The rows of an architecture and task; all tasks for ``average``."""
    chosen = table["architecture"] == architecture
    return table[chosen if task == "average" else chosen & (table["task"] == task)]


def effects(
    first: pd.DataFrame, second: pd.DataFrame, measure: str = "auc", level: float = 0.95
) -> pd.DataFrame:
    """First minus second for every architecture and task, and averages of the tasks.

    Returns
    -------
    DataFrame with the columns architecture, task, first, second (means over seeds), difference,
    low, high, p, method, and each: the differences of the single seeds, a tuple.
    """
    rows = []
    for architecture, task in cells(first):
        own = [cell(table, architecture, task) for table in (first, second)]
        found = compare(*own, measure, level)
        scores = [score(table[table["split"] == "test"], measure) for table in own]
        each = tuple((scores[0].estimates - scores[1].estimates).tolist())
        means = [float(one.estimates.mean()) for one in scores]
        rows.append([architecture, task, *means, *found, each])
    names = ["architecture", "task", "first", "second", *Comparison._fields, "each"]
    return pd.DataFrame(rows, columns=names)


def thresholds(fused: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """A tuned threshold against 0.5, per architecture, task and rate.

    Parameters
    ----------
    fused : of one or several seeds.

    Returns
    -------
    DataFrame with the columns architecture, task, threshold (mean over the seeds; empty for
    averages), measure, first (tuned), second (at 0.5), difference, low, high (normal, paired), p
    and each. p is of the interval; for one task and seed of the measure's exact test, where it has
    one.
    """
    tuned, fixed = decided(fused, True), decided(fused, False)
    parts = [effects(tuned, fixed, rate, level).assign(measure=rate) for rate in rates()]
    table = pd.concat(parts, ignore_index=True)
    table["threshold"] = np.nan
    for place, row in table[table["task"] != "average"].iterrows():
        own = [cell(one, row["architecture"], row["task"]) for one in (tuned, fixed)]
        table.loc[place, "threshold"] = own[0].groupby("seed")["threshold"].first().mean()
        exact = named(row["measure"]).exact
        if exact is not None and len(row["each"]) == 1:
            table.loc[place, ["p", "method"]] = exact(*paired(*own))
    return table
