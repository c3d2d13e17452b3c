"""Readings with a planted truth, without a network, for the tests of what is written of one."""

import numpy as np

from mrnetlib.dicom.geometry import Volume, to_square
from mrnetlib.exams import intensity
from mrnetlib.names import TASKS
from mrnetlib.reading.evidence import Evidence
from mrnetlib.reading.reading import Distance, Estimate, PlaneReading, Reading, Source

SIZE = 64
#: Where each plane's evidence is: slice, row and column of its grid, for every task.
SPOT = (2, 1, 3)


def made_evidence(slices: int, seed: int, places: int = 4) -> Evidence:
    """A little evidence everywhere, much at `SPOT`."""
    shares = np.random.default_rng(seed).normal(0, 0.001, (slices, places, places))
    shares[SPOT] = 2.5
    shares = shares.astype(np.float32)
    logit = -0.75 + float(shares.sum(dtype=np.float64))
    step = SIZE / places
    return Evidence(logit, -0.75, shares, (step - 1) / 2, step, SIZE)


def estimate(value: float) -> Estimate:
    return Estimate(value, 0.4, 0.9, 7, 10, {"alexnet 2020": value - 0.1, "alexnet 2021": value})


def made_plane(plane: str, slices: np.ndarray, source: Source | None) -> PlaneReading:
    evidence = {task: made_evidence(len(slices), seed) for seed, task in enumerate(TASKS)}
    telling = {task: one.of_slices().argsort()[::-1].tolist() for task, one in evidence.items()}
    return PlaneReading(plane, slices, evidence, telling, source)


def made_reading(planes: dict[str, PlaneReading], tasks=TASKS, **changes) -> Reading:
    """A reading of these planes in which every number differs from the others."""
    probabilities, fused = {}, {}
    for index, task in enumerate(tasks):
        said = {plane: estimate(0.31 + 0.1 * index + 0.01 * k) for k, plane in enumerate(planes)}
        wording = f"Of the test exams that scored like this, 7 of 10 had {task}."
        probabilities[task] = {"fused": estimate(0.3 + 0.2 * index), **said, "wording": wording}
        shares = {plane: (-1) ** k * (0.7 + 0.1 * index + k) for k, plane in enumerate(planes)}
        fused[task] = {"intercept": -1.25, **shares}
    content = {
        "exam": "exam 1",
        "probabilities": probabilities,
        "planes": planes,
        "fused": fused,
        "warnings": ["The exam has fewer axial slices than 99 of 100 training exams."],
        "distances": [Distance("slices", "axial", 8, 10, 60, "slices")],
        "models": {"alexnet/axial_acl.safetensors": "0123abcd" * 8},
        "about": {"study": "phantom", "data": "synthetic knees, not patients"},
        "seconds": 1.5,
    }
    return Reading(**content | changes)


def of_volumes(volumes: dict[str, Volume], **changes) -> Reading:
    """A reading of what the DICOM door read."""
    planes = {}
    for plane, volume in volumes.items():
        square = to_square(volume, SIZE).pixels
        slices = intensity.apply(square, intensity.learn([square]))
        planes[plane] = made_plane(plane, slices, Source(volume, SIZE))
    return made_reading(planes, **changes)
