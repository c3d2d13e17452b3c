"""The settings of a study: every key a study file may have, read and checked."""

import contextlib
import dataclasses
import difflib
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from mrnetlib.files import InputError
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS


@dataclass(frozen=True)
class Settings:
    """Every key a study file may have; the defaults are the paper's settings.

    Exams
        ``data``: ``phantom`` (made on the spot), ``mrnet`` (a folder in MRNet's layout, given by
        ``exams_folder`` or the environment variable MRNET_FOLDER). ``phantom_*`` shape the
        synthetic exams, see `mrnetlib.phantom`.
    Preprocessing
        ``image_size`` in pixels, ``standardize`` the intensities or not, ``tune_fraction`` of the
        training exams held out for early stopping.
    Networks
        ``weights``: ``imagenet``, ``none``, ``pretrained`` (self-supervised on
        ``pretrain_slices``, see `mrnetlib.training.pretrain`), or a path with
        ``{architecture}`` in it.
        ``head``: ``random``, or ``probe``, see `mrnetlib.training.starting.probe_head`.
    Training
        See `mrnetlib.training.finetune.TrainingSettings` and
        `mrnetlib.training.augment.Augmentation`. ``threads``: of one training on a CPU, 0 for all
        cores. Numbers do not depend on the cores when it is fixed. ``deterministic``: see
        `mrnetlib.training.devices.set_deterministic`.
    Choices
        ``select_on``: the exams on which the best single plane is chosen (``tune``; ``test``
        repeats the habit of published code). ``fuse_on``: the exams the fusion is fitted on.
    Trying the choices
        ``make choices`` trains again what ``choices_architectures`` and ``choices_tasks`` name,
        some of the study's own, once per variant and seed (`mrnetlib.variants.recipes`):
        ``choices_seeds`` of them from ``seed`` on, and ``choices_folds`` folds for predictions
        of training exams by networks that did not see them.
    """

    description: str = ""
    data: str = "mrnet"
    exams_folder: str | None = None
    train_exams: int = 1130
    test_exams: int = 120
    phantom_format: str = "mrnet"
    phantom_protocol: str = "full"
    phantom_severity: float = 1.0
    phantom_acl_severity: float = 1.0
    phantom_meniscus_severity: float = 1.0
    phantom_other_severity: float = 1.0
    image_size: int = 256
    standardize: bool = True
    tune_fraction: float = 0.1
    architectures: tuple[str, ...] = ARCHITECTURES
    planes: tuple[str, ...] = PLANES
    tasks: tuple[str, ...] = TASKS
    weights: str = "imagenet"
    pretrain_slices: int = 20_000
    head: str = "random"
    epochs: int = 50
    patience: int = 10
    learning_rate: float = 1e-4
    weight_decay: float = 0.1
    batch_exams: int = 1
    flip: float = 0.5
    rotation: float = 25.0
    shift: float = 25.0
    precision: str = "fp32"
    compile: str = "none"
    deterministic: bool = True
    device: str = "auto"
    threads: int = 0
    fuse_on: str = "train"
    select_on: str = "tune"
    seed: int = 0
    choices_architectures: tuple[str, ...] = ARCHITECTURES
    choices_tasks: tuple[str, ...] = TASKS
    choices_seeds: int = 5
    choices_folds: int = 5


CHOICES = {
    "data": ("phantom", "mrnet"),
    "phantom_format": ("dicom", "mrnet"),
    "phantom_protocol": ("full", "small"),
    "head": ("random", "probe"),
    "precision": ("fp32", "bf16", "auto"),
    "compile": ("none", "default", "graphs"),
    "fuse_on": ("train", "tune", "train+tune"),
    "select_on": ("tune", "test"),
}

AT_LEAST = dict.fromkeys(
    ("train_exams", "test_exams", "image_size", "epochs", "batch_exams"), 1
) | {"choices_seeds": 2, "choices_folds": 2}
SHARES = ("tune_fraction", "flip")


def did_you_mean(word: str, known: list[str]) -> str:
    """A hint for a misspelt word: the nearest known one, or all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"Did you mean '{near[0]}'?"
    more = ", ..." if len(known) > 40 else ""
    return f"Known are: {', '.join(sorted(known)[:40])}{more}."


def _read(path: Path, root: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a study file and those that it extends, without checking the values."""
    if path in seen:
        raise InputError(f"{path}: extends itself. Take out the circle.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({error}). Mend it.") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected lines 'key: value', found {type(values).__name__}.")
    known = [field.name for field in dataclasses.fields(Settings)]
    for key in values:
        if key not in (*known, "extends"):
            raise InputError(f"{path}: unknown key '{key}'. {did_you_mean(str(key), known)}")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    return _read(_study_file(parent, root), root, (*seen, path)) | values


def _study_file(name: str, root: Path) -> Path:
    path = root / "studies" / f"{name}.yaml"
    if not path.is_file():
        known = [file.stem for file in (root / "studies").glob("*.yaml")]
        raise InputError(f"{path}: no such study. {did_you_mean(name, known)}")
    return path


def checked(key: str, value: Any, source: str) -> Any:
    """The value of a setting in its proper type, or an `InputError` that names `source`."""
    kind = {field.name: field.type for field in dataclasses.fields(Settings)}[key]
    allowed = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in allowed:
        return None
    if get_origin(allowed[0]) is tuple:
        words = value.replace(",", " ").split() if isinstance(value, str) else value
        if isinstance(words, list | tuple) and words and all(isinstance(w, str) for w in words):
            return _known_words(key, tuple(words), source)
        raise InputError(f"{source}: {key} is {value!r}, expected a list of names.")
    wanted = allowed[0]
    if wanted is float and type(value) in (int, str):
        # A YAML 1.1 reader takes 1e-4 for text.
        with contextlib.suppress(ValueError):
            value = float(value)
    if type(value) is not wanted:
        raise InputError(
            f"{source}: {key} is {value!r} ({type(value).__name__}), expected {wanted.__name__}."
        )
    if key in CHOICES and value not in CHOICES[key]:
        raise InputError(
            f"{source}: {key} is '{value}', expected one of {', '.join(CHOICES[key])}."
        )
    least = AT_LEAST.get(key, 0)
    if wanted in (int, float) and not least <= value < float("inf"):
        raise InputError(f"{source}: {key} is {value}, expected a number of {least} or more.")
    if key in SHARES and value > 1:
        raise InputError(f"{source}: {key} is {value}, expected a share between 0 and 1.")
    return value


def _known_words(key: str, words: tuple[str, ...], source: str) -> tuple[str, ...]:
    kind = key.removeprefix("choices_")
    known = {"planes": PLANES, "tasks": TASKS, "architectures": ARCHITECTURES}[kind]
    if kind == "architectures" and not set(words) <= set(known):
        from mrnetlib.training.networks import (
            known_architectures,  # torch is heavy, and seldom needed here
        )

        known = known_architectures()
    for word in words:
        if word not in known:
            raise InputError(f"{source}: {key}: '{word}'. {did_you_mean(word, list(known))}")
    return words


def read(name: str, root: Path) -> Settings:
    """Read ``<root>/studies/<name>.yaml`` and what it extends.

    Raises
    ------
    InputError
        For an unknown study or key (with the nearest known one), a value of the wrong type or
        out of range, and YAML that cannot be read. The message names the file.
    """
    path = _study_file(name, root)
    values = {key: checked(key, value, str(path)) for key, value in _read(path, root).items()}
    return Settings(**values)
