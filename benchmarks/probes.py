"""Whether fine-tuning ends above the linear probe that it starts from, on the test exams.

    python -m benchmarks.probes --json FILE

For every network of a finished study: the AUC of the starting backbone under the probe's head, and
that of the network which was fine-tuned from it. Nothing is trained: the banks, pretrained
backbones and predictions of the run in ``data/<study>`` are read, so run the study first. Writes
FILE and, beside it, a CSV with a row a network.
"""

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from mrnetlib import study as studies
from mrnetlib.evaluation.predictions import aligned, of_split, read_predictions
from mrnetlib.evaluation.roc import auc
from mrnetlib.evaluation.rows import ALL, Model, Row
from mrnetlib.evaluation.table1 import compare
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError, write_csv, write_json
from mrnetlib.parallel import each
from mrnetlib.provenance import circumstances
from mrnetlib.training import predict, recipe
from mrnetlib.training.devices import use_machine

KEYS = ["architecture", "plane", "task"]


def probe(name: str, case: tuple[str, str]) -> pd.DataFrame:
    """What the probes of one architecture and plane say of the test exams, for all tasks.

    Returns
    -------
    DataFrame with the columns architecture, plane, task, exam, split, label, probability.
    """
    this, (architecture, plane) = studies.load(name), case
    own = this.settings.of_seed(this.settings.seed)
    banks = {split: ExamBank.open(this.banks, split, plane) for split in ("train", "test")}
    backbone = recipe.starting_point(this, architecture, use_machine(own))
    features = recipe.probe_features(backbone, banks["train"], own)
    tables = []
    for task in this.settings.tasks:
        words = backbone, architecture, task, banks["train"], own, features
        said = predict.predict_all(
            recipe.start(*words), {"test": banks["test"]}, task, own.precision
        )
        tables.append(said.assign(architecture=architecture, plane=plane, task=task))
    return pd.concat(tables, ignore_index=True)


def paired(tuned: pd.DataFrame, probes: pd.DataFrame) -> dict[tuple, tuple[Model, Model]]:
    """Architecture, plane and task -> the fine-tuned network and its probe, on the same exams.

    The probe is the same for every seed, and stands once for each.
    """
    found = {}
    for key, own in of_split(tuned, "test").groupby(KEYS, sort=False):
        start = probes[(probes[KEYS] == list(key)).all(axis=1)]
        parts = [(0, start), *own.groupby("seed")]
        words = [(f"{' '.join(key)}, {place}", key[2], part) for place, part in parts]
        first, *seeds = aligned(words)
        label = first["label"].to_numpy()
        after = np.column_stack([one["probability"] for one in seeds])
        before = np.column_stack([first["probability"]] * len(seeds))
        found[key] = Model(label, after, key[0]), Model(label, before, key[0])
    return found


def per_network(pairs: dict[tuple, tuple[Model, Model]]) -> pd.DataFrame:
    """A row a network: AUC of the probe, mean AUC over the seeds after fine-tuning, difference."""
    rows = []
    for key, models in pairs.items():
        after, before = (
            float(np.mean([auc(model.label, seed) for seed in model.probability.T]))
            for model in models
        )
        row = dict(zip(KEYS, key, strict=True))
        rows.append(row | {"probe": before, "tuned": after, "difference": after - before})
    return pd.DataFrame(rows)


def on_average(pairs: dict[tuple, tuple[Model, Model]]) -> list[dict]:
    """Mean AUC after fine-tuning minus before it, per architecture and of all, with intervals."""
    names = list(dict.fromkeys(key[0] for key in pairs))
    found = []
    for name in [*names, *([ALL] if len(names) > 1 else [])]:
        own = [models for key, models in pairs.items() if name in (key[0], ALL)]
        rows = [
            Row(name, word, "average", list(models))
            for word, models in zip(("tuned", "probe"), zip(*own, strict=True), strict=True)
        ]
        difference = compare(*rows, "auc")._asdict()
        found.append({"architecture": name, "networks": len(own)} | difference)
    return found


def main() -> None:
    """Measure all probes, as many at a time as asked, print the comparison, and write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--study", default="phantom")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    this = studies.load(arguments.study)
    chosen = this.settings
    if chosen.head != "probe":
        raise InputError(f"{this.name}: head is {chosen.head}, expected a study with 'probe'.")
    cases = list(product(chosen.architectures, chosen.planes))
    probes = pd.concat(each(partial(probe, this.name), cases, arguments.workers, "probes"))
    words = chosen.architectures, chosen.planes, chosen.tasks
    pairs = paired(read_predictions(this.results, *words), probes)
    table, means = per_network(pairs), on_average(pairs)
    above = int((table["difference"] > 0).sum())
    print(table.round(3).to_string(index=False))
    print(pd.DataFrame(means).round(3).to_string(index=False))
    print(f"{above} of {len(table)} networks end above their probe")
    if arguments.json:
        write_csv(arguments.json.with_suffix(".csv"), table)
        content = {"study": this.caption(), "above": above, "networks": len(table), "means": means}
        write_json(arguments.json, content | circumstances(this))


if __name__ == "__main__":
    main()
