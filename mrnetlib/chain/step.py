"""A step of a study's chain, and the names of the files that steps read and make.

Paths are text from the study's root on, as Snakemake takes them; those of folders end in ``/``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from mrnetlib.files import InputError
from mrnetlib.names import SPLITS, fused_path, history_path, prediction_path
from mrnetlib.study import Study

#: Packages whose versions the digits of a step depend on.
NUMBERS = ("numpy", "scipy", "pandas")
LEARNING = ("numpy", "torch", "torchvision", "scikit-learn")


@dataclass(frozen=True)
class Step:
    """One job of the chain.

    Attributes
    ----------
    rule : of the Snakefile.
    run : the name of its log, its note and its record.
    inputs : files, and folders that end in ``/``.
    outputs : files that Snakemake takes away before the job starts.
    kept : files and folders that it makes, too, and goes on from where they are there.
    reads : the steps of `mrnetlib.settings` whose keys it reads.
    code : packages and modules of mrnetlib, and its notebook.
    packages : whose versions its digits depend on.
    draws : whether it makes pictures with captions.
    """

    rule: str
    run: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kept: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    draws: bool = False

    def made(self) -> tuple[str, ...]:
        """All that it makes."""
        return self.outputs + self.kept

    def mark(self) -> str:
        """The output by which Snakemake knows the step: its note, or the study's provenance."""
        return next((name for name in self.outputs if "/runs/" in name), self.outputs[-1])


def data(study: Study) -> str:
    """The study's data folder."""
    return study.data.relative_to(study.root).as_posix()


def results(study: Study) -> str:
    """The folder of the study's results."""
    return study.results.relative_to(study.root).as_posix()


def note(study: Study, run: str) -> str:
    """What a run notes of itself."""
    return f"{data(study)}/runs/{run}.json"


def figures(study: Study, *names: str) -> tuple[str, ...]:
    """Figures in the study's results, by name."""
    return tuple(f"{results(study)}/figures/{name}.png" for name in names)


def in_results(study: Study, *names: str) -> tuple[str, ...]:
    """Files in the study's results."""
    return tuple(f"{results(study)}/{name}" for name in names)


def banks(study: Study, planes: Iterable[str], splits=SPLITS, within: str = "") -> tuple[str, ...]:
    """The banks and manifests of some planes."""
    folder = f"{data(study)}/{within}banks"
    names = product(planes, splits, ("npy", "json"))
    return tuple(f"{folder}/{split}_{plane}.{kind}" for plane, split, kind in names)


def exams_folder(study: Study) -> str:
    """The exams' folder, which may lie outside of the study's root, or not be there."""
    try:
        path = study.exams
    except InputError:
        path = study.root / (study.settings.exams_folder or "exams")
    inside = path.is_relative_to(study.root)
    return f"{path.relative_to(study.root).as_posix() if inside else path}/"


def tissues(study: Study) -> tuple[str, ...]:
    """The folder of a digital knee's anatomy, where there is one."""
    known = study.settings.data == "phantom"
    return (f"{study.tissues.relative_to(study.root).as_posix()}/",) * known


def weights(study: Study, architecture: str) -> tuple[str, ...]:
    """The file that an architecture's networks start from, where there is one."""
    path = study.weights_file(architecture)
    if path is None:
        return ()
    inside = path.is_relative_to(study.root)
    return (path.relative_to(study.root).as_posix() if inside else str(path),)


def networks(study: Study) -> tuple[str, ...]:
    """The files of predictions of all networks."""
    shape = study.settings.architectures, study.settings.planes, study.settings.tasks
    return tuple(prediction_path(results(study), *unit).as_posix() for unit in product(*shape))


def histories(study: Study) -> tuple[str, ...]:
    """The files of all networks' training curves."""
    shape = study.settings.architectures, study.settings.planes, study.settings.tasks
    return tuple(history_path(results(study), *unit).as_posix() for unit in product(*shape))


def fused(study: Study) -> tuple[str, ...]:
    """The files of all fused predictions."""
    shape = study.settings.architectures, study.settings.tasks
    return tuple(fused_path(results(study), *unit).as_posix() for unit in product(*shape))
