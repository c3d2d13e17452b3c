"""How much faster a training step is with small maps as matrix products.

    python -m benchmarks.step --json FILE

Per architecture, image size and precision, on one core and in turns, in slices per second of the
processor's time, of a whole step (forward, backward, Adam) on slices that lie ready in memory:

- ``ours``: the networks of the study, `mrnetlib.training.convolutions`;
- ``ordinary``: the same networks with `torch.nn.Conv2d`;
- ``ours, slices vary``: as ``ours``, with another number of slices in every step.

``times as fast`` is ours / ordinary, ``varying slices cost`` 1 - ours, slices vary / ours, medians
over the rounds of the ratio in a round. bf16 is measured where the processor has it.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from benchmarks import alternate
from mrnetlib.files import write_json
from mrnetlib.names import ARCHITECTURES
from mrnetlib.provenance import circumstances
from mrnetlib.study import load
from mrnetlib.training import devices, finetune
from mrnetlib.training.convolutions import MapConv2d
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.starting import starting_backbone

#: Slices of the exams of a step by image size: what the default study and what MRNet's size have.
EXAMS = {64: [8] * 8, 256: [4]}

#: Slices more or fewer of a step's first exam, where their number varies.
VARIES = [0, 3, -2, 1, -3, 2, -1]


def with_ordinary_convolutions(backbone: nn.Module) -> nn.Module:
    """Have a backbone's convolutions be torch's own, in place."""
    for module in backbone.modules():
        if type(module) is MapConv2d:
            module.__class__ = nn.Conv2d
    return backbone


def counts(size: int, vary: bool) -> Iterable[list[int]]:
    """The slices of each exam of one step after the other, without an end."""
    first, *others = EXAMS[size]
    return cycle([[first + more, *others] for more in (VARIES if vary else [0])])


def new_step(
    architecture: str, size: int, precision: str, ordinary: bool = False, vary: bool = False
) -> Callable[[], float]:
    """A step that gives its slices per second; where they `vary`, their number is each time new."""
    backbone = starting_backbone(architecture, "none")
    if ordinary:
        with_ordinary_convolutions(backbone)
    network = ExamNetwork(backbone, 70, 60).train()
    optimizer = finetune.new_optimizer(network, load("phantom").settings)
    most = sum(EXAMS[size]) + max(VARIES)
    ready = torch.randint(0, 256, (most, 1, size, size), dtype=torch.uint8)
    lengths = iter(counts(size, vary))

    def step() -> float:
        exams = next(lengths)
        start = time.process_time()  # others may use the machine, too
        with devices.autocast(precision, ready.device):
            logits = network(ready[: sum(exams)], exams)
        labels = torch.arange(len(exams)).remainder(2).float()
        optimizer.zero_grad(set_to_none=True)
        finetune.loss_of(logits, labels, (0.5, 0.5)).backward()
        optimizer.step()
        return sum(exams) / (time.process_time() - start)

    return step


def measure(architecture: str, size: int, precision: str, rounds: int) -> dict:
    """One row; see the module."""
    words = architecture, size, precision
    loops = {
        "ours": new_step(*words),
        "ordinary": new_step(*words, ordinary=True),
        "ours, slices vary": new_step(*words, vary=True),
    }
    for step in loops.values():
        step()  # the first time pays for what is kept: memory, code for each size of tensor
    rates = pd.DataFrame(
        {name: step() for name, step in loops.items()}
        for _ in tqdm(range(rounds), f"{architecture}, {size}, {precision}")
    )
    return {
        "architecture": architecture,
        "image_size": size,
        "precision": precision,
        **rates.median().to_dict(),
        "times as fast": alternate.ratio(rates, "ours", "ordinary"),
        "slowest and fastest round": alternate.spread(rates["ours"] / rates["ordinary"]),
        "varying slices cost": 1 - alternate.ratio(rates, "ours, slices vary", "ours"),
    }


def main() -> None:
    """Measure all, print a table, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--architectures", nargs="+", default=ARCHITECTURES, choices=ARCHITECTURES)
    parser.add_argument("--sizes", nargs="+", type=int, default=list(EXAMS), choices=list(EXAMS))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    devices.keep_freed_memory()
    devices.set_deterministic(True)
    torch.set_num_threads(1)
    fast = devices.has_bf16(torch.device("cpu"))
    rows = [
        measure(architecture, size, precision, arguments.rounds)
        for size in arguments.sizes
        for architecture in arguments.architectures
        for precision in (["fp32", "bf16"] if fast else ["fp32"])
    ]
    print(pd.DataFrame(rows).round(2).to_string(index=False))
    if arguments.json:
        about = {"steps": rows, "rounds": arguments.rounds}
        about["slices of a step"] = {str(size): sum(exams) for size, exams in EXAMS.items()}
        write_json(arguments.json, about | circumstances(load("phantom")))


if __name__ == "__main__":
    main()
