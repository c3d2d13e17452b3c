"""A study: its name, its file of settings, and its folders.

``studies/<name>.yaml`` holds flat settings; what it does not say is the paper's setting. The exams,
banks, weights and checkpoints of a study lie in ``data/<name>/``, what a run reports in
``data/<name>/results/``, and the results that were kept to compare with in ``results/<name>/``.

A study that ``extends`` another and agrees with it in all that a step and those before it read
need not do that step again: `shared_steps` says which these are, and `take_over` brings their files
from the other study's folder.

The command line and Snakemake use this module beside the trainings, several processes at a time, so
torch, half a gigabyte in each of them, stays out of here.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from mrnetlib.files import InputError, placed, read_json, write_json
from mrnetlib.names import SPLITS, history_path, prediction_path
from mrnetlib.settings import KEYS, Settings, checked, did_you_mean, parsed, values_of

#: The environment variable that says where the MRNet-v1.0 folder is.
FOLDER_VARIABLE = "MRNET_FOLDER"

#: The note of what a study has taken over from another.
TAKEN = "taken_over.json"

#: The files of the chain that a study may take over from another, from ``data/<name>``, by the step
#: that makes them. What the steps after these make takes seconds.
MADE = {
    "exams": (
        *("exams.csv", "runs/00_exams.json", "results/00_exams.html"),
        *(f"results/figures/{name}.png" for name in ("labels", "exam", "pipeline")),
    ),
    "preprocessing": (
        *("banks/{split}_{plane}.npy", "banks/{split}_{plane}.json", "landmarks.json"),
        *("results/baseline.csv", "runs/01_preprocessing.json", "results/01_preprocessing.html"),
        "results/figures/histograms.png",
    ),
    "pretraining": (
        *("weights/{architecture}.pt", "results/pretraining/{architecture}.csv"),
        "runs/pretraining_{architecture}.json",
    ),
    "training": (
        prediction_path("results", "{architecture}", "{plane}", "{task}").as_posix(),
        history_path("results", "{architecture}", "{plane}", "{task}").as_posix(),
        "results/02_per_plane_training_{architecture}_{plane}.html",
        "runs/02_per_plane_training_{architecture}_{plane}.json",
    ),
}

#: What they make besides, of which the chain does not know.
BESIDE = {
    "exams": ("dicom", "exams", "lesions", "tissues", "exams.json", "phantom.json"),
    "training": ("checkpoints/{architecture}_*.pt",),
}


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


def _read(path: Path, root: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a study file and those that it extends, without checking the values."""
    if path in seen:
        raise InputError(f"{path}: extends itself. Take out the circle.")
    values = parsed(path)
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


def parent_of(study: Study) -> Study | None:
    """The study that a study's file extends; None where there is none."""
    path = study.root / "studies" / f"{study.name}.yaml"
    name = parsed(path).get("extends") if path.is_file() else None
    return load(name, study.root) if name else None


def shared_steps(study: Study, parent: Study) -> dict[str, tuple[str, ...]]:
    """The steps of `MADE` whose files a study takes over from its parent.

    A step is shared where the two agree in every setting that it and the steps before it read.

    Returns
    -------
    The architectures of each shared step: those of both studies and, for the training, with the
    same seeds. The exams, the banks and their pictures have none of their own.
    """
    own, other = study.settings, parent.settings
    both = tuple(name for name in own.architectures if name in other.architectures)
    shared = {}
    for step in MADE:
        values = [values_of(settings, step) for settings in (own, other)]
        if step == "pretraining" and own.weights != "pretrained":
            continue
        if step == "training":
            both = tuple(name for name in both if own.seeds_of(name) == other.seeds_of(name))
            values = [value | {"seeds": 0, "once": ()} for value in values]
        weights = own.weights == other.weights or step != "pretraining"
        if values[0] != values[1] or not weights:
            break
        shared[step] = both
    return shared


def taken_over(study: Study) -> tuple[Study | None, dict[str, tuple[str, ...]]]:
    """The parent of a study and its `shared_steps`; None and none where there are none."""
    parent = parent_of(study)
    shared = shared_steps(study, parent) if parent else {}
    return (parent, shared) if shared else (None, {})


def lineage(study: Study) -> list[Study]:
    """The studies whose files a study takes over, the farthest first, and itself."""
    parent, _ = taken_over(study)
    return [*(lineage(parent) if parent else ()), study]


def files_of(study: Study, shared: dict[str, tuple[str, ...]]) -> list[str]:
    """The files in `MADE` of these steps and architectures, from ``data/<name>``."""
    keys, found = ("architecture", "plane", "task", "split"), {}
    for step, architectures in shared.items():
        patterns = [one for one in MADE[step] if architectures or "{architecture}" not in one]
        words = architectures or [""], study.settings.planes, study.settings.tasks, SPLITS
        for pattern, values in product(patterns, product(*words)):
            found[pattern.format(**dict(zip(keys, values, strict=True)))] = None
    return list(found)


def wanted_of_parents(study: Study) -> Iterator[tuple[Study, list[str], str]]:
    """The studies that others are taken over from, the files for that, and a sentence on it."""
    for parent, heir in pairwise(lineage(study)):
        shared = taken_over(heir)[1]
        paths = [parent.data / name for name in files_of(parent, shared)]
        words = f"study {heir.name}: {', '.join(shared)} of study {parent.name}"
        yield parent, [str(path.relative_to(study.root)) for path in paths], words


def is_taken(study: Study) -> bool:
    """Whether `take_over` finds nothing to do."""
    note, now = study.data / TAKEN, _taken(study)
    there = all((study.data / name).is_file() for name in now.get("files", ()))
    return there and (read_json(note) if note.is_file() else {}) == now


def take_over(study: Study) -> None:
    """Bring the files of the `shared_steps` from the parent's folder, without a second copy.

    They are hard links where the file system has such: as no file is ever changed in place, what
    either study makes anew leaves the other's as it is. What was taken over before and is shared no
    longer is removed, so that the chain makes it. ``taken_over.json`` says what is whose.
    """
    if is_taken(study):
        return
    note, now = study.data / TAKEN, _taken(study)
    before = read_json(note) if note.is_file() else {}
    for name in set(before.get("files", ())) - set(now.get("files", ())):
        (study.data / name).unlink(missing_ok=True)
    for name in now.get("files", ()):
        placed(study.root / "data" / now["study"] / name, study.data / name)
    write_json(note, now)


def _taken(study: Study) -> dict[str, Any]:
    """What `TAKEN` is to say: of which study, what it has noted of its runs, the files."""
    parent, shared = taken_over(study)
    if parent is None:
        return {}
    names, data = files_of(parent, shared), parent.data
    notes = [data / name for name in names if name.startswith("runs/") and (data / name).is_file()]
    for step, pattern in ((key, one) for key in shared for one in BESIDE.get(key, ())):
        for place in {pattern.format(architecture=name) for name in shared[step] or [""]}:
            inside = (path for top in data.glob(place) for path in (top, *top.rglob("*")))
            names += [p.relative_to(data).as_posix() for p in inside if p.is_file()]
    runs = {note.stem: read_json(note).get("started") for note in notes}
    return {"study": parent.name, "steps": list(shared), "runs": runs, "files": sorted(names)}
