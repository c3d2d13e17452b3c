"""How long a reading takes, from an exam's files to all that is written of it.

    python -m benchmarks.reading --json FILE

1. A digital knee of the default study, from DICOM to page, JSON and DICOM objects, by the models
   that were kept in ``results/phantom``; left out where there are none.
2. An exam of MRNet's size, 95 slices of 256 x 256 from arrays, by the nine networks of an
   architecture. They are untrained, which changes no time.

Each is the whole command in a process of its own, as a user waits for it; seconds of all cores
leave out what other processes took meanwhile.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file

from mrnetlib import phantom, study
from mrnetlib.exams import intensity
from mrnetlib.files import write_array, write_csv, write_json
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS
from mrnetlib.phantom.dicom_writer import write_study
from mrnetlib.provenance import circumstances, versions
from mrnetlib.reading import distances, models
from mrnetlib.reading.support import joined
from mrnetlib.training.networks import ExamNetwork, build_backbone

SIZE = 256

#: Slices of the exam of MRNet's size: the medians of its planes, with one more.
SLICES = {"axial": 35, "coronal": 30, "sagittal": 30}


def timed(exam: Path, place: Path, folder: Path) -> dict[str, float]:
    """Seconds by the clock and of all cores that one reading takes."""
    command = [sys.executable, "-m", "mrnetlib", "read", exam, "--models", place]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([*command, "--out", folder], check=True, capture_output=True)
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    page = (folder / "report.html").stat().st_size
    return {"seconds": clock, "core_seconds": used, "files_kib": size >> 10, "page_kib": page >> 10}


def small_exam(folder: Path) -> Path:
    """A digital knee of the default study's protocol as a DICOM study."""
    labels = dict.fromkeys(TASKS, 1)
    exam = phantom.make_exam("0000", labels, phantom.small_protocol(), 7)
    write_study(exam, folder, 7)
    return folder


def large_exam(folder: Path) -> Path:
    """Three arrays of MRNet's size."""
    rng = np.random.default_rng(0)
    for plane, slices in SLICES.items():
        volume = rng.integers(0, 256, (slices, SIZE, SIZE), dtype=np.uint8)
        volume[:, :20] = 0
        write_array(folder / f"{plane}.npy", volume)
    return folder


def untrained(architecture: str, folder: Path) -> Path:
    """The models of an architecture as `mrnetlib.reading.export` writes them, untrained."""
    torch.manual_seed(0)
    network = ExamNetwork(build_backbone(architecture), 60.0, 50.0)
    rng, norms, rows = np.random.default_rng(0), {}, []
    for plane in PLANES:
        exams = [
            distances.Measured(
                SLICES[plane] + i, np.linspace(0, 255, 11), rng.normal(size=(16, 16)),
                np.nan, np.nan, rng.normal(size=network.head.in_features),
            )
            for i in range(40)
        ]  # fmt: skip
        norms[plane] = distances.learn(exams)
        for task in TASKS:
            folder.mkdir(parents=True, exist_ok=True)
            models.save_network(folder / models.network_file(plane, task), network, torch.float16)
            table = pd.DataFrame({"row": range(120), "task": task, "plane": plane})
            rows.append(table.assign(label=table["row"] % 2, probability=rng.random(120)))
    write_csv(folder / models.TEST, pd.concat(rows))
    save_file(distances.to_arrays(norms), folder / models.TRAINING)
    scale = intensity.average([np.linspace(0, 255, len(intensity.PERCENTILES))])
    intensity.save(folder / models.LANDMARKS, dict.fromkeys(PLANES, scale))
    weights = {"intercept": -1.0, **dict.fromkeys(PLANES, 1.0)}
    fusions = {joined(some): weights for n in (2, 3) for some in combinations(PLANES, n)}
    about = {"study": "untrained", "data": "noise", "synthetic": True, "seed": 0, "commit": None}
    about |= {"architecture": architecture, "planes": PLANES, "tasks": TASKS, "image_size": SIZE}
    about |= {"fusion": dict.fromkeys(TASKS, fusions), "fitted_on": "train", "training_exams": 40}
    about["limits"] = {plane: norm.limits for plane, norm in norms.items()}
    write_json(folder / models.MODEL, about | {"versions": versions()})
    models.seal(folder)
    return folder


def main() -> None:
    """Measure all, print a table, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--architectures", nargs="+", default=["alexnet", "resnet18"],
                        choices=ARCHITECTURES)  # fmt: skip
    parser.add_argument("--models", type=Path, help="of the default study; the kept ones if none")
    arguments = parser.parse_args()
    default = study.load("phantom")
    kept, rows = arguments.models or default.reference, []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if (kept / "models").is_dir():
            exam = small_exam(place / "knee")
            rows.append({"exam": "default study, from DICOM", **timed(exam, kept, place / "a")})
        else:
            print(f"SKIPPED: no models in {kept}; keep those of a run with 'make keep'")
        exam = large_exam(place / "arrays")
        for architecture in arguments.architectures:
            own = untrained(architecture, place / architecture)
            name = f"MRNet's size, nine networks of {architecture}"
            rows.append({"exam": name, **timed(exam, own, place / f"of {architecture}")})
    print(pd.DataFrame(rows).round(1).to_string(index=False))
    if arguments.json:
        content = {"slices of MRNet's size": sum(SLICES.values()), "readings": rows}
        write_json(arguments.json, content | circumstances(default))


if __name__ == "__main__":
    main()
