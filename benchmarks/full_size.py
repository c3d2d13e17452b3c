"""A training plane of MRNet's full size, generated: 1,130 exams of 256 x 256 with its slice counts.

The bank is a sparse file: 2.5 GB of it, of which only the exams that are trained on hold anything
but black.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from mrnetlib.exams import mrnet
from mrnetlib.exams.banks import bank_path, sealed
from mrnetlib.files import write_json
from mrnetlib.names import ARCHITECTURES, TASKS
from mrnetlib.provenance import circumstances
from mrnetlib.study import load

SIZE = 256
PLANE = "axial"
EXAMS = 1130


def slice_counts() -> np.ndarray:
    """Slices of each exam, from MRNet's fewest over its median to its most, mixed."""
    least, median, most, _ = mrnet.SLICES["train"][PLANE]
    counts = np.interp(np.linspace(0, 1, EXAMS), [0, 0.5, 1], [least, median, most])
    return np.random.default_rng(0).permutation(counts.round().astype(int))


def image(rng: np.random.Generator, slices: int) -> np.ndarray:
    """A knee as far as speed goes: a bright disc in noise, (slices, SIZE, SIZE) uint8."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    knee = np.where(x**2 + y**2 < 0.7, 120, 0).astype(np.uint8)
    return knee + rng.integers(0, 40, (slices, SIZE, SIZE), dtype=np.uint8)


def choose(count: int) -> list[int]:
    """Exams that stand for all: `count` of them at even ranks of the number of slices."""
    order = np.argsort(slice_counts(), kind="stable")
    ranks = (np.arange(count) + 0.5) / count * EXAMS
    return [int(index) for index in order[ranks.astype(int)]]


def write(folder: Path, chosen: list[int]) -> list[Path]:
    """Write the bank of the plane, and the chosen exams once more as npy files of their own."""
    counts = slice_counts()
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rng = np.random.default_rng(1)
    path = bank_path(folder, "train", PLANE)
    paths = []
    with path.open("wb") as file:
        shape = (int(offsets[-1]), SIZE, SIZE)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for index in chosen:
            exam = image(rng, counts[index])
            file.seek(start + int(offsets[index]) * SIZE**2)
            file.write(exam.data)
            paths.append(folder / f"{index:04d}.npy")
            np.save(paths[-1], exam)
        file.truncate(start + int(offsets[-1]) * SIZE**2)
    manifest = {
        "plane": PLANE,
        "split": "train",
        "exams": [f"{index:04d}" for index in range(EXAMS)],
        "offsets": offsets.tolist(),
        "labels": {task: [index % 2 for index in range(EXAMS)] for task in TASKS},
        "mean": 70.0,
        "std": 60.0,
        "sha256": "not computed: generated for a benchmark",
    }
    # Half of the chosen are positive, so that the loss has both classes.
    for rank, index in enumerate(chosen):
        for labels in manifest["labels"].values():
            labels[index] = rank % 2
    write_json(path.with_suffix(".json"), sealed(manifest))
    return paths


def run(words: str, measure: Callable, exams: int) -> None:
    """Measure the architectures on exams of full size, print a table, write JSON where asked.

    Parameters
    ----------
    words : of the command's help.
    measure : (architecture, folder of the bank, its chosen exams, their npy files, rounds) -> the
        numbers of one architecture.
    exams : in a turn, unless the command says otherwise.
    """
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--architectures", nargs="+", default=ARCHITECTURES, choices=ARCHITECTURES)
    parser.add_argument("--exams", type=int, default=exams, help="exams in a turn")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    chosen = choose(arguments.exams)
    with tempfile.TemporaryDirectory() as place:
        paths = write(Path(place), chosen)
        measured = {
            name: measure(name, Path(place), chosen, paths, arguments.rounds)
            for name in arguments.architectures
        }
    keys = ["ours", "limit", "reference", "of_limit", "speedup", "speedup, fp32", "peak_rss_mib"]
    table = pd.DataFrame(measured).T
    print(table[[key for key in keys if key in table]].astype(float).round(2).to_string())
    if arguments.json:
        about = {"slices_in_a_turn": slice_counts()[chosen].tolist(), "rounds": arguments.rounds}
        write_json(arguments.json, {**measured, **about, **circumstances(load("mrnet"))})
