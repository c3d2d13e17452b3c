"""How near a training comes to the machine's limit, and how far it is from published loops.

    python -m benchmarks.training --json FILE

Per architecture, on generated exams of MRNet's full size, in slices per second and in turns:

- ``ours``: `mrnetlib.training.finetune.train_epoch`: load, augment, forward, backward, optimizer;
- ``limit``: the bare forward and backward of the same network in the same precision and layout, on
  exams that lie ready in memory, deterministic or not: what the machine can do of this mathematics;
- ``reference``: a loop as published code has it, `benchmarks.reference`.

``of_limit`` is ours / limit, ``speedup`` ours / reference, medians over the rounds of the ratio in
a round. The reference is fp32; ours is bf16 where the device has it, ``speedup, fp32`` the like for
like. ``peak_rss_mib`` is our process's, after it has read the whole bank once; that of ``limit``
beside it is the network's own. On a GPU: TFLOP/s, GPU memory, and how long the study mrnet would
take. The batch is the paper's, one exam.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import alternate, full_size, reference
from mrnetlib.exams.banks import ExamBank
from mrnetlib.study import load
from mrnetlib.training import devices, finetune
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.starting import starting_backbone, starting_network

TASK = "acl"


def set_up(deterministic: bool = True) -> torch.device:
    """The device as a study has it: see `mrnetlib.training.devices.use_machine`; all cores."""
    devices.keep_freed_memory()
    devices.set_deterministic(deterministic)
    return devices.choose_device()


def finished(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def new_network(architecture: str, bank: ExamBank, device: torch.device) -> ExamNetwork:
    """A network with random weights, which cost the same as any."""
    return starting_network(starting_backbone(architecture, "none").to(device), bank, 0)


def ours(
    architecture: str,
    folder: Path,
    chosen: list[int],
    precision: str,
    deterministic: bool = True,
    compiled: str = "none",
) -> Callable[[], int]:
    """Our training over the chosen exams of a bank of full size."""
    device = set_up(deterministic)
    plane = ExamBank.open(folder, "train", full_size.PLANE, checked=False)
    for _ in plane.batches([[index] for index in range(len(plane))], TASK, torch.device("cpu")):
        pass  # an epoch reads every exam; this shows in the memory
    bank = plane.resident(device).select(chosen)
    settings = replace(load("mrnet").settings, precision=precision, compile=compiled)
    network = new_network(architecture, bank, device)
    devices.compile_backbone(network.backbone, compiled)
    optimizer = finetune.new_optimizer(network, settings)

    def loop() -> int:
        finetune.train_epoch(network, optimizer, bank, TASK, settings, 1)
        finished(device)
        return int(bank.lengths.sum())

    return loop


def lying_ready(
    architecture: str, folder: Path, packs: list[list[int]], device: torch.device
) -> tuple[ExamNetwork, list[torch.Tensor]]:
    """A network, and packs of exams as its backbone wants them, in memory."""
    bank = ExamBank.open(folder, "train", full_size.PLANE, checked=False)
    network = new_network(architecture, bank, device)
    return network, [network.normalized(bank.read(pack).to(device)) for pack in packs]


def limit(architecture: str, folder: Path, chosen: list[int], precision: str) -> Callable[[], int]:
    """Forward and backward of the same network alone, on what lies ready."""
    device = set_up(deterministic=False)  # whatever is fastest
    network, ready = lying_ready(architecture, folder, [[index] for index in chosen], device)
    network.train()

    def loop() -> int:
        for exam in ready:
            with devices.autocast(precision, device):
                strongest = network.backbone(exam).amax(0)
            logit = network.head(strongest.float())
            network.zero_grad(set_to_none=True)
            logit.backward()
        finished(device)
        return sum(len(exam) for exam in ready)

    return loop


def published(architecture: str, paths: list[Path]) -> Callable[[], int]:
    """The reference loop."""
    device = devices.choose_device()
    network = reference.Network(architecture).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=0.1)
    exams = reference.loader(paths, device, augment=True)
    return lambda: reference.train_epoch(network, optimizer, exams, device)


def measure(
    architecture: str, folder: Path, chosen: list[int], paths: list[Path], rounds: int
) -> dict:
    """All loops of one architecture; see the module."""
    best = devices.resolve_precision("auto", devices.choose_device())
    makers = {
        "ours": partial(ours, architecture, folder, chosen, best),
        "limit": partial(limit, architecture, folder, chosen, best),
        "reference": partial(published, architecture, paths),
        "ours, not deterministic": partial(ours, architecture, folder, chosen, best, False),
    }
    if best == "bf16":
        makers["ours, fp32"] = partial(ours, architecture, folder, chosen, "fp32")
        makers["limit, fp32"] = partial(limit, architecture, folder, chosen, "fp32")
    if devices.choose_device().type == "cuda":
        for mode in devices.COMPILE_MODES:
            words = architecture, folder, chosen, best, True, mode
            makers[f"ours, compile: {mode}"] = partial(ours, *words)
    rates, memory = alternate.take_turns(makers, rounds, architecture)
    found = {
        "precision": best,
        **{name: float(rates[name].median()) for name in rates},
        "of_limit": alternate.ratio(rates, "ours", "limit"),
        "speedup": alternate.ratio(rates, "ours", "reference"),
        "price of determinism": 1 - alternate.ratio(rates, "ours", "ours, not deterministic"),
        "peak_rss_mib": float(memory["ours"]),
        "peak_rss_mib, limit": float(memory["limit"]),
        "peak_rss_mib, reference": float(memory["reference"]),
        "slowest and fastest round": {name: alternate.spread(rates[name]) for name in rates},
    }
    if best == "bf16":
        found["of_limit, fp32"] = alternate.ratio(rates, "ours, fp32", "limit, fp32")
        found["speedup, fp32"] = alternate.ratio(rates, "ours, fp32", "reference")
    if devices.choose_device().type == "cuda":
        found |= gpu(architecture, folder, chosen, best)
    return found | projected(architecture, rates)


def projected(architecture: str, rates: pd.DataFrame) -> dict[str, float]:
    """From slices per second: TFLOP/s, and how long the study mrnet, which is fp32, may take.

    The hours are those of all epochs of one network in the training loop; early stopping makes them
    fewer, and looking at the tuning exams, a tenth of the training exams, adds a few percent.
    """
    network = ExamNetwork(starting_backbone(architecture, "none"), 70, 60).train()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, full_size.SIZE, full_size.SIZE), [1]).sum().backward()
    settings, slices = load("mrnet").settings, int(full_size.slice_counts().sum())
    exact = rates["ours, fp32" if "ours, fp32" in rates else "ours"].median()
    return {
        "TFLOP/s": float(rates["ours"].median() * counter.get_total_flops() / 1e12),
        "hours of all epochs in fp32, one network": float(settings.epochs * slices / exact / 3600),
    }


def gpu(architecture: str, folder: Path, chosen: list[int], precision: str) -> dict[str, float]:
    """What only a GPU has: the ceiling of its matrix products, and its memory in a training."""
    device = set_up()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    square = torch.randn(8192, 8192, device=device, dtype=dtype)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(3):
        square @ square
    start.record()
    for _ in range(20):
        square @ square
    end.record()
    finished(device)
    del square
    torch.cuda.reset_peak_memory_stats(device)
    ours(architecture, folder, chosen, precision)()
    return {
        "TFLOP/s of a matrix product": 20 * 2 * 8192**3 / start.elapsed_time(end) / 1e9,
        "GPU memory, MiB": torch.cuda.max_memory_allocated(device) / 2**20,
    }


if __name__ == "__main__":
    full_size.run("How near a training comes to the machine's limit.", measure, exams=3)
