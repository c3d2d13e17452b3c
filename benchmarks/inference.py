"""How fast trained networks judge exams, beside the machine's limit and a published-style loop.

    python -m benchmarks.inference --json FILE

As `benchmarks.training`, without gradients: ``ours`` is `mrnetlib.training.predict.predict` on a
bank, ``limit`` the bare network on exams that lie ready in memory, ``reference`` one exam at a time
with three equal channels in fp32.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks import alternate, full_size, reference
from benchmarks.training import finished, lying_ready, new_network, set_up
from mrnetlib.exams.banks import ExamBank
from mrnetlib.training import devices, predict


def ours(architecture: str, folder: Path, chosen: list[int], precision: str) -> Callable[[], int]:
    """Predictions for the chosen exams of a bank."""
    device = set_up()
    bank = (
        ExamBank.open(folder, "train", full_size.PLANE, checked=False)
        .resident(device)
        .select(chosen)
    )
    network = new_network(architecture, bank, device)

    def loop() -> int:
        predict.predict(network, bank, precision)
        finished(device)
        return int(bank.lengths.sum())

    return loop


def limit(architecture: str, folder: Path, chosen: list[int], precision: str) -> Callable[[], int]:
    """The bare network on exams that lie ready."""
    device = set_up(deterministic=False)
    # As many slices at once as ours takes.
    bank = ExamBank.open(folder, "train", full_size.PLANE, checked=False).select(chosen)
    packs = [[chosen[i] for i in pack] for pack in predict.packs(bank)]
    network, ready = lying_ready(architecture, folder, packs, device)
    network.eval()

    def loop() -> int:
        with torch.inference_mode(), devices.autocast(precision, device):
            for exam in ready:
                network.head(network.backbone(exam).amax(0))
        finished(device)
        return sum(len(exam) for exam in ready)

    return loop


def published(architecture: str, paths: list[Path]) -> Callable[[], int]:
    """The reference loop."""
    device = devices.choose_device()
    network = reference.Network(architecture).to(device)
    exams = reference.loader(paths, device, augment=False)
    return lambda: reference.predict(network, exams, device)


def measure(
    architecture: str, folder: Path, chosen: list[int], paths: list[Path], rounds: int
) -> dict:
    """All loops of one architecture."""
    best = devices.resolve_precision("auto", devices.choose_device())
    makers = {
        "ours": partial(ours, architecture, folder, chosen, best),
        "ours, fp32": partial(ours, architecture, folder, chosen, "fp32"),
        "limit": partial(limit, architecture, folder, chosen, best),
        "reference": partial(published, architecture, paths),
    }
    rates, memory = alternate.take_turns(makers, rounds, architecture)
    return {
        "precision": best,
        **{name: float(rates[name].median()) for name in rates},
        "of_limit": alternate.ratio(rates, "ours", "limit"),
        "speedup": alternate.ratio(rates, "ours", "reference"),
        "speedup, fp32": alternate.ratio(rates, "ours, fp32", "reference"),
        "peak_rss_mib": float(memory["ours"]),
        "slowest and fastest round": {name: alternate.spread(rates[name]) for name in rates},
    }


if __name__ == "__main__":
    full_size.run("How fast trained networks judge exams.", measure, exams=5)
