"""What backbones bring to the phantom: parameters, speed, and the AUC of a linear probe.

    python -m benchmarks.backbones --study phantom --json results/benchmarks/backbones.json

Eight of torchvision's, each from the best weights to be had without a network: ImageNet's, where
``python -m mrnetlib weights`` or torch's cache has them, else the study's own pretrained ones where
it made some, else random ones, several draws of them. A row says which, and under which licence; of
AlexNet, which may have all three, each is measured. Only a head is fitted: seconds for a backbone.
Beside the table a ``.json`` with what the numbers depend on. Run the study first.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import pandas as pd
import torch
from tqdm.auto import tqdm

from mrnetlib import study as studies
from mrnetlib.exams.banks import ExamBank
from mrnetlib.exams.subsets import subset
from mrnetlib.files import InputError, read_json, write_csv, write_json
from mrnetlib.names import TASKS, architecture_title
from mrnetlib.provenance import circumstances
from mrnetlib.settings import Settings, changed
from mrnetlib.teaching import lab
from mrnetlib.training import finetune
from mrnetlib.training.devices import use_machine
from mrnetlib.training.networks import check_image_size
from mrnetlib.training.obtain import torch_cache, weight_file
from mrnetlib.training.starting import starting_backbone, starting_network

BACKBONES = (
    *("alexnet", "resnet18", "googlenet", "mobilenet_v2", "squeezenet1_1", "densenet121"),
    *("efficientnet_b0", "convnext_tiny"),
)

#: Training exams of the steps that are timed, and draws of random weights.
TIMED, DRAWS = 16, 5


def sources(this: studies.Study, architecture: str) -> Iterator[tuple[str, str, str]]:
    """The weights of an architecture that are here: what to load, words, licence; best first."""
    own = studies.imagenet_folder(this.root) / f"{architecture}.pt"
    if own.is_file():
        note = read_json(own.with_suffix(".json"))
        yield str(own), f"ImageNet, by {note['source'].partition(',')[0]}", note["licence"]
    elif (torch_cache() / weight_file(architecture)).is_file():
        yield "imagenet", "ImageNet, torchvision's file", "BSD-3-Clause"
    own = this.data / "weights" / f"{architecture}.pt"
    if own.is_file():
        yield str(own), "the study's own slices, no labels of lesions", "MIT"
    yield "none", "random, only the head learns", "none"


def speed(network: torch.nn.Module, bank: ExamBank, task: str, settings: Settings) -> float:
    """Training slices (forward, backward, Adam) per second of one core's time."""
    optimizer = finetune.new_optimizer(network, settings)
    finetune.train_epoch(network, optimizer, bank, task, settings, 1)  # what is done once
    start = process_time()
    finetune.train_epoch(network, optimizer, bank, task, settings, 1)
    return float(bank.lengths.sum() / (process_time() - start))


def measure(
    this: studies.Study, architecture: str, source: tuple[str, str, str], plane: str, task: str
) -> dict:
    """One row of the table: a backbone from one source of weights."""
    device, (weights, words, licence) = use_machine(this.settings), source
    bank = ExamBank.open(this.banks, "train", plane)
    parts = []
    for draw in range(DRAWS if weights == "none" else 1):
        backbone = starting_backbone(architecture, weights, this.settings.seed + draw).to(device)
        seeds = [this.settings.seed + draw]
        parts.append(lab.probes(this, backbone, plane, task, [len(bank)], seeds))
    found = lab.measured(pd.concat(parts)).iloc[0]
    network = starting_network(backbone, bank, this.settings.seed)
    timed = bank.select(subset(bank.labels, TIMED, this.settings.seed))  # with both labels
    return {
        "backbone": architecture_title(architecture),
        "parameters": sum(one.numel() for one in backbone.parameters()),
        "slices_per_second": speed(network, timed, task, this.settings),
        "weights": words,
        "licence": licence,
        "draws": len(parts),
        **found[["auc", "auc_low", "auc_high"]],
    }


def main() -> None:
    """Measure all backbones, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--study", default="phantom")
    parser.add_argument("--plane", default="axial")
    parser.add_argument("--task", default="acl", choices=TASKS)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    arguments = parser.parse_args()
    this = studies.load(arguments.study)
    how = changed(this.settings, "--backbones", precision="fp32", threads=1)
    this = studies.Study(this.name, how, this.root)
    cases = []
    for name in arguments.backbones:
        check_image_size(name, how.image_size)
        found = list(sources(this, name))
        cases += [(name, source) for source in (found if name == "alexnet" else found[:1])]
    rows = [
        measure(this, *case, arguments.plane, arguments.task) for case in tqdm(cases, "backbones")
    ]
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    if arguments.json:
        write_csv(arguments.json.with_suffix(".csv"), table)
        content = {"study": this.caption(), "plane": arguments.plane, "task": arguments.task}
        write_json(arguments.json, content | circumstances(this))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
