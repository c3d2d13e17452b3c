"""A study: its settings, its folders, and the steps that need both.

``studies/<name>.yaml`` holds flat settings; what it does not say is the paper's setting. The exams,
banks, weights and checkpoints of a study lie in ``data/<name>/``, what it reports in
``results/<name>/``.

The command line and Snakemake use this module beside the trainings, several processes at a time, so
torch, half a gigabyte in each of them, is only imported where it is used.
"""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrnetlib.files import InputError, write_csv
from mrnetlib.settings import Settings, checked, did_you_mean, read

__all__ = [
    "Study",
    "checked",
    "did_you_mean",
    "find_root",
    "load",
    "prepare_weights",
    "use_machine",
]

if TYPE_CHECKING:
    import torch

    from mrnetlib.phantom import Protocol
    from mrnetlib.training.finetune import TrainingSettings

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
        """Predictions, tables, figures, reports: ``results/<name>``."""
        return self.root / "results" / self.name

    @property
    def banks(self) -> Path:
        """The standardized slices: ``data/<name>/banks``."""
        return self.data / "banks"

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

    def caption(self) -> str:
        """What every table and figure says of its data."""
        return f"study {self.name}: {self.settings.description}"

    def training_settings(self, **changes: Any) -> "TrainingSettings":
        """The settings of the training loop; `changes` that are not None replace some."""
        from mrnetlib.training.augment import Augmentation
        from mrnetlib.training.finetune import TrainingSettings

        values = dataclasses.asdict(self.settings) | {
            key: checked(key, value, "parameter")
            for key, value in changes.items()
            if value is not None
        }
        chosen = {
            cls: {f.name: values[f.name] for f in dataclasses.fields(cls) if f.name in values}
            for cls in (Augmentation, TrainingSettings)
        }
        augmentation = Augmentation(**chosen[Augmentation])
        return TrainingSettings(augmentation=augmentation, **chosen[TrainingSettings])

    def phantom_protocol(self) -> "Protocol":
        """How the synthetic exams are acquired: `small_protocol` or, at 256 pixels, MRNet's."""
        from mrnetlib.phantom import Protocol, small_protocol

        settings = self.settings
        severities = {
            name: getattr(settings, f"phantom_{name}")
            for name in ("severity", "acl_severity", "meniscus_severity", "other_severity")
        }
        if settings.phantom_protocol == "small":
            return small_protocol(settings.image_size, **severities)
        return Protocol(settings.image_size, **severities)


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
    """Read ``studies/<name>.yaml``; see `mrnetlib.settings.read` for what is refused."""
    root = root or find_root()
    return Study(name, read(name, root), root)


def use_machine(study: Study) -> "torch.device":
    """Choose the device and the number of threads that the study's settings name.

    With a fixed number of threads, results are repeatable on one processor. On a GPU see
    `mrnetlib.training.devices.set_deterministic`.
    """
    import torch
    from threadpoolctl import threadpool_limits

    from mrnetlib.training.devices import choose_device, keep_freed_memory, set_deterministic

    if study.settings.threads:
        torch.set_num_threads(study.settings.threads)
        threadpool_limits(study.settings.threads)
    keep_freed_memory()
    set_deterministic(study.settings.deterministic)
    return choose_device(study.settings.device)


def weights_path(study: Study, architecture: str) -> Path:
    """Where the study's own pretrained backbone is: ``data/<name>/weights/<architecture>.pt``."""
    return study.data / "weights" / f"{architecture}.pt"


def prepare_weights(study: Study, architecture: str, again: bool = False) -> str:
    """What `mrnetlib.training.starting.starting_backbone` starts from, pretrained first if need be.

    The losses of a pretraining go to ``results/<name>/pretraining/<architecture>.csv``; `again`
    repeats one. A path of the user's is taken from the study's root.
    """
    settings = study.settings
    if settings.weights in ("imagenet", "none"):
        return settings.weights
    if settings.weights != "pretrained":
        return str(study.root / Path(settings.weights).expanduser())
    path = weights_path(study, architecture)
    if again or not path.is_file():
        _pretrain(study, architecture, path)
    return str(path)


def _pretrain(study: Study, architecture: str, path: Path) -> None:
    from mrnetlib.exams.banks import ExamBank
    from mrnetlib.training import pretrain
    from mrnetlib.training.starting import starting_backbone

    settings = study.settings
    device = use_machine(study)
    banks = [ExamBank.open(study.banks, "train", plane) for plane in settings.planes]
    backbone = starting_backbone(architecture, "none", settings.seed).to(device)
    chosen = pretrain.PretrainSettings(
        settings.pretrain_slices, precision=settings.precision, seed=settings.seed
    )
    history = pretrain.pretrain(backbone, banks, chosen)
    write_csv(study.results / "pretraining" / f"{architecture}.csv", history)
    pretrain.save_backbone(backbone, path)
