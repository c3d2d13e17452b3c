"""Mutated files for every reader: ``python tests/fuzz_readers.py 200`` tries so many of each kind.

Each must be refused by a sentence that names the file, or give what the sound file gives. Where a
file is the user's own to change (study files, label files), another valid value is a right result:
the chain then says what has changed. Of all others nothing may be accepted that changes a number.
"""

import contextlib
import hashlib
import io
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from conftest import tiny_network, write_planted, write_planted_banks

from mrnetlib import files
from mrnetlib import study as studies
from mrnetlib.chain import freshness, steps
from mrnetlib.chain.checksums import Checksums
from mrnetlib.evaluation.predictions import COLUMNS, Form, read_file
from mrnetlib.exams import intake, intensity, layout
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError
from mrnetlib.settings import Settings
from mrnetlib.training.checkpoints import TrainingState, load_checkpoint, save_tensors
from mrnetlib.training.weights import load_file

#: No file takes longer than this many seconds, on a busy machine.
SECONDS = 10.0

#: Kinds that a user may change; what they then say is taken as said.
OF_THE_USER = ("study files", "label files")

STUDY = "description: a toy\ndata: mrnet\nexams_folder: exams\narchitectures: [alexnet]\nseed: 7\n"


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A file with a bit flipped, a part cut off, cut out, doubled or overwritten, or more of it."""
    data, at = bytearray(content), int(rng.integers(len(content)))
    size = int(rng.integers(1, 40))
    kind = int(rng.integers(7))
    if kind == 0:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        del data[at : at + size]
    elif kind == 3:
        data[at:at] = data[at : at + size]
    elif kind == 4:
        data[at : at + size] = rng.bytes(size)
    elif kind == 5:  # a digit or a letter becomes another one
        data[at] = b"0123456789.-,:[]{}\"'\n nNeE"[int(rng.integers(26))]
    else:
        data += rng.bytes(size)
    return bytes(data)


def digest_of(found: object) -> str:
    """A digest of what a reader gave."""
    if isinstance(found, dict):
        found = {key: digest_of(value) for key, value in found.items()}
    if isinstance(found, pd.DataFrame):
        found = found.to_csv()
    if isinstance(found, torch.Tensor):
        found = found.numpy()
    if isinstance(found, np.ndarray):
        found = found.tobytes()
    return hashlib.sha256(repr(found).encode()).hexdigest()


def bank(folder: Path) -> tuple:
    """All that a training takes from a bank."""
    found = ExamBank.open(folder, "train", "axial")
    table = found.labels.to_dict("list")
    return found.slices.numpy().tobytes(), found.exams, found.spans.tolist(), table, found.mean


def weights(path: Path) -> dict:
    """A network with weights from a file."""
    network = tiny_network(seed=1).backbone
    load_file(network, path)
    return dict(network.state_dict())


def through_the_chain(study: studies.Study, maker: str, reader: Callable, path: Path) -> object:
    """What a step of the chain reads: compared with its maker's record first."""
    known = {step.run: step for step in steps.steps(study)}
    step = freshness.Step("any", "any", (path.relative_to(study.root).as_posix(),), ())
    freshness.checked_inputs(study, step, [known[maker]], Checksums(study))
    return reader(path)


def planted(root: Path) -> dict[str, tuple[Path, Callable[[], object]]]:
    """A sound file of every kind, and its reader."""
    write_planted(root / "exams", 5, 5)
    inventory = write_planted_banks(root / "banks", root / "exams", 0.4)
    files.write_text(root / "studies" / "toy.yaml", STUDY)
    study = studies.Study("toy", Settings(architectures=("alexnet",)), root)
    network = tiny_network()
    checkpoint, start = root / "a.pt", root / "start.pt"
    optimizer = torch.optim.Adam(network.parameters())
    state = TrainingState(network, optimizer, 2, {"task": "acl"}, checkpoint)
    row = {"epoch": 1, "train_loss": 0.5, "tune_loss": 0.5, "tune_auc": 0.5, "seconds": 1.0}
    state.add(row)
    save_tensors(start, tiny_network(seed=1).backbone.state_dict())
    counted = study.data / "exams.csv"
    intake.write_inventory(counted, inventory)
    predicted = study.results / "predictions" / "alexnet_axial_acl.csv"
    table = inventory[["exam", "split"]].assign(label=inventory["acl"], probability=0.25, seed=0)
    files.write_csv(predicted, table)
    marks = root / "landmarks.json"
    volumes = [layout.read_volume(path) for path in sorted((root / "exams/train/axial").iterdir())]
    intensity.save(marks, {"axial": intensity.learn(volumes)})
    makers = {"00_exams": counted, "02_per_plane_training_alexnet_axial": predicted}
    for run, path in makers.items():
        made = {path.relative_to(root).as_posix(): files.sha256(path)}
        parts = {key: {} for key in ("settings", "drawing", "code", "versions", "inputs")}
        files.write_json(freshness.record_path(study, run), parts | {"made": made})
    form = Form(COLUMNS, "Make it again.", keys=["seed", "exam"])
    label = layout.label_path(root / "exams", "train", "acl")
    return {
        "banks": (root / "banks" / "train_axial.npy", lambda: bank(root / "banks")),
        "manifests": (root / "banks" / "train_axial.json", lambda: bank(root / "banks")),
        "checkpoints": (checkpoint, lambda: load_checkpoint(checkpoint)),
        "weights": (start, lambda: weights(start)),
        "predictions": (
            predicted,
            lambda: through_the_chain(
                study,
                "02_per_plane_training_alexnet_axial",
                lambda p: read_file(p, form),
                predicted,
            ),
        ),
        "inventories": (
            counted,
            lambda: through_the_chain(study, "00_exams", intake.read_inventory, counted),
        ),
        "study files": (root / "studies" / "toy.yaml", lambda: studies.read("toy", root)),
        "label files": (label, lambda: layout.read_labels(root / "exams", "train")),
    } | {
        # Once more without the chain: a reader by itself has no traceback either.
        "predictions, by hand": (predicted, lambda: read_file(predicted, form)),
        "inventories, by hand": (counted, lambda: intake.read_inventory(counted)),
        "landmarks, by hand": (marks, lambda: intensity.load(marks)),
    }


def outcomes(root: Path, count: int) -> Iterator[tuple[str, int, str, str]]:
    """Of every kind and seed, what came of it in a word, and what was said."""
    for kind, (path, read) in planted(root).items():
        sound = path.read_bytes()
        wanted = digest_of(read())
        for seed in range(count):
            content = mutated(sound, np.random.default_rng([seed, len(kind)]))
            path.write_bytes(content)
            start = time.perf_counter()
            word, said = _outcome(read, wanted, path)
            if time.perf_counter() - start > SECONDS:
                word = "hang"
            yield kind, seed, word, said
        path.write_bytes(sound)


def _outcome(read: Callable, wanted: str, path: Path) -> tuple[str, str]:
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = digest_of(read())
    except InputError as error:
        named = path.stem in str(error) or "toy" in str(error)
        return ("refused" if named else "refused, unnamed"), str(error)
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    return ("same" if found == wanted else "other"), ""


def allowed(kind: str) -> set[str]:
    """What may come of a mutated file."""
    by_hand = kind.endswith("by hand")
    return {"refused", "same"} | ({"other"} if kind in OF_THE_USER or by_hand else set())


def main(count: int) -> int:
    """Try so many files of every kind and print the counts; 1 where one came out wrong."""
    counts: Counter = Counter()
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, seed, word, said in outcomes(Path(folder), count):
            counts[kind, word] += 1
            if word not in allowed(kind):
                bad.append(f"{kind}, seed {seed}: {word}: {said}")
    for kind in dict.fromkeys(kind for kind, _ in counts):
        words = [f"{n} {word}" for (one, word), n in counts.items() if one == kind]
        print(f"{kind:22} {', '.join(words)}")
    print(*bad[:40], f"{sum(counts.values())} files, {len(bad)} wrong", sep="\n")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
