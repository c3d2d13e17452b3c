"""Kill studies and trainings at seeded moments, go on with the same command, and compare bytes.

``python -m benchmarks.kill_points --trainings 40 --chains 40 --studies 5 --json FILE``. A study is
killed over and over until it is finished, by each kind of signal and target; a training, too. At
the end its predictions, tables and figures have to be the bytes of a run that was left alone, and
no temporary file and no process may be left. A chain is a study of two short notebooks, killed
often in little time; a study is one of synthetic knees with this project's own notebooks. With
``--workers`` some run side by side, each in a folder of its own.
"""

import argparse
import contextlib
import functools
import itertools
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import psutil
import torch
from nbformat.v4 import new_code_cell, new_notebook
from sklearn.metrics import roc_auc_score
from torch import nn

from mrnetlib.chain.place import marked, sweep
from mrnetlib.exams.banks import ExamBank, write_bank
from mrnetlib.files import sha256, write_csv, write_json, write_text
from mrnetlib.names import SPLITS, TASKS
from mrnetlib.parallel import stoppable
from mrnetlib.provenance import commit, versions
from mrnetlib.settings import Settings
from mrnetlib.training import recipe
from mrnetlib.training.checkpoints import load_checkpoint
from mrnetlib.training.networks import ExamNetwork, GreyConv2d

ROOT = Path(__file__).resolve().parent.parent

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")

#: Whom a signal is sent to: all processes of the study at once, as by a power cut; the group of the
#: command, as by a terminal; the command alone; Snakemake; a notebook's kernel.
TARGETS = ("all", "group", "parent", "snakemake", "kernel")

#: What of a training is compared: its predictions, its epochs but for their seconds, its weights.
COMPARED = ("predictions.csv", "kept.json")

#: What tells of the run itself, its times above all: what was run when, what was made from what,
#: notebooks as executed, seconds of every epoch, also in checkpoints. Their weights are compared as
#: they are exported, in ``results/models/``.
NOTES = ("runs/", "logs/", "made/", "executed/", "failed/", "results/history/", "checkpoints/")
TIMED = (".html", "provenance.json", "checksums.json")

#: Kills of one study or chain at most.
KILLS = 5

#: Seconds after which a run that was killed and does not end hangs.
HANGS = 600

CHAIN = """import sys
from pathlib import Path
Path("data/own").mkdir(parents=True, exist_ok=True)
rule all:
    input: "data/own/results/table1.md", "data/own/results/figures/one.png"
rule exams:
    output: "data/own/exams.csv"
    shell: "{sys.executable:q} -m mrnetlib notebook --study own 00_exams"
rule table:
    input: "data/own/exams.csv"
    output: "data/own/results/table1.md", "data/own/results/figures/one.png"
    shell: "{sys.executable:q} -m mrnetlib notebook --study own 01_table"
"""

#: A pool that writes volumes, and a table and a figure that are made from them in steps.
EXAMS = """import time
import numpy as np
from pathlib import Path
from mrnetlib import files, parallel
data = Path.cwd().parent / "data" / "own"
for _ in parallel.each(time.sleep, [0.2] * 12, workers=2):
    i = len(list(data.glob("exams/*.npy")))
    volume = np.random.default_rng(i).integers(0, 255, (50, 64, 64), np.uint8)
    if i < 12:
        files.write_array(data / "exams" / f"{i:04d}.npy", volume)
found = [files.sha256(path) for path in sorted(data.glob("exams/*.npy"))]
files.write_text(data / "exams.csv", "\\n".join(found))"""
TABLE = """import time
from pathlib import Path
from mrnetlib import files
data = Path.cwd().parent / "data" / "own"
rows = (data / "exams.csv").read_text().split()
for i, row in enumerate(rows):
    files.write_text(data / "results" / "predictions" / f"{i}.csv", row)
    time.sleep(0.1)
files.write_text(data / "results" / "table1.md", "\\n".join(sorted(rows)))
import matplotlib.pyplot as plt
figure, axes = plt.subplots()
axes.plot([int(row[:4], 16) for row in rows])
with files.written_whole(data / "results" / "figures" / "one.png") as path:
    figure.savefig(path, metadata={"Software": None})"""

TINY = """description: a small study of synthetic knees
data: phantom
phantom_format: dicom
phantom_protocol: small
train_exams: 24
test_exams: 10
image_size: 64
tune_fraction: 0.25
architectures: [alexnet]
planes: [axial, coronal]
tasks: [acl]
weights: none
epochs: 2
batch_exams: 4
precision: fp32
device: cpu
threads: 1
"""


def project(folder: Path, kind: str) -> Path:
    """A folder with a study ``own``."""
    folder.mkdir(parents=True)
    write_text(folder / "studies" / "own.yaml", TINY)
    if kind == "studies":
        shutil.copy(ROOT / "Snakefile", folder)
        shutil.copytree(ROOT / "notebooks", folder / "notebooks")
        shutil.copytree(
            ROOT / "mrnetlib", folder / "mrnetlib", ignore=shutil.ignore_patterns("__pycache__")
        )
        return folder
    write_text(folder / "Snakefile", CHAIN)
    for name, cell in {"00_exams": EXAMS, "01_table": TABLE}.items():
        first = new_code_cell("study = 'own'", metadata={"tags": ["parameters"]})
        notebook = new_notebook(cells=[first, new_code_cell(cell)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        notebook.metadata["language_info"] = {"name": "python"}
        (folder / "notebooks").mkdir(exist_ok=True)
        nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
    return folder


def start(folder: Path) -> subprocess.Popen:
    """The command, in a group of its own, with temporary files in the folder."""
    (folder / "temporary").mkdir(exist_ok=True)
    places = {"TMPDIR": str(folder / "temporary"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mrnetlib", "study", "own", "--cores", "2"]
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(
            command, cwd=folder, env=os.environ | places, start_new_session=True,
            stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip


def of_study(folder: Path) -> list[psutil.Process]:
    """The processes that carry the study's mark."""
    return marked(folder / "data" / "own")


def strike(running: subprocess.Popen, folder: Path, target: str, name: str) -> bool:
    """Send a signal; whether there was anybody."""
    number, marks = getattr(signal, name), {"snakemake": "snakemake.cli", "kernel": "ipykernel"}
    with contextlib.suppress(ProcessLookupError):
        if target == "group":
            os.killpg(running.pid, number)
            return True
        if target == "parent":
            running.send_signal(number)
            return True
    struck = False
    if target == "all":
        running.send_signal(number)
        struck = True
    for process in of_study(folder):
        with contextlib.suppress(psutil.Error):
            if target == "all" or marks.get(target, "?") in " ".join(process.cmdline()):
                process.send_signal(number)
                struck = True
    return struck


def digests(folder: Path) -> dict[str, str]:
    """What has to come out the same: all that a study makes but its notes, reports and logs."""
    data, found = folder / "data" / "own", {}
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        name = path.relative_to(data).as_posix()
        if not (name.endswith(TIMED) or name.startswith(NOTES)):
            found[name] = sha256(path)
    return found


def strays(folder: Path) -> list[str]:
    """Temporary files and processes that are left."""
    left = [path.name for path in (folder / "data").rglob(".*")]
    left += [path.name for path in (folder / "temporary").rglob("*")]
    end = time.monotonic() + 30
    while (alive := of_study(folder)) and time.monotonic() < end:
        time.sleep(0.5)
    return left + [f"process {process.pid}" for process in alive]


def killed_study(
    folder: Path, kind: str, wanted: dict[str, str], plan: list, most: float, halt: Event
) -> dict:
    """One study, killed at moments of a plan until it is finished or the plan is at its end."""
    project(folder, kind)
    points, status = [], "halted"
    while not halt.is_set():
        running = start(folder)
        delay, target, name = plan[0] if plan else (HANGS, "", "")
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = running.wait(delay * most if plan else HANGS)
            break
        if not plan:
            running.kill()
            status = "hung"
            break
        plan.pop(0)
        if not strike(running, folder, target, name):  # there is none just now
            target = "group"
            strike(running, folder, target, name)
        points.append({"after": round(delay * most, 1), "target": target, "signal": name})
        try:
            running.wait(HANGS)
        except subprocess.TimeoutExpired:
            points[-1]["hung"] = True
            running.kill()
    found = digests(folder)
    differing = sorted(
        key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)
    )
    return {"points": points, "status": status, "differing": differing, "strays": strays(folder)}


def studies(
    count: int,
    seed: int,
    work: Path,
    kind: str = "studies",
    minutes: float = math.inf,
    workers: int = 1,
) -> dict[str, Any]:
    """Kill points over whole studies; after some minutes no study is begun."""
    draw = random.Random(seed)
    begun = time.monotonic()
    running = start(project(work / "whole", kind))
    if running.wait() != 0:
        raise SystemExit((work / "whole" / "said.txt").read_text())
    took, wanted = time.monotonic() - begun, digests(work / "whole")
    kinds = [(target, name) for target in TARGETS for name in SIGNALS]
    # What goes on has less and less to do, so most kills come early in a run.
    plan = [(draw.random() ** 2, *kinds[i % len(kinds)]) for i in range(count)]
    draw.shuffle(plan)
    runs, end, halt, lock = [], begun + 60 * minutes, Event(), Lock()
    numbers = itertools.count()

    def one_after_another(_: int) -> None:
        while not halt.is_set() and time.monotonic() < end:
            with lock:
                # Few kills a study: more would only see its beginning. The short moments come
                # first and leave work for the long ones.
                own, plan[:KILLS] = sorted(plan[:KILLS]), []
                folder = work / f"killed{next(numbers)}"
            if not own:
                return
            run = killed_study(folder, kind, wanted, own, took, halt)
            print(json.dumps(run), flush=True)
            shutil.rmtree(folder, ignore_errors=not run["differing"])
            with lock:
                runs.append(run)
                # Moments after the study's end come again, earlier, in another one.
                plan.extend((delay / 2, *whom) for delay, *whom in own)

    with ThreadPoolExecutor(workers) as pool:
        try:
            list(pool.map(one_after_another, range(workers)))
        except BaseException:  # Ctrl-C: the threads end when their studies do
            halt.set()
            for process in (one for folder in work.iterdir() for one in of_study(folder)):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            raise
    return {"seconds_undisturbed": round(took), "files": len(wanted), "runs": runs}


def train(folder: Path) -> None:
    """A whole training of a tiny network with its checkpoint, then its predictions."""
    settings = Settings(epochs=8, patience=8, batch_exams=2, device="cpu", threads=1)
    banks = {split: ExamBank.open(folder.parent / "banks", split, "axial") for split in SPLITS}
    torch.manual_seed(0)
    layers = [GreyConv2d(3, 8, 5), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)]
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    _, predictions = recipe.train(
        ExamNetwork(backbone, mean=100, std=20), "acl", banks, settings,
        checkpoint=folder / "checkpoint.pt", progress=False,
    )  # fmt: skip
    write_csv(folder / "predictions.csv", predictions)
    kept = load_checkpoint(folder / "checkpoint.pt")
    rows = [{key: row[key] for key in row if key != "seconds"} for row in kept["rows"]]
    write_json(folder / "kept.json", [rows, {k: v.tolist() for k, v in kept["best"].items()}])


def killed_training(folder: Path, moments: list[float], names: list[str]) -> dict[str, Any]:
    """One training, killed at some moments and begun again until it is finished."""
    folder.mkdir()
    fork, points = multiprocessing.get_context("fork"), []
    while True:
        process = fork.Process(target=in_order, args=(folder,))
        process.start()
        left = moments[len(points) :]
        process.join(left[0] if left else HANGS)
        if process.exitcode is not None:
            break
        if not left:
            if points:
                points[-1]["hung"] = True
            process.kill()
            process.join()
            break
        name = names[len(points)]
        points.append({"after": round(left[0], 2), "signal": name})
        os.kill(process.pid, getattr(signal, name))
        process.join()
    sweep(folder)
    written = sorted(path.name for path in folder.iterdir())
    found = {name: sha256(folder / name) if name in written else None for name in COMPARED}
    strays = [name for name in written if name not in (*COMPARED, "checkpoint.pt")]
    return {"points": points, "status": process.exitcode, "found": found, "strays": strays}


def in_order(folder: Path) -> None:
    """`train` as a process of its own that ends in order when it is asked to."""
    with contextlib.suppress(KeyboardInterrupt), stoppable():
        train(folder)


def warm_up() -> None:
    """Load here, once, what each training would load for itself; no gradient is computed, whose
    threads a forked process would miss."""
    weight = torch.zeros(1)
    weight.grad = torch.zeros(1)
    torch.optim.Adam([weight]).step()
    roc_auc_score([0, 1], [0, 1])


def trainings(count: int, seed: int, work: Path, kills: int = 4) -> dict[str, Any]:
    """Kill points in single trainings."""
    draw, exams = random.Random(seed), work / "exams"
    sizes = {"train": 16, "tune": 8, "test": 8}
    for number, (split, size) in enumerate(sizes.items()):
        rows = pd.DataFrame({"exam": [f"{number}{i:03d}" for i in range(size)], "split": split})
        rows = rows.assign(slices_axial=5, **{task: [i % 2 for i in range(size)] for task in TASKS})
        values = np.random.default_rng(number)
        volumes = (values.integers(90, 110, (5, 32, 32), dtype=np.uint8) for _ in range(size))
        write_bank(exams / "banks", split, "axial", rows, volumes)
    warm_up()
    wanted = killed_training(exams / "whole", [], [])["found"]
    begun = time.monotonic()
    assert killed_training(exams / "again", [], [])["found"] == wanted
    took, runs, done = time.monotonic() - begun, [], 0
    while done < count:
        some = min(kills, count - done)
        moments = [draw.uniform(0, 0.9 * took) for _ in range(some)]
        names = [SIGNALS[(done + i) % len(SIGNALS)] for i in range(some)]
        run = killed_training(exams / f"killed{len(runs)}", moments, names)
        run["differing"] = [
            name for name, value in run.pop("found").items() if value != wanted[name]
        ]
        runs.append(run)
        done += len(run["points"])
        print(json.dumps(run), flush=True)
        shutil.rmtree(exams / f"killed{len(runs) - 1}")
    return {"seconds_undisturbed": round(took, 1), "runs": runs}


def counted(found: dict[str, Any]) -> dict[str, Any]:
    """What was found, in numbers."""
    points = [point for run in found["runs"] for point in run["points"]]
    return {
        "points": len(points),
        "seconds_undisturbed": found["seconds_undisturbed"],
        "signals": Counter(point["signal"] for point in points),
        "targets": Counter(point.get("target", "the training") for point in points),
        "runs": len(found["runs"]),
        "finished": sum(run["status"] == 0 for run in found["runs"]),
        "same_bytes": sum(not run["differing"] for run in found["runs"]),
        "hung": sum("hung" in point for point in points),
        "strays": sum(len(run["strays"]) for run in found["runs"]),
    }


def main() -> int:
    """Kill, print a line a study and the counts, and write them; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, default=40, help="kill points in trainings")
    parser.add_argument("--chains", type=int, default=40, help="kill points in short chains")
    parser.add_argument("--studies", type=int, default=5, help="kill points in whole studies")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="after which no chain or study is begun"
    )
    parser.add_argument("--workers", type=int, default=1, help="chains or studies at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as work:
        found = {"seed": chosen.seed, "code": commit(ROOT), "versions": versions()}
        ways = {"trainings": trainings}
        for kind in ("chains", "studies"):
            ways[kind] = functools.partial(
                studies, kind=kind, minutes=chosen.minutes, workers=chosen.workers
            )
        for kind, how in ways.items():
            if count := getattr(chosen, kind):
                found[kind] = counted(how(count, chosen.seed, work=Path(work, kind)))
                print(json.dumps({kind: found[kind]}), flush=True)
                if chosen.json:
                    write_json(chosen.json, found)
    parts = [found[kind] for kind in ways if kind in found]
    right = (p["finished"] == p["same_bytes"] == p["runs"] and not p["strays"] for p in parts)
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
