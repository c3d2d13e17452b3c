"""Tiny exams with a planted truth, shared by the tests."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from scipy.stats import norm
from torch import nn

from mrnetlib.exams import banks, intake, layout
from mrnetlib.names import PLANES, SPLITS, TASKS
from mrnetlib.study import Study, load
from mrnetlib.training.networks import ExamNetwork, GreyConv2d

torch.set_num_threads(1)

#: What only a GPU can show; the report of a run says that it was left out.
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")

#: Label combinations that occur in MRNet, in (abnormal, acl, meniscus).
COMBINATIONS = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1)]

#: What a positive label does to the middle slice of a planted volume: rows, columns, grey value.
PLANTED = {
    "abnormal": (slice(0, 5), slice(0, 5), 255),
    "acl": (slice(6, 11), slice(6, 11), 255),
    "meniscus": (slice(11, 16), slice(0, 5), 0),
}


def planted_volume(labels: dict[str, int], slices: int, rng, size: int = 16) -> np.ndarray:
    """Noise of 90 to 109 with a square for each positive label in the middle slice."""
    volume = rng.integers(90, 110, (slices, size, size), dtype=np.uint8)
    for task, (rows, columns, value) in PLANTED.items():
        if labels[task]:
            volume[slices // 2, rows, columns] = value
    return volume


def planted_labels(count: int, first: int = 0) -> pd.DataFrame:
    """Labels of `count` exams numbered from `first`, the combinations in turn."""
    rows = [COMBINATIONS[i % len(COMBINATIONS)] for i in range(count)]
    names = [f"{first + i:04d}" for i in range(count)]
    return pd.DataFrame(rows, index=names, columns=list(TASKS))


def write_planted(folder: Path, train: int = 20, test: int = 5, size: int = 16) -> Path:
    """A folder in MRNet's layout with planted exams of 3 to 6 slices."""
    for split, labels in (("train", planted_labels(train)), ("test", planted_labels(test, train))):
        layout.write_labels(folder, split, labels)
        for exam, row in labels.iterrows():
            rng = np.random.default_rng(int(exam))
            volumes = {
                plane: planted_volume(row, int(rng.integers(3, 7)), rng, size) for plane in PLANES
            }
            layout.write_exam(folder, split, exam, volumes)
    return folder


def write_planted_banks(folder: Path, source: Path, tune_fraction: float = 0.25) -> pd.DataFrame:
    """Banks of all splits and planes of an exams folder; gives the inventory."""
    inventory = intake.take_inventory(source, tune_fraction, seed=0, progress=False)
    for split in SPLITS:
        rows = inventory[inventory["split"] == split]
        for plane in PLANES:
            paths = [layout.volume_path(source, split, plane, exam) for exam in rows["exam"]]
            banks.write_bank(folder, split, plane, rows, map(layout.read_volume, paths))
    return inventory


def planted_study(root: Path, settings: str) -> Study:
    """A study ``own`` with the text of its file, and banks of 40 planted exams and 10 to test."""
    (root / "studies").mkdir()
    (root / "Snakefile").touch()
    (root / "studies" / "own.yaml").write_text(settings)
    study = load("own", root)
    inventory = write_planted_banks(study.banks, write_planted(study.exams, 40, 10, size=64))
    intake.write_inventory(study.data / "exams.csv", inventory)
    return study


@pytest.fixture
def exams_folder(tmp_path) -> Path:
    """A fresh planted folder, for tests that damage it."""
    return write_planted(tmp_path / "exams", train=5, test=5)


@pytest.fixture(scope="session")
def planted(tmp_path_factory) -> dict[str, banks.ExamBank]:
    """Sagittal banks of 30 training, 10 tuning and 10 test exams; not to be changed."""
    folder = tmp_path_factory.mktemp("planted")
    write_planted_banks(folder / "banks", write_planted(folder / "exams", 40, 10))
    return {split: banks.ExamBank.open(folder / "banks", split, "sagittal") for split in SPLITS}


def script_of_docs(name: str) -> ModuleType:
    """A script of the folder docs as a module; it is no part of a package."""
    path = Path(__file__).resolve().parent.parent / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def slices_of(count, size=64, seed=0):
    """Random slices (count, 1, size, size) in 0..255."""
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed)) * 255


def tiny_network(seed: int = 0, batch_norm: bool = False, dropout: float = 0.0) -> ExamNetwork:
    """A network of one convolution that can see the planted squares."""
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(8) if batch_norm else nn.Identity()
    layers = [GreyConv2d(3, 8, 5), norm, nn.ReLU(), nn.Dropout(dropout)]
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return ExamNetwork(backbone, mean=100, std=20)


@contextlib.contextmanager
def full_disk(free: int) -> Iterator[None]:
    """No file can grow beyond `free` bytes, as on a full disk."""
    if sys.platform == "win32":
        pytest.skip("Windows cannot limit the size of files")
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files_in(folder: Path) -> list[str]:
    """All files below a folder, also hidden ones."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def write_notebook(root, name, *cells, parameters="study = 'phantom'\nseed = 0"):
    """A notebook with a cell of parameters."""
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    content = new_notebook(cells=[new_markdown_cell("# Toy"), first, *map(new_code_cell, cells)])
    content.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    content.metadata["language_info"] = {"name": "python"}
    (root / "notebooks").mkdir(exist_ok=True)
    nbformat.write(content, root / "notebooks" / f"{name}.ipynb")


def run_notebook(study, name, monkeypatch, **parameters):
    """Run a notebook's cells in this process, with other parameters; gives its names."""
    monkeypatch.chdir(study.root)
    matplotlib.use("Agg")
    notebook = nbformat.read(Path(__file__).parent.parent / "notebooks" / f"{name}.ipynb", 4)
    names = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= {"study": study.name, **parameters}
    return names


def draw_models(seed, exams=120, models=4, decimals=None):
    """Labels and informative probabilities; few decimals make many ties."""
    generator = np.random.default_rng(seed)
    label = generator.permutation(np.arange(exams) < exams * 0.4).astype(int)
    score = generator.normal(label[:, None] * 1.2, 1, (exams, models))
    probability = 1 / (1 + np.exp(-score))
    return label, probability if decimals is None else probability.round(decimals)


def paired_models(seed, better=0.8, exams=120):
    """Two models that share half of their noise; the first is better by `better` deviations."""
    generator = np.random.default_rng(seed)
    label = (np.arange(exams) % 5 < 2).astype(int)
    shared = generator.normal(size=exams)
    first = label * (0.8 + better) + shared + generator.normal(size=exams)
    second = label * 0.8 + shared + generator.normal(size=exams)
    return label, norm.cdf(first / 2), norm.cdf(second / 2)
