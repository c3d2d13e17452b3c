"""Trained networks as files that people can carry: one folder an architecture and seed.

``models/<architecture>/<seed>/`` holds a network per plane and task as safetensors, and all that a
reading needs besides: the scale of the grey values, the fusion's coefficients, what the networks
said of the test exams, how the training exams are spread, the study's settings, and a model card.
``manifest.json`` names every file with its SHA-256. What one of these folders holds belongs
together; `load` refuses a folder that is not whole, and folders of different studies.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mrnetlib.exams import intensity
from mrnetlib.files import (
    MANIFEST,
    InputError,
    broken_part,
    read_json,
    sha256,
    write_json,
    written_whole,
)
from mrnetlib.names import architecture_title
from mrnetlib.training.networks import ExamNetwork, build_backbone

#: The files of a folder besides its networks.
MODEL, LANDMARKS, TEST = "model.json", "landmarks.json", "test.csv"
TRAINING, CARD = "training.safetensors", "MODEL_CARD.md"

#: Another number is another form of these files.
FORM = 1

#: In what members that are averaged have to agree: a key of `MODEL` and its name in words.
SAME = {
    "study": "study",
    "image_size": "image size",
    "planes": "planes",
    "tasks": "tasks",
    "standard": "grey scale",
    "test_exams": "test exams",
}


def network_file(plane: str, task: str) -> str:
    """The name of a network's file."""
    return f"{plane}_{task}.safetensors"


def save_network(path: Path, network: ExamNetwork, dtype: torch.dtype) -> None:
    """Write a network's weights in `dtype`; its statistics keep float32."""
    buffers = {name for name, _ in network.named_buffers()}
    state = {
        name: (value if name in buffers else value.to(dtype)).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    with written_whole(path) as temporary:
        save_file(state, temporary)


def load_network(path: Path, architecture: str) -> ExamNetwork:
    """A network from its file, in float32, in evaluation mode; `InputError` where it is not one."""
    try:
        return network_of(load_file(path), architecture)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(
            f"{path}: holds no network of {architecture_title(architecture)} "
            f"({type(error).__name__}). Take the whole folder from its source again."
        ) from None


def network_of(state: dict[str, Tensor], architecture: str) -> ExamNetwork:
    """The network of a state, in float32, in evaluation mode."""
    with torch.device("meta"):  # what would be drawn at random here is overwritten anyway
        network = ExamNetwork(build_backbone(architecture), 0.0, 1.0)
    single = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    network.load_state_dict(single, assign=True)
    return network.requires_grad_(False).to(memory_format=torch.channels_last).eval()


def seal(folder: Path) -> None:
    """Write the manifest of a folder whose other files are all there."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    write_json(folder / MANIFEST, {"form": FORM, "files": files})


@dataclass(frozen=True)
class Member:
    """The networks of one architecture and seed, and what goes with them.

    Attributes
    ----------
    folder : where they lie.
    model : what ``model.json`` says, see `mrnetlib.reading.export.describe`.
    files : name -> SHA-256.
    """

    folder: Path
    model: Mapping[str, Any]
    files: Mapping[str, str]
    networks: dict[tuple[str, str], ExamNetwork] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Architecture and seed, as in ``alexnet 2020``."""
        return f"{self.model['architecture']} {self.model['seed']}"

    def network(self, plane: str, task: str) -> ExamNetwork:
        """A network, read from the disk once."""
        if (plane, task) not in self.networks:
            path = self.folder / network_file(plane, task)
            self.networks[plane, task] = load_network(path, self.model["architecture"])
        return self.networks[plane, task]

    @cached_property
    def landmarks(self) -> dict[str, intensity.Landmarks] | None:
        """The standard grey scale of each plane, None where the study has none."""
        path = self.folder / LANDMARKS
        return intensity.load(path) if path.is_file() else None

    @cached_property
    def test(self) -> pd.DataFrame:
        """What the networks said of the test exams: columns row, task, plane, label, probability.

        ``row`` tells the exams apart, the same in all members of a study, and names none.
        """
        return pd.read_csv(self.folder / TEST)

    @cached_property
    def training(self) -> dict[str, Tensor]:
        """How the training exams are spread, see `mrnetlib.reading.distances`."""
        return load_file(self.folder / TRAINING)


@dataclass(frozen=True)
class Models:
    """Members of one study, whose probabilities are averaged."""

    members: list[Member]

    @property
    def first(self) -> Member:
        """The member whose scale and training exams an exam is compared with."""
        return self.members[0]

    def checksums(self) -> dict[str, str]:
        """Every file that a reading depends on -> SHA-256."""
        return {
            f"{member.name.replace(' ', '/')}/{name}": checksum
            for member in self.members
            for name, checksum in member.files.items()
        }


def folders_in(place: Path) -> list[Path]:
    """The members' folders in a study's results, in its ``models``, or a member's own."""
    place = Path(place)
    start = place / "models" if (place / "models").is_dir() else place
    found = sorted(path.parent for path in start.rglob(MANIFEST))
    if not found:
        raise InputError(
            f"{place}: holds no trained networks (no {MANIFEST} in it). Give the results of a "
            "study with models, as in results/phantom, or make them with "
            "'python -m mrnetlib study NAME', which writes data/NAME/results/models."
        )
    return found


def _load_member(folder: Path) -> Member:
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("form") != FORM:
        raise InputError(
            f"{folder / MANIFEST}: not of form {FORM}, which this version reads. Make the models "
            "again, or read them with the version that made them."
        )
    broken = broken_part(folder, manifest)
    lacking = sorted({MODEL, TEST, TRAINING} - set(manifest.get("files", ())))
    if broken or lacking:
        raise InputError(
            f"{folder / (broken or lacking[0])}: is missing, or not the file that {MANIFEST} names "
            "(another checksum). Take the whole folder from its source again; parts of other "
            "models do not fit."
        )
    model = read_json(folder / MODEL)
    files = {**manifest["files"], MANIFEST: sha256(folder / MANIFEST)}
    return Member(folder, model, files)


def load(place: Path, architectures: list[str] | None = None) -> Models:
    """The networks of a study, every file of theirs checked.

    Parameters
    ----------
    place : see `folders_in`.
    architectures : those to use; all that are there by default.

    Raises
    ------
    InputError
        Where there are none, where a file is missing, damaged or of another model, and where the
        members are not of one study.
    """
    members = [_load_member(folder) for folder in folders_in(place)]
    there = list(dict.fromkeys(member.model["architecture"] for member in members))
    for name in architectures or ():
        if name not in there:
            raise InputError(f"{place}: no networks of {name}; there are {', '.join(there)}.")
    members = [m for m in members if m.model["architecture"] in (architectures or there)]
    for member in members[1:]:
        _check_kin(members[0], member)
    return Models(members)


def _check_kin(first: Member, other: Member) -> None:
    for key, words in SAME.items():
        ours, theirs = first.model.get(key), other.model.get(key)
        if ours != theirs:
            raise InputError(
                f"{other.folder}: another {words} than {first.folder} ({_short(theirs)} instead of "
                f"{_short(ours)}). Networks of different studies are not averaged: give one of "
                "the two folders."
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:57]}..."
