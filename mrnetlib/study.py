"""A study: its name, its file of settings, and its folders.

``studies/<name>.yaml`` holds flat settings; what it does not say is the paper's setting. The exams,
banks, weights and checkpoints of a study lie in ``data/<name>/``, what a run reports in
``data/<name>/results/``, and the results that were kept to compare with in ``results/<name>/``.

The command line and Snakemake use this module beside the trainings, several processes at a time, so
torch, half a gigabyte in each of them, stays out of here.
"""

import os
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mrnetlib.files import InputError
from mrnetlib.settings import KEYS, Settings, checked, did_you_mean

#: The environment variable that says where the MRNet-v1.0 folder is.
FOLDER_VARIABLE = "MRNET_FOLDER"


@dataclass(frozen=True)
class Study:
    """A study's name, settings and folders."""

    name: str
    settings: Settings
    root: Path

    @property
    def data(self) -> Path:
        """Exams, banks, weights and checkpoints: ``data/<name>``."""
        return self.root / "data" / self.name

    @property
    def results(self) -> Path:
        """A run's predictions, tables, figures, reports: ``data/<name>/results``.

        What lies in a folder within the study, ``<name>/<folder>``, has one within its results.
        """
        name, _, folder = self.name.partition("/")
        return self.root / "data" / name / "results" / folder

    @property
    def reference(self) -> Path:
        """The results that were kept, to compare a run with: ``results/<name>``."""
        return self.root / "results" / self.name

    @property
    def banks(self) -> Path:
        """The standardized slices: ``data/<name>/banks``."""
        return self.data / "banks"

    @property
    def tissues(self) -> Path:
        """A digital knee's anatomy, of the whole study: ``data/<name>/tissues``."""
        return self.root / "data" / self.name.partition("/")[0] / "tissues"

    @property
    def exams(self) -> Path:
        """The exams in MRNet's layout: the study's own, or the user's folder."""
        if self.settings.data == "phantom":
            return self.data / "exams"
        folder = self.settings.exams_folder or os.environ.get(FOLDER_VARIABLE)
        if not folder:
            raise InputError(
                f"study {self.name}: no exams. Give the folder with MRNet's 'train' and 'valid' as "
                f"exams_folder in the study file or in the environment variable {FOLDER_VARIABLE}."
            )
        path = self.root / Path(folder).expanduser()
        if not path.is_dir():
            raise InputError(
                f"study {self.name}: {path} is no folder. Expected the one with 'train' and "
                f"'valid'; mend exams_folder in the study file or {FOLDER_VARIABLE}."
            )
        return path

    def weights_file(self, architecture: str) -> Path | None:
        """The file that an architecture's backbones start from, None where they need none.

        ``data/<name>/weights/<architecture>.pt`` where the study pretrains its own; the user's
        file, with ``~`` and ``{architecture}`` put in and from the study's root, where ``weights``
        is a path; for ``imagenet`` what ``python -m mrnetlib weights`` has got of the architecture,
        None where torchvision is to look for its own; None for ``none``.
        """
        weights = self.settings.weights
        if weights == "none":
            return None
        if weights == "imagenet":
            path = imagenet_folder(self.root) / f"{architecture}.pt"
            return path if path.is_file() else None
        if weights == "pretrained":
            return self.data / "weights" / f"{architecture}.pt"
        return self.root / Path(weights.replace("{architecture}", architecture)).expanduser()

    def inside(self, folder: str, **changes: Any) -> "Study":
        """The study with its files in a folder within its own, and with some settings changed."""
        return Study(f"{self.name}/{folder}", replace(self.settings, **changes), self.root)

    def caption(self) -> str:
        """What every table and figure says of its data."""
        return f"study {self.name}: {self.settings.description}"


def imagenet_folder(root: Path) -> Path:
    """Where ImageNet weights that pip has brought are, for all studies: ``data/weights``."""
    return root / "data" / "weights"


def find_root() -> Path:
    """The folder with ``studies`` and the ``Snakefile``: here, above here, or the library's."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (folder / "studies").is_dir() and (folder / "Snakefile").is_file():
            return folder
    raise InputError(
        f"{here}: neither this folder nor one above it is the study's (no 'studies' and "
        "'Snakefile' in it). Change into the folder of the study."
    )


def load(name: str, root: Path | None = None) -> Study:
    """Read ``studies/<name>.yaml``; see `read` for what is refused."""
    root = root or find_root()
    return Study(name, read(name, root), root)


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


def _parsed(path: Path) -> dict[str, Any]:
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


def _read(path: Path, root: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a study file and those that it extends, without checking the values."""
    if path in seen:
        raise InputError(f"{path}: extends itself. Take out the circle.")
    values = _parsed(path)
    for name in values:
        if name not in (*KEYS, "extends"):
            raise InputError(f"{path}: unknown key '{name}'. {did_you_mean(str(name), list(KEYS))}")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise InputError(f"{path}: extends is {parent!r}, expected the name of a study.")
    return _read(_study_file(parent, root), root, (*seen, path)) | values


def _study_file(name: str, root: Path) -> Path:
    path = root / "studies" / f"{name}.yaml"
    if not path.is_file():
        known = [file.stem for file in (root / "studies").glob("*.yaml")]
        raise InputError(f"{path}: no such study. {did_you_mean(name, known)}")
    return path


def read(name: str, root: Path) -> Settings:
    """Read ``<root>/studies/<name>.yaml`` and what it extends.

    Raises
    ------
    InputError
        For an unknown study or key (with the nearest known one), a key that is given twice, a
        value of the wrong type or out of range, and YAML that cannot be read. The message names
        the file.
    """
    path = _study_file(name, root)
    values = {key: checked(key, value, str(path)) for key, value in _read(path, root).items()}
    settings = Settings(**values)
    for word in settings.once:
        if word not in settings.architectures:
            raise InputError(
                f"{path}: once names '{word}', which is none of the study's architectures, "
                f"{', '.join(settings.architectures)}. Take it out, or 'once: []' for none."
            )
    return settings
