"""A study: its name, its settings and its folders.

``studies/<name>.yaml`` holds flat settings; what it does not say is the paper's setting. The exams,
banks, weights and checkpoints of a study lie in ``data/<name>/``, what it reports in
``results/<name>/``.

The command line and Snakemake use this module beside the trainings, several processes at a time, so
torch, half a gigabyte in each of them, stays out of here.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from mrnetlib.files import InputError
from mrnetlib.settings import Settings, read

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

    def weights_file(self, architecture: str) -> Path | None:
        """The file that an architecture's backbones start from, None where they need none.

        ``data/<name>/weights/<architecture>.pt`` where the study pretrains its own; the user's
        file, with ``~`` and ``{architecture}`` put in and from the study's root, where ``weights``
        is a path; nothing for ``imagenet`` and ``none``.
        """
        weights = self.settings.weights
        if weights in ("imagenet", "none"):
            return None
        if weights == "pretrained":
            return self.data / "weights" / f"{architecture}.pt"
        return self.root / Path(weights.replace("{architecture}", architecture)).expanduser()

    def caption(self) -> str:
        """What every table and figure says of its data."""
        return f"study {self.name}: {self.settings.description}"


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
