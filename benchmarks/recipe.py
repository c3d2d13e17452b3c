"""What a setting of the recipe does to the networks: precision, exams in a step, batch norm.

    python -m benchmarks.recipe --json FILE
    python -m benchmarks.recipe --vary batch_norm --architectures resnet18 googlenet --json FILE

Networks of the default study, one plane, trained over several seeds with one setting changed at a
time; everything is paired by architecture, task and seed. Only the tuning exams are looked at. Run
the study first: its banks and pretrained backbones are used. ``precision: auto`` rests on this.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from scipy.stats import t

from mrnetlib import settings, study
from mrnetlib.evaluation.roc import auc
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import write_csv, write_json
from mrnetlib.names import ARCHITECTURES, TASKS
from mrnetlib.parallel import each
from mrnetlib.provenance import circumstances
from mrnetlib.training import predict, recipe
from mrnetlib.training.devices import use_machine

#: The values of a setting, the first of which the others are compared with.
VARIED = {
    "precision": ("fp32", "bf16"),
    "batch_exams": (8, 1),
    "batch_norm": ("batch", "kept"),
}


def train(this: study.Study, architecture: str, plane: str, task: str, **changes) -> dict:
    """Train one network of a study with some settings changed; gives what the tuning exams say."""
    chosen = settings.changed(this.settings, **changes)
    device = use_machine(chosen)
    banks = {split: ExamBank.open(this.banks, split, plane) for split in ("train", "tune")}
    backbone = recipe.starting_point(this, architecture, device, chosen.weights, chosen.seed)
    network = recipe.start(backbone, architecture, task, banks["train"], chosen)
    before = predict.predict(network, banks["tune"], chosen.precision)
    tuning = {"tune": banks["tune"]}
    history, _ = recipe.train(network, task, banks, chosen, tuning, progress=False)
    best = history[history["best"] == 1].iloc[0]
    return {
        "tune_auc_start": auc(banks["tune"].labels[task].to_numpy(), before),
        "tune_auc": best["tune_auc"],
        "tune_loss": best["tune_loss"],
        "seconds": history["seconds"].sum(),
    }


def measure(name: str, case: dict) -> dict:
    """One network of one case."""
    changes = {case["setting"]: case["value"], "seed": case["seed"]}
    which = case["architecture"], case["plane"], case["task"]
    return case | train(study.load(name), *which, **changes)


def all_cases(
    varied: dict[str, tuple],
    tasks: list[str],
    seeds: int,
    planes: Sequence[str] = ("axial",),
    architectures: Sequence[str] = ARCHITECTURES,
) -> list[dict]:
    """Every network to be trained; the slow ones first, so that no core is idle at the end."""
    return [
        {"setting": setting, "value": value, "architecture": name, "plane": plane}
        | {"task": task, "seed": seed}
        for name in reversed(architectures)
        for setting, values in varied.items()
        for value in values
        for plane in planes
        for task in tasks
        for seed in range(seeds)
    ]


def trained(this: study.Study, cases: list[dict], workers: int) -> pd.DataFrame:
    """Train the networks of all cases, so many at a time; a row each, sorted by the case."""
    rows = list(each(partial(measure, this.name), cases, workers, "networks"))
    return pd.DataFrame(rows).sort_values(list(cases[0]), key=lambda column: column.astype(str))


def compared(
    table: pd.DataFrame, varied: dict[str, tuple] = VARIED, of: str = "architecture"
) -> pd.DataFrame:
    """Mean paired differences from the first value of each setting, with 95 % intervals.

    The intervals are Student's over the pairs (tasks and seeds): they cover the luck of a training,
    not that of the choice of exams.

    Parameters
    ----------
    of : the column whose values are compared each for itself.
    """
    rows = []
    for setting in table["setting"].unique():
        own, values = table[table["setting"] == setting], varied[setting]
        for name in own[of].unique():
            wide = own[own[of] == name].pivot(
                index=["task", "seed"], columns="value", values=["tune_auc", "tune_loss", "seconds"]
            )
            for value in values[1:]:
                row = {of: name, "setting": setting, "value": value, "pairs": len(wide)}
                for kind in ("tune_auc", "tune_loss"):
                    difference = wide[kind, value] - wide[kind, values[0]]
                    half = t.ppf(0.975, len(wide) - 1) * difference.sem()
                    mean = difference.mean()
                    row |= {kind: wide[kind, value].mean(), f"{kind} difference": mean}
                    row |= {f"{kind} low": mean - half, f"{kind} high": mean + half}
                times = wide["seconds", values[0]] / wide["seconds", value]
                rows.append(row | {"times as fast": times.median()})
    return pd.DataFrame(rows)


def main() -> None:
    """Train all networks, as many at a time as asked, print the comparison, and write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--study", default="phantom")
    parser.add_argument("--plane", default="axial")
    parser.add_argument("--vary", nargs="+", default=list(VARIED), choices=VARIED)
    parser.add_argument("--tasks", nargs="+", default=["meniscus"], choices=TASKS)
    parser.add_argument("--architectures", nargs="+", default=ARCHITECTURES, choices=ARCHITECTURES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    this = study.load(arguments.study)
    varied = {setting: VARIED[setting] for setting in arguments.vary}
    cases = all_cases(
        varied, arguments.tasks, arguments.seeds, [arguments.plane], arguments.architectures
    )
    table = trained(this, cases, arguments.workers)
    comparison = compared(table)
    print(comparison.round(3).to_string(index=False))
    if arguments.json:
        write_csv(arguments.json.with_suffix(".csv"), table)
        content = {"study": this.caption(), "plane": arguments.plane, "tasks": arguments.tasks}
        content["compared"] = comparison.to_dict("records")
        write_json(arguments.json, content | circumstances(this))


if __name__ == "__main__":
    main()
