"""The settings of a study: every key a study file may have, and how its value is checked.

A key is one line of `Settings`: its type, its default, its limits, and the steps of the study that
read it. What a checkpoint is compared by, and what the Snakefile runs again, follow from these.
"""

import contextlib
import dataclasses
import difflib
import re
import types
from collections.abc import Hashable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from mrnetlib.files import InputError
from mrnetlib.fusion import FITTED_ON
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS, known_architectures

#: The steps of a study in the chain's order.
STEPS = ("exams", "preprocessing", "pretraining", "training", "fusion", "comparison", "choices")

#: What tells a path from a word.
LIKE_A_PATH = re.compile(r"[./\\~{]")

#: What only captions show is read whenever something is drawn, tolerances when runs are compared.
DRAWING, VERIFY = "drawing", "verify"


def key(
    default: Any,
    *steps: str,
    least: int = 0,
    most: float = inf,
    within: bool = False,
    of: tuple[str, ...] = (),
    files: bool = False,
    augments: bool = False,
) -> Any:
    """A line of `Settings`.

    Parameters
    ----------
    steps : those of `STEPS`, `DRAWING` or `VERIFY` that read the key themselves.
    least, most : limits of a number; strictly between them where it has to lie `within`.
    of : the words that are allowed; none where any text is.
    files : whether a file's path is allowed, too.
    augments : whether the key is how far a training exam may be changed, 0 for not at all.
    """
    about = {"steps": steps, "least": least, "most": most, "within": within}
    about |= {"of": of, "files": files, "augments": augments}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """Every key a study file may have; the defaults are the paper's settings.

    Exams
        ``data``: synthetic ones made on the spot, or a folder in MRNet's layout, given by
        ``exams_folder`` or the environment variable MRNET_FOLDER. ``phantom_*`` shape the
        synthetic exams, see `mrnetlib.phantom`. ``tune_fraction`` of the training exams are held
        out for early stopping.
    Preprocessing
        ``image_size`` in pixels, below which AlexNet has nothing left to pool; whether to
        ``standardize`` the intensities.
    Networks
        ``weights``: ``imagenet``, ``none``, ``pretrained`` (self-supervised on
        ``pretrain_slices``, see `mrnetlib.training.pretrain`), or a path, from the study's root,
        with ``{architecture}`` in it. ``head``: see `mrnetlib.training.starting.probe_head`.
        ``freeze``: ``none``, ``backbone`` (all but the head), or ``early`` (all but the head and
        the last block, see `mrnetlib.training.blocks`). ``block_rate``: the learning rate of each
        block is that of the part behind it times this, 1 for one rate for all. ``batch_norm``
        divides by the spread of the step's own slices (``batch``), or by that which the starting
        weights bring (``kept``; random weights bring none, and it is the same), see
        `mrnetlib.training.networks.ExamNetwork.keep_statistics`.
    Training
        At most ``epochs`` passes over the training exams, of which at most ``exams`` are used, as
        the seed draws them; 0 for all. ``patience``: epochs without a lower
        loss on the tuning exams after which it stops. ``learning_rate`` and ``weight_decay`` of
        ``torch.optim.Adam`` (the decay is an L2 penalty); by ``schedule`` the rate stays
        ``constant`` or follows a ``cosine`` over ``epochs``, see
        `mrnetlib.training.finetune.rate_at`. ``batch_exams`` in a step; with batch norm another
        number is another model.
        ``flip`` axial and coronal exams with this probability and sagittal ones, of which a flip
        makes no other knee, with that of ``flip_sagittal``, turn by at most ``rotation`` degrees
        and move by at most ``shift`` pixels of 256 along each axis, see
        `mrnetlib.training.augment`; the paper's "0.5 %" is read as a probability of 0.5.
        ``precision``: bf16 is autocast, ``auto`` takes it where the processor or GPU has it.
        ``compile``: see `mrnetlib.training.devices.compile_backbone`. ``deterministic``: see
        `mrnetlib.training.devices.set_deterministic`. ``device``: ``auto``, or torch's name.
        ``threads`` of one training on a CPU, 0 for all cores; numbers do not depend on the cores
        when it is fixed. ``seed`` of all that is drawn. Every network is trained with ``seeds``
        seeds from it on, those of the architectures in ``once`` with the first only (`seeds_of`).
    Choices
        ``fuse_on``: the exams the fusion is fitted on. ``select_on``: the exams on which the best
        single plane is chosen (``test`` repeats the habit of published code). ``scratch_study``:
        the same study without pretraining, whose committed results stand beside; none where empty.
    Trying the choices
        ``make choices`` trains again what ``choices_architectures`` and ``choices_tasks`` name,
        some of the study's own, once per variant and seed (`mrnetlib.variants.recipes`):
        ``choices_seeds`` of them from ``seed`` on, and ``choices_folds`` folds for predictions
        of training exams by networks that did not see them.
    Keeping a run, comparing with it (`mrnetlib.chain.keep`, `mrnetlib.evaluation.verify`)
        ``keep_models``: of these architectures the trained networks of the first seed are kept
        too. How far their numbers may differ, in units of the AUC and of a rate:
        ``tolerance_table`` for Table I's AUCs, ``tolerance_table_rate`` for what is decided at a
        threshold, ``tolerance_single`` and ``tolerance_single_rate`` for one network or fused
        model of one seed, ``tolerance_baseline`` where no network is trained.
    """

    description: str = key("", DRAWING)
    data: str = key("mrnet", "exams", of=("phantom", "mrnet"))
    exams_folder: str | None = key(None, "exams")
    train_exams: int = key(1130, "exams", least=1)
    test_exams: int = key(120, "exams", least=1)
    phantom_format: str = key("mrnet", "exams", of=("dicom", "mrnet"))
    phantom_protocol: str = key("full", "exams", of=("full", "small"))
    phantom_severity: float = key(1.0, "exams")
    phantom_acl_severity: float = key(1.0, "exams")
    phantom_meniscus_severity: float = key(1.0, "exams")
    phantom_other_severity: float = key(1.0, "exams")
    image_size: int = key(256, "exams", "preprocessing", least=63)
    standardize: bool = key(True, "preprocessing")
    tune_fraction: float = key(0.1, "exams", most=1, within=True)
    architectures: tuple[str, ...] = key(ARCHITECTURES, "fusion", "comparison", of=ARCHITECTURES)
    planes: tuple[str, ...] = key(
        PLANES, "preprocessing", "pretraining", "fusion", "comparison", of=PLANES
    )
    tasks: tuple[str, ...] = key(TASKS, "preprocessing", "fusion", "comparison", of=TASKS)
    weights: str = key("imagenet", "training", of=("imagenet", "none", "pretrained"), files=True)
    pretrain_slices: int = key(20_000, "pretraining")
    head: str = key("random", "training", of=("random", "probe"))
    freeze: str = key("none", "training", of=("none", "backbone", "early"))
    block_rate: float = key(1.0, "training", most=1)
    batch_norm: str = key("batch", "training", of=("batch", "kept"))
    exams: int = key(0, "training")
    epochs: int = key(50, "training", least=1)
    patience: int = key(10, "training")
    learning_rate: float = key(1e-4, "training")
    schedule: str = key("constant", "training", of=("constant", "cosine"))
    weight_decay: float = key(0.1, "training")
    batch_exams: int = key(1, "training", least=1)
    flip: float = key(0.5, "training", most=1, augments=True)
    flip_sagittal: float = key(0.5, "training", most=1, augments=True)
    rotation: float = key(25.0, "training", augments=True)
    shift: float = key(25.0, "training", augments=True)
    precision: str = key("fp32", "pretraining", "training", of=("fp32", "bf16", "auto"))
    compile: str = key("none", "training", of=("none", "default", "graphs"))
    deterministic: bool = key(True, "pretraining", "training")
    device: str = key("auto", "pretraining", "training")
    threads: int = key(0, "pretraining", "training")
    fuse_on: str = key("train", "fusion", of=FITTED_ON)
    select_on: str = key("tune", "comparison", of=("tune", "test"))
    scratch_study: str = key("", "comparison")
    seed: int = key(0, "exams", "pretraining", "training")
    seeds: int = key(1, "training", least=1)
    once: tuple[str, ...] = key((), "training", of=ARCHITECTURES)
    choices_architectures: tuple[str, ...] = key(ARCHITECTURES, "choices", of=ARCHITECTURES)
    choices_tasks: tuple[str, ...] = key(TASKS, "choices", of=TASKS)
    choices_seeds: int = key(5, "choices", least=2)
    choices_folds: int = key(5, "choices", least=2)
    keep_models: tuple[str, ...] = key((), VERIFY, of=ARCHITECTURES)
    tolerance_table: float = key(0.03, VERIFY, most=1)
    tolerance_table_rate: float = key(0.1, VERIFY, most=1)
    tolerance_single: float = key(0.12, VERIFY, most=1)
    tolerance_single_rate: float = key(0.3, VERIFY, most=1)
    tolerance_baseline: float = key(0.01, VERIFY, most=1)

    def seeds_of(self, architecture: str) -> tuple[int, ...]:
        """The seeds of an architecture's networks: other heads, orders, augmentation, dropout.

        They share the exams, the tuning split and, where there are any, the starting weights.
        """
        count = 1 if architecture in self.once else self.seeds
        return tuple(range(self.seed, self.seed + count))

    def of_seed(self, seed: int) -> "Settings":
        """The settings of one training, which how many others there are does not change."""
        return dataclasses.replace(self, seed=seed, seeds=1, once=())


KEYS = {field.name: field for field in dataclasses.fields(Settings)}


def keys_of(step: str) -> list[str]:
    """The keys that a step of `STEPS`, `DRAWING` or `VERIFY` reads, in the order of `Settings`.

    A step also depends on the files of those before it; ``choices`` trains, fuses and compares
    again, and so reads the keys of these steps too.
    """
    known = [*STEPS, DRAWING, VERIFY]
    if step not in known:
        raise ValueError(f"'{step}' is no step. {did_you_mean(step, known)}")
    return [name for name, field in KEYS.items() if step in field.metadata["steps"]]


def augmentations() -> list[str]:
    """The keys that say how far a training exam may be changed; all 0 is no augmentation."""
    return [name for name, field in KEYS.items() if field.metadata["augments"]]


def values_of(settings: Settings, step: str) -> dict[str, Any]:
    """The settings that a step reads itself, to tell runs of it apart."""
    return {name: getattr(settings, name) for name in keys_of(step)}


def changed(settings: Settings, source: str = "parameter", **changes: Any) -> Settings:
    """The settings with those `changes` that are not None, each checked as in a study file."""
    given = {name: value for name, value in changes.items() if value is not None}
    checks = {name: checked(name, value, source) for name, value in given.items()}
    return dataclasses.replace(settings, **checks)


def did_you_mean(word: str, known: list[str]) -> str:
    """A hint for a misspelt word: the nearest known one, or all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"Did you mean '{near[0]}'?"
    more = ", ..." if len(known) > 40 else ""
    return f"Known are: {', '.join(sorted(known)[:40])}{more}."


def checked(name: str, value: Any, source: str) -> Any:
    """The value of a setting in its proper type, or an `InputError` that names `source`."""
    kind = KEYS[name].type
    allowed = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in allowed:
        return None
    wanted = allowed[0]
    if get_origin(wanted) is tuple:
        return _words(name, value, source)
    if wanted is float and type(value) in (int, str):
        # A YAML 1.1 reader takes 1e-4 for text.
        with contextlib.suppress(ValueError, OverflowError):
            value = float(value)
    if type(value) is not wanted:
        raise InputError(
            f"{source}: {name} is {value!r} ({type(value).__name__}), expected {wanted.__name__}."
        )
    _check_limits(name, value, source)
    return value


def _check_limits(name: str, value: Any, source: str) -> None:
    about = KEYS[name].metadata
    least, most, words = about["least"], about["most"], about["of"]
    if words and value not in words and not (about["files"] and LIKE_A_PATH.search(value)):
        more = ", or a file's path" if about["files"] else ""
        raise InputError(
            f"{source}: {name} is '{value}', expected one of {', '.join(words)}{more}."
        )
    if type(value) not in (int, float):
        return
    if about["within"] and value in (least, most):
        raise InputError(
            f"{source}: {name} is {value}, expected a share above {least} and below {most}."
        )
    if most < inf and not least <= value <= most:
        raise InputError(
            f"{source}: {name} is {value}, expected a share between {least} and {most}."
        )
    if not least <= value < inf:
        raise InputError(f"{source}: {name} is {value}, expected a number of {least} or more.")


def _words(name: str, value: Any, source: str) -> tuple[str, ...]:
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    listed = isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)
    if not listed or not (words or KEYS[name].default == ()):
        raise InputError(f"{source}: {name} is {value!r}, expected a list of names.")
    known = KEYS[name].metadata["of"]
    if known is ARCHITECTURES and not set(words) <= set(known):
        known = known_architectures()
    for place, word in enumerate(words):
        if word not in known:
            raise InputError(f"{source}: {name}: '{word}'. {did_you_mean(word, list(known))}")
        if word in words[:place]:
            raise InputError(f"{source}: {name} names '{word}' twice, expected each once.")
    return tuple(words)


class _StudyLoader(yaml.SafeLoader):
    """YAML without a key that is given twice, of which PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for place, _ in node.value:
            if place.tag == "tag:yaml.org,2002:merge":
                continue
            name, line = self.construct_object(place, deep=True), place.start_mark.line + 1
            if not isinstance(name, Hashable):
                raise InputError(f"line {line}: {name!r} cannot be a key, expected a word.")
            if name in seen:
                raise InputError(
                    f"line {line}: key '{name}' is given a second time. Take one of them out."
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def parsed(path: Path) -> dict[str, Any]:
    """The keys and values of one study file, unchecked but for their being keys and values."""
    try:
        # SafeLoader's own constructors, and the check for keys that are given twice.
        values = yaml.load(path.read_text(encoding="utf-8"), _StudyLoader)
    except InputError as error:
        raise InputError(f"{path}, {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}). Save it as UTF-8.") from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: for a date that there is not
        raise InputError(f"{path}: not valid YAML ({error}). Mend it.") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected lines 'key: value', found {type(values).__name__}.")
    return values
