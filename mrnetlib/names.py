"""The study's fixed names: planes, tasks, architectures, splits and file names, said once."""

from pathlib import Path
from typing import NamedTuple

PLANES = ("axial", "coronal", "sagittal")
TASKS = ("abnormal", "acl", "meniscus")
ARCHITECTURES = ("alexnet", "resnet18", "googlenet")

#: ``train`` updates the weights, ``tune`` chooses the epoch, ``test`` is only reported.
SPLITS = ("train", "tune", "test")


class Extra(NamedTuple):
    """What a study also makes where it is asked for: the notebook, what it is for, a table of its
    results that is printed at the end, and the module whose `check` refuses other studies."""

    notebook: str
    purpose: str
    table: str
    checked_by: str = ""


#: The study without any of them.
ITSELF = Extra("04_single_vs_multi_view", "Table I", "table1.md")

#: By the name of the option, of the Snakefile's target, and of the folder in the results with its
#: ``provenance.json``. Nothing of the study itself depends on them.
EXTRAS = {
    "choices": Extra(
        "06_choices_that_move_the_number",
        "train its variants again, for notebook 06",
        "choices/summary.md",
        "mrnetlib.variants.recipes",
    ),
    "looks": Extra(
        "07_where_the_networks_look",
        "hold what the networks look at against the lesions, for notebook 07",
        "looks/summary.md",
        "mrnetlib.reading.looks",
    ),
    "lab": Extra(
        "09_transfer_learning_lab",
        "try ways to transfer, for notebook 09",
        "lab/summary.md",
    ),
}

#: The side of MRNet's slices in pixels.
SLICE_SIZE = 256

#: The folders of MRNet-v1.0 and what this study uses them for.
MRNET_FOLDERS = {"train": "train", "test": "valid"}

PLANE_TITLES = {"axial": "Axial", "coronal": "Coronal", "sagittal": "Sagittal"}
TASK_TITLES = {"abnormal": "Abnormal", "acl": "ACL tear", "meniscus": "Meniscus tear"}
ARCHITECTURE_TITLES = {
    "alexnet": "AlexNet",
    "resnet18": "ResNet-18",
    "googlenet": "GoogLeNet",
    "densenet121": "DenseNet-121",
    "mobilenet_v2": "MobileNetV2",
    "squeezenet1_1": "SqueezeNet 1.1",
    "efficientnet_b0": "EfficientNet-B0",
    "convnext_tiny": "ConvNeXt-Tiny",
}


def known_architectures() -> list[str]:
    """The names of torchvision's image classifiers, the paper's three among them."""
    import torchvision.models  # heavy, and only asked for where others than the three are named

    return torchvision.models.list_models(module=torchvision.models)


def architecture_title(architecture: str) -> str:
    """The architecture's name in print, for example ``ResNet-18`` for ``resnet18``."""
    return ARCHITECTURE_TITLES.get(architecture, architecture)


def prediction_path(results: Path, architecture: str, plane: str, task: str) -> Path:
    """Where one network's predictions are: ``predictions/<architecture>_<plane>_<task>.csv``."""
    return Path(results) / "predictions" / f"{architecture}_{plane}_{task}.csv"


def fused_path(results: Path, architecture: str, task: str) -> Path:
    """Where the fused predictions are: ``fused/<architecture>_<task>.csv``."""
    return Path(results) / "fused" / f"{architecture}_{task}.csv"


def checkpoint_path(data: Path, architecture: str, plane: str, task: str, seed: int) -> Path:
    """Where notebook 02 keeps one network, in a study's data."""
    return Path(data) / "checkpoints" / f"{architecture}_{plane}_{task}_{seed}.pt"


def history_path(results: Path, architecture: str, plane: str, task: str) -> Path:
    """Where one network's training curve is: ``history/<architecture>_<plane>_<task>.csv``."""
    return Path(results) / "history" / f"{architecture}_{plane}_{task}.csv"
