"""Whether the cost of a training grows with the number of slices, and with nothing else.

    python -m benchmarks.scaling --json FILE

Seconds of `mrnetlib.training.finetune.train_epoch` for 2 to 16 exams of 17 slices of 256 x 256, and
for 2 exams of 9 to 70 slices, one exam a step; the plot lies beside the JSON.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import linregress
from tqdm.auto import tqdm

from benchmarks import full_size
from benchmarks.training import TASK, finished, new_network, set_up
from mrnetlib.exams.banks import ExamBank, write_bank
from mrnetlib.figures.style import PLANE_COLOURS, StudyFigure, new_figure, save, style
from mrnetlib.files import write_json
from mrnetlib.names import ARCHITECTURES, TASKS, architecture_title
from mrnetlib.provenance import circumstances
from mrnetlib.study import load
from mrnetlib.training import devices, finetune

COLOURS = PLANE_COLOURS.values()

#: Exams of a pass and slices of each, by what grows.
SIZES = {
    "exams": [(2, 17), (4, 17), (8, 17), (16, 17)],
    "slices of an exam": [(2, 9), (2, 18), (2, 35), (2, 70)],
}


def new_bank(folder: Path, exams: int, slices: int) -> ExamBank:
    """A generated bank, both labels in turn."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"exam": [f"{i:04d}" for i in range(exams)]})
    table[f"slices_{full_size.PLANE}"] = slices
    for task in TASKS:
        table[task] = table.index % 2
    volumes = (full_size.image(rng, slices) for _ in range(exams))
    write_bank(folder, "train", full_size.PLANE, table, volumes)
    return ExamBank.open(folder, "train", full_size.PLANE, checked=False)


def measure(architecture: str, place: Path, runs: int) -> list[dict]:
    """Median seconds of a pass for every size; sizes in turns."""
    device = set_up()
    settings = replace(load("mrnet").settings, precision="auto")
    cases = []
    for grows, sizes in SIZES.items():
        for exams, slices in sizes:
            folder = place / f"{architecture}_{exams}_{slices}"
            folder.mkdir()
            bank = new_bank(folder, exams, slices).resident(device)
            cases.append((grows, bank, []))
    network = new_network(architecture, cases[0][1], device)
    optimizer = finetune.new_optimizer(network, settings)
    for run in tqdm(range(runs + 1), architecture):
        for _, bank, seconds in cases:
            start = time.perf_counter()
            finetune.train_epoch(network, optimizer, bank, TASK, settings, 1)
            finished(device)
            if run:  # the first time pays for what is kept
                seconds.append(time.perf_counter() - start)
    return [
        {
            "architecture": architecture,
            "grows": grows,
            "slices": int(bank.lengths.sum()),
            "seconds": float(np.median(seconds)),
        }
        for grows, bank, seconds in cases
    ]


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """A straight line through the seconds of each architecture and what grows."""
    rows = []
    for (architecture, grows), own in table.groupby(["architecture", "grows"], sort=False):
        fit = linregress(own["slices"], own["seconds"])
        power = linregress(np.log(own["slices"]), np.log(own["seconds"])).slope
        rows.append(
            {
                "architecture": architecture,
                "grows": grows,
                "ms per slice": 1000 * fit.slope,
                "ms for no slice": 1000 * fit.intercept,
                "share of variance explained": fit.rvalue**2,
                "seconds grow as slices to the power of": power,
            }
        )
    return pd.DataFrame(rows)


def plot(table: pd.DataFrame, caption: str) -> StudyFigure:
    """Seconds against slices, both axes from zero, with the fitted lines."""
    with style():
        figure = new_figure(3.8, caption)
        panels = zip(figure.subplots(1, 2), table.groupby("grows", sort=False), strict=True)
        for axes, (grows, own) in panels:
            rows = own.groupby("architecture", sort=False)
            for (name, row), colour, mark in zip(rows, COLOURS, "osD", strict=True):
                fit = linregress(row["slices"], row["seconds"])
                reach = np.array([0, row["slices"].max()])
                axes.plot(reach, fit.intercept + fit.slope * reach, color=colour, linewidth=1)
                title = architecture_title(name)
                axes.plot(row["slices"], row["seconds"], mark, color=colour, label=title)
            axes.set(xlabel="slices in a pass", ylabel="seconds", title=f"More {grows}")
            axes.set_xlim(0)
            axes.set_ylim(0)
            axes.legend()
    return figure


def main() -> None:
    """Measure, print, and write JSON and plot where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--runs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rows = [row for name in ARCHITECTURES for row in measure(name, Path(place), arguments.runs)]
    table = pd.DataFrame(rows)
    fitted = lines(table)
    print(fitted.round(3).to_string(index=False))
    if arguments.json:
        this = load("mrnet")
        content = {"seconds": rows, "lines": fitted.to_dict("records"), "runs": arguments.runs}
        write_json(arguments.json, content | circumstances(this))
        words = devices.resolve_precision("auto", devices.choose_device())
        caption = f"generated exams, 256 x 256, one exam a step, {words}, "
        caption += f"{torch.get_num_threads()} threads"
        save(plot(table, caption), arguments.json.with_suffix(".png"))


if __name__ == "__main__":
    main()
