"""What each choice of a recipe moves: two ways of doing a thing, compared on the same test exams.

All functions take long tables of predictions with the columns seed, architecture, task, exam,
split, label, probability (and plane, for single views) and compare by
`mrnetlib.variants.seeds`: paired by exam and seed. A study's own predictions have one seed;
`with_seed` adds that column.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mrnetlib import fusion
from mrnetlib.evaluation.calibration import best_threshold
from mrnetlib.evaluation.comparisons import Comparison, mcnemar
from mrnetlib.evaluation.metrics import best_planes
from mrnetlib.evaluation.optimism import bootstrap_auc, bootstrap_counts
from mrnetlib.files import InputError
from mrnetlib.names import PLANES, TASKS, history_path
from mrnetlib.variants.seeds import compare, score

KEYS = ["seed", "architecture", "task"]

#: Ways to make one probability of several planes', in words that follow "fusion". The first four
#: fit a regression, on the predictions for these exams.
FUSIONS = {
    "train": "on the training exams",
    "out_of_fold": "on training exams out of fold",
    "tune": "on the tuning exams",
    "train+tune": "on training and tuning exams",
    "mean": "by the mean of the planes",
    "max": "by the maximum of the planes",
}

RATES = ("sensitivity", "specificity", "accuracy")


def with_seed(predictions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A study's own predictions with the column seed."""
    return predictions.assign(seed=seed)


def fuse(
    predictions: pd.DataFrame,
    how: str,
    planes: Sequence[str] = PLANES,
    fitted: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The planes' predictions made one, per seed, architecture and task.

    Parameters
    ----------
    predictions : of single views.
    how : a key of `FUSIONS`.
    fitted : for ``out_of_fold``, the training exams' predictions by networks that did not see
        them; like `predictions`, of the split train.

    Returns
    -------
    DataFrame with the columns seed, architecture, task, exam, split, label, probability.
    """
    if how not in FUSIONS:
        raise InputError(f"fusion '{how}': expected one of {', '.join(FUSIONS)}.")
    if how == "out_of_fold" and fitted is None:
        raise InputError("fusion 'out_of_fold': needs the out-of-fold predictions. Give them.")
    groups = {} if fitted is None else dict(list(fitted.groupby(KEYS)))
    parts, columns = [], list(planes)
    for key, group in predictions.groupby(KEYS, sort=False):
        table = fusion.by_plane(group, tuple(planes))
        if how in ("mean", "max"):
            probability = table[columns].agg(how, axis=1)
            answer = table[["exam", "split", "label"]].assign(probability=probability)
        else:
            if how == "out_of_fold" and key not in groups:
                raise InputError(f"seed {key[0]}, {key[1]}, {key[2]}: no out-of-fold predictions.")
            unseen = how == "out_of_fold"
            source = fusion.by_plane(groups[key], tuple(planes)) if unseen else table
            regression = fusion.fit(source, "train" if unseen else how, planes)
            answer = fusion.apply(regression, table, planes)
        parts.append(answer.assign(**dict(zip(KEYS, key, strict=True))))
    return pd.concat(parts, ignore_index=True)


def best_plane(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """The predictions of the plane with the best AUC on `split`, per seed, architecture, task."""
    parts = []
    for _, group in predictions.groupby("seed", sort=False):
        best = best_planes(group, split)[["architecture", "task", "plane"]]
        parts.append(group.merge(best, on=["architecture", "task", "plane"]))
    return pd.concat(parts, ignore_index=True)


def decided(fused: pd.DataFrame, tuned: bool) -> pd.DataFrame:
    """Predictions as decisions, 0 or 1, and the threshold they were made with.

    Parameters
    ----------
    tuned : use the threshold with the largest sensitivity + specificity on the tuning exams, per
        seed, architecture and task, instead of the paper's 0.5.
    """
    parts = []
    for _, group in fused.groupby(KEYS, sort=False):
        tune, threshold = group[group["split"] == "tune"], 0.5
        if tuned:
            threshold = best_threshold(tune["label"], tune["probability"])
        called = (group["probability"] >= threshold).astype(float)
        parts.append(group.assign(probability=called, threshold=threshold))
    return pd.concat(parts, ignore_index=True)


def kept_epochs(results: Path, networks: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The epochs that the tuning and the test exams keep, a row per network.

    Parameters
    ----------
    results : the study's; its own networks' histories are read there.
    networks : of `mrnetlib.variants.recipes.read_networks`, without those of the study's own
        `seed`.

    Returns
    -------
    DataFrame with the columns as_is and stopped_on_test.
    """
    own = networks[(networks["variant"] == "stopped_on_test") & (networks["seed"] == seed)]
    paths = [history_path(results, r.architecture, r.plane, r.task) for r in own.itertuples()]
    kept = [pd.read_csv(path).query("best == 1")["epoch"].iloc[0] for path in paths]
    every = pd.concat([networks, own.assign(variant="as_is", kept_epoch=kept)])
    index = ["architecture", "plane", "task", "seed"]
    wide = every.pivot_table(index=index, columns="variant", values="kept_epoch")
    return wide[["as_is", "stopped_on_test"]]


def cells(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The architectures and tasks of a table, and every architecture's average of its tasks."""
    found = []
    for architecture in table["architecture"].unique():
        tasks = set(table.loc[table["architecture"] == architecture, "task"])
        found += [(architecture, task) for task in TASKS if task in tasks]
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


def plane_choice(
    predictions: pd.DataFrame, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """What choosing the best plane on the test exams adds to the number that is reported.

    Parameters
    ----------
    predictions : a study's single views; one seed.
    draws, seed : of the bootstrap behind `optimism`.

    Returns
    -------
    DataFrame, a row per architecture: ``chosen_on_tune`` and ``chosen_on_test`` (mean test AUC
    over the tasks), their difference ``inflated_by``, which is never negative and therefore not
    tested, and ``optimism``: by how much an AUC is too high on average when its plane was chosen on
    the same exams, whichever plane it is. In bootstrap samples of the test exams it is the AUC
    there of the plane that is best there, minus the same plane's AUC on the test exams as they are
    (Efron 1983; Harrell 2015). ``draws_low`` and ``draws_high`` hold `level` of the samples.
    """
    predictions = with_seed(predictions, 0)
    chosen = [best_plane(predictions, split) for split in ("test", "tune")]
    rows = []
    for architecture in predictions["architecture"].unique():
        own = [table[table["architecture"] == architecture] for table in chosen]
        means = [score(t[t["split"] == "test"]).estimates[0] for t in own]
        single = predictions[predictions["architecture"] == architecture]
        extra = _optimism(single, draws, np.random.default_rng(seed))
        limits = np.quantile(extra, [(1 - level) / 2, (1 + level) / 2])
        rows.append([architecture, means[1], means[0], means[0] - means[1], extra.mean(), *limits])
    names = ["architecture", "chosen_on_tune", "chosen_on_test", "inflated_by"]
    return pd.DataFrame(rows, columns=[*names, "optimism", "draws_low", "draws_high"])


def _optimism(single: pd.DataFrame, draws: int, generator: np.random.Generator) -> np.ndarray:
    """What the chosen plane's AUC is too high by, mean over tasks, per bootstrap sample (B,)."""
    test = single[single["split"] == "test"]
    labels = test.pivot_table(index="exam", columns="task", values="label", aggfunc="first")
    counts = bootstrap_counts(labels.to_numpy(), draws, generator)
    found = []
    for task, group in test.groupby("task"):
        columns = group.pivot(index="exam", columns="plane", values="probability")
        columns = columns.loc[labels.index].to_numpy()
        drawn = bootstrap_auc(labels[task], columns, counts)  # (B, planes)
        whole = bootstrap_auc(labels[task], columns, np.ones((1, len(columns))))[0]
        found.append(drawn.max(axis=1) - whole[drawn.argmax(axis=1)])
    return np.mean(found, axis=0)


def thresholds(fused: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """A tuned threshold against 0.5, per architecture, task and rate.

    Parameters
    ----------
    fused : one seed.

    Returns
    -------
    DataFrame with the columns architecture, task, threshold (empty for averages), measure, first
    (tuned), second (at 0.5), difference, low, high (normal, paired), p (McNemar's exact test; for
    averages that of the interval) and each.
    """
    tuned, fixed = decided(fused, True), decided(fused, False)
    parts = [effects(tuned, fixed, rate, level).assign(measure=rate) for rate in RATES]
    table = pd.concat(parts, ignore_index=True)
    table["threshold"] = np.nan
    for place, row in table[table["task"] != "average"].iterrows():
        own = [cell(one, row["architecture"], row["task"]) for one in (tuned, fixed)]
        table.loc[place, "threshold"] = own[0]["threshold"].iloc[0]
        pair = [one[one["split"] == "test"].sort_values("exam") for one in own]
        given = pair[0]["label"], pair[0]["probability"], pair[1]["probability"]
        exact = mcnemar(*given, measure=row["measure"])
        table.loc[place, ["p", "method"]] = exact["p"], "McNemar, exact"
    return table
