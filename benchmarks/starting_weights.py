"""What a network's start brings where no ImageNet weights are at hand.

    python -m benchmarks.starting_weights --study phantom

For every architecture, one plane and all tasks: backbone from He's initialization or pretrained on
the slices, head random or from a linear probe; the rest as the study has it. Only the tuning exams
are looked at. Writes ``results/<study>/starting_weights.csv``, which notebook 02 shows, and beside
it a ``.json`` with what the numbers depend on. Run the study first: its banks and pretrained
backbones are used.
"""

import argparse
from dataclasses import asdict
from functools import partial
from itertools import product

import pandas as pd

from benchmarks.recipe import train
from mrnetlib import study
from mrnetlib.files import write_csv, write_json
from mrnetlib.parallel import each
from mrnetlib.provenance import circumstances
from mrnetlib.settings import changed

STARTS = tuple(product(("none", "pretrained"), ("random", "probe")))
KEPT = ["tune_auc_start", "tune_auc", "tune_loss"]


def measure(name: str, plane: str, case: tuple[str, str, str]) -> dict:
    """Train the networks of one start; gives means over the tasks, on the tuning exams."""
    this, (architecture, weights, head) = study.load(name), case
    start = {"weights": weights, "head": head}
    rows = [train(this, architecture, plane, task, **start) for task in this.settings.tasks]
    row = {"architecture": architecture, "backbone": weights, "head": head, "plane": plane}
    return row | pd.DataFrame(rows)[KEPT].mean().to_dict()


def main() -> None:
    """Measure all starts of all architectures, two at a time, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--study", default="phantom")
    parser.add_argument("--plane", default="axial")
    parser.add_argument("--architectures", nargs="+", help="some of the study's (default: all)")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    this = study.load(arguments.study)
    chosen = changed(this.settings, "--architectures", architectures=arguments.architectures)
    cases = [(a, *start) for a in chosen.architectures for start in STARTS]
    work = partial(measure, this.name, arguments.plane)
    table = pd.DataFrame(each(work, cases, arguments.workers, "starts"))
    path = this.reference / "starting_weights.csv"
    write_csv(path, table)
    settings = asdict(this.settings) | {"exams_folder": None}
    write_json(path.with_suffix(".json"), {"settings": settings, **circumstances(this)})
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
