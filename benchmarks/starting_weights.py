"""What a network's start brings where no ImageNet weights are at hand.

    python -m benchmarks.starting_weights --study phantom

For every architecture, one plane and all tasks: backbone from He's initialization or pretrained on
the slices, head random or from a linear probe; the rest as the study has it. Only the tuning exams
are looked at. Writes ``results/<study>/starting_weights.csv``, which notebook 02 shows, and beside
it a ``.json`` with what the numbers depend on. Run the study first: its banks and pretrained
backbones are used.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import product

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mrnetlib import finetune, inference, study
from mrnetlib.banks import ExamBank
from mrnetlib.files import write_csv, write_json
from mrnetlib.provenance import commit, machine, versions
from mrnetlib.starting import probe_head, starting_backbone, starting_network
from mrnetlib.statistics import auc

STARTS = tuple(product(("none", "pretrained"), ("random", "probe")))


def measure(name: str, architecture: str, weights: str, head: str, plane: str) -> dict:
    """Train the networks of one start; gives means over the tasks, on the tuning exams."""
    this = study.load(name)
    device = study.use_machine(this)
    settings = this.training_settings()
    banks = {split: ExamBank.open(this.banks, split, plane) for split in ("train", "tune")}
    train, tune = banks["train"], banks["tune"]
    source = study.prepare_weights(this, architecture) if weights == "pretrained" else "none"
    rows = []
    for task in this.settings.tasks:
        backbone = starting_backbone(architecture, source, this.settings.seed)
        seed = finetune.seed_of("head", settings.seed, architecture, plane, task)
        network = starting_network(backbone.to(device), train, seed)
        if head == "probe":
            features = inference.exam_features(network, train, settings.precision)
            probe_head(network, features, train.labels[task].to_numpy())
        before = inference.predict(network, tune, settings.precision)
        history = finetune.fit(network, train, tune, task, settings, progress=False)
        best = history[history["best"] == 1].iloc[0]
        rows.append(
            [auc(tune.labels[task].to_numpy(), before), best["tune_auc"], best["tune_loss"]]
        )
    start, after, loss = np.mean(rows, axis=0)
    row = {"architecture": architecture, "backbone": weights, "head": head, "plane": plane}
    return row | {"tune_auc_start": start, "tune_auc": after, "tune_loss": loss}


def main() -> None:
    """Measure all starts of all architectures, two at a time, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--study", default="phantom")
    parser.add_argument("--plane", default="axial")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    this = study.load(arguments.study)
    cases = [(a, *start) for a in this.settings.architectures for start in STARTS]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        jobs = [pool.submit(measure, this.name, *case, arguments.plane) for case in cases]
        rows = [job.result() for job in tqdm(jobs, "starts")]
    table = pd.DataFrame(rows)
    path = this.results / "starting_weights.csv"
    write_csv(path, table)
    settings = asdict(this.settings) | {"exams_folder": None}
    content = {"settings": settings, "machine": machine(this), "versions": versions()}
    write_json(path.with_suffix(".json"), content | commit(this.root))
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
