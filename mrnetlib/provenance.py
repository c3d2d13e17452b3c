"""A run: its parameters and name, and what its result depends on: settings, seed, versions, device,
commit, wall time."""

import contextlib
import importlib.metadata
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from mrnetlib.chain.cluster import own_gpu
from mrnetlib.chain.freshness import recorded
from mrnetlib.files import InputError, read_json, refuse_read_only, write_json
from mrnetlib.study import TAKEN, Study
from mrnetlib.training import progress

if TYPE_CHECKING:
    import nbformat

PACKAGES = (
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "torch",
    "torchvision",
    "pydicom",
    "papermill",
    "snakemake",
)


#: The steps that train: of several GPUs each of their jobs gets its own.
ON_GPU = ("pretraining", "02_per_plane_training", "choices")


def parse_parameters(words: list[str]) -> dict[str, Any]:
    """``["seed=1", "planes=axial,coronal"]`` -> names and values; numbers become numbers."""
    parameters = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"-p {word}: expected NAME=VALUE, as in -p seed=1.")
        parameters[name] = _value(text)
    return parameters


def _value(text: str) -> Any:
    if re.fullmatch(r"0\d+", text):
        return text  # YAML would take an exam's number, 0011, for an octal nine
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def run_name(name: str, given: dict[str, Any]) -> str:
    """The name of a run's files: the notebook's and the parameters given to it, sorted.

    Those of the chain, architecture and planes, stand by their values alone where both are given:
    ``02_per_plane_training_alexnet_axial,seed=1``. Other parameters or values, another name.
    """
    words = {key: _word(value) for key, value in sorted(given.items())}
    front = [name]
    # A "_" in an architecture is told from the one in front of the planes, which have none.
    if re.fullmatch(r"[^_,]+", words.get("planes", "")) and words.get("architecture"):
        front += [words.pop("architecture"), words.pop("planes")]
    return ",".join(["_".join(front), *(f"{key}={word}" for key, word in words.items())])


def _word(value: Any) -> str:
    """A value in letters that every file system takes; no two values give the same ones."""
    text = value
    if not isinstance(value, str) or _value(value) != value:  # "1" the text is in quotes
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip("\n")
    return quote(text, safe=",").replace(",", "+")


def commit(root: Path) -> dict[str, Any]:
    """The git commit of the code and whether tracked code was changed since.

    Both are null without git, and in a folder of another repository, whose commit says nothing of
    this code. Results are left out of the comparison: a run that writes them does not change it.
    """
    try:
        status = ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!results"]
        outputs = [
            subprocess.run(
                ["git", *words], cwd=root, capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], status, ["rev-parse", "--show-toplevel"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed_since": None}
    if Path(outputs[2]).resolve() != Path(root).resolve():
        return {"commit": None, "changed_since": None}
    return {"commit": outputs[0], "changed_since": bool(outputs[1])}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    return found | {package: importlib.metadata.version(package) for package in PACKAGES}


def circumstances(study: Study) -> dict[str, Any]:
    """Machine, versions and commit: what stands beside every number."""
    from mrnetlib.training.devices import machine  # and with it torch, for which others do not wait

    return {"machine": machine(study.settings), "versions": versions(), **commit(study.root)}


def note_run(
    study: Study,
    run: str,
    notebook: str,
    parameters: dict,
    seconds: float,
    parts: dict[str, float] | None = None,
) -> None:
    """Note one executed step in ``data/<study>/runs/<run>.json``; `parts` say where time went."""
    content = {
        "run": run,
        "step": notebook,
        "parameters": parameters,
        "started": (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(
            timespec="milliseconds"
        ),
        "seconds": round(seconds, 1),
        **({"parts": parts} if parts else {}),
        "peak_memory_mib": peak_memory(kernel=bool(parts)),
        **circumstances(study),
    }
    write_json(study.data / "runs" / f"{run}.json", content)


def peak_memory(kernel: bool) -> int | None:
    """Most MiB that this process held and, of a notebook, its kernel; None on Windows.

    A kernel is the largest of the ended children; of its workers one counts. Other children, as
    git, are small, but Linux counts as theirs what this process held when it started them.
    """
    if sys.platform == "win32":
        return None
    import resource

    whose = [resource.RUSAGE_SELF] + [resource.RUSAGE_CHILDREN] * kernel
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # bytes there, KiB elsewhere
    return sum(resource.getrusage(who).ru_maxrss for who in whose) // unit


def together(notes: list[dict[str, Any]]) -> dict[str, Any]:
    """What the runs took together, of which several go on at a time.

    Returns
    -------
    ``seconds_of_all_runs``, the sum; ``seconds_while_any_ran``, without the time between the runs
    of a study that was stopped; ``peak_memory_mib``, an upper limit: the largest sum of the peaks
    of runs that went on at the same time. None where a run did not note what it takes.
    """
    total = {"seconds_of_all_runs": round(sum(note["seconds"] for note in notes), 1)}
    if not all(note.get("started") and note.get("peak_memory_mib") for note in notes):
        return total | {"seconds_while_any_ran": None, "peak_memory_mib": None}
    begun = [datetime.fromisoformat(note["started"]).timestamp() for note in notes]
    runs = [
        (start, start + note["seconds"], note["peak_memory_mib"])
        for start, note in zip(begun, notes, strict=True)
    ]
    covered, until = 0.0, 0.0
    for first, last, _ in sorted(runs):
        covered += max(0.0, last - max(first, until))
        until = max(until, last)
    at_once = [sum(peak for first, last, peak in runs if first <= now < last) for now in begun]
    return total | {
        "seconds_while_any_ran": round(covered, 1),
        "peak_memory_mib": max(at_once, default=0),
    }


def disk_use(study: Study) -> dict[str, int]:
    """MiB of the files in ``data/<study>`` and, where there is one, of the environment's own."""
    folders = {"study": study.data, "environment": Path(sys.prefix)}
    if not any((Path(sys.prefix) / mark).exists() for mark in ("pyvenv.cfg", "conda-meta")):
        del folders["environment"]  # the system's Python: all that is installed there
    return {name: _size(folder) >> 20 for name, folder in folders.items()}


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # removed by another run meanwhile
            total += path.lstat().st_size
    return total


@contextlib.contextmanager
def noted(study: Study, run: str, step: str, parameters: dict) -> Iterator[dict[str, float]]:
    """Tell that a run starts and that it is done, and note it, with the parts the block filled in.

    In a chain all that it prints goes to ``data/<study>/logs/<run>.log``. A step of the chain
    records what it was made from, see `mrnetlib.chain.freshness.recorded`.
    """
    refuse_read_only(study.data, study.results)
    log = study.data / "logs" / f"{run}.log"
    title = step + run.removeprefix(step).replace("_", " ")
    own = own_gpu(study.settings.device if step in ON_GPU else "cpu")
    told = progress.reported(run, log, title=title, parameters=parameters)
    with told, recorded(study, run), own:
        print(f"{run}: started", flush=True)
        start, parts = perf_counter(), {}
        yield parts
        seconds = perf_counter() - start
        note_run(study, run, step, parameters, seconds, parts)
        print(f"{run}: done in {seconds:.0f} s", flush=True)


def where_the_time_went(executed: "nbformat.NotebookNode", seconds: float) -> dict[str, float]:
    """Seconds of an executed notebook by what its cells did.

    ``start`` (kernel and everything outside of cells), ``imports``, ``drawing`` (cells that show a
    picture) and ``work`` (the others).
    """
    parts = {"imports": 0.0, "drawing": 0.0, "work": 0.0}
    for cell in executed.cells:
        taken = cell.metadata.get("papermill", {}).get("duration") or 0.0
        pictures = any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        imports = "\nfrom mrnetlib" in f"\n{cell.source}"
        parts["drawing" if pictures else "imports" if imports else "work"] += taken
    parts = {"start": max(0.0, seconds - sum(parts.values()))} | parts
    return {name: round(taken, 1) for name, taken in parts.items()}


def collect(study: Study, paths: list[Path]) -> dict[str, Any]:
    """Write ``provenance.json`` of the study's results from the notes of runs and return it.

    What all runs share (machine, versions, commit) stands once; a run that differs keeps its own.
    Where the study has taken over steps of another, ``taken_over`` names it: their runs are its.
    `paths` are the notes that `note_run` left; runs by hand are not among the chain's.
    """
    notes = [read_json(path) for path in sorted(paths)]
    shared = {}
    for key in ("machine", "versions", "commit", "changed_since"):
        if notes and all(note[key] == notes[0][key] for note in notes):
            shared[key] = notes[0][key]
            for note in notes:
                del note[key]
    note = study.data / TAKEN
    taken = read_json(note) if note.is_file() else {}
    content = {
        "study": study.name,
        **({"taken_over": {key: taken[key] for key in ("study", "steps")}} if taken else {}),
        "settings": asdict(study.settings),
        **shared,
        **together(notes),
        "disk_mib": disk_use(study),
        "runs": notes,
    }
    # The user's folder is theirs to know.
    content["settings"]["exams_folder"] = None
    write_json(study.results / "provenance.json", content)
    return content


def refuse_unfinished(study: Study) -> dict[str, Any]:
    """The ``provenance.json`` of a study's run; an `InputError` where it is not one of the study as
    it is now, from its first step to its last."""
    # And with it SciPy's statistics, for which the chain's jobs do not wait.
    from mrnetlib.evaluation.agreement import other_settings, read_note

    path = study.results / "provenance.json"
    advice = f"Run 'make study STUDY={study.name}' first."
    if not path.is_file():
        raise InputError(
            f"{path}: not found, so no run of study {study.name} is finished. {advice}"
        )
    content = read_note(path)
    odd = other_settings(asdict(study.settings), content["settings"], "choices")
    if odd:
        raise InputError(f"{path}: the study file has changed since that run: {odd}. {advice}")
    for run in content["runs"]:
        note = study.data / "runs" / f"{run['run']}.json"
        if not note.is_file() or read_json(note)["seconds"] != run["seconds"]:
            raise InputError(
                f"{note}: is not the run that {path} tells of; perhaps a notebook was run by hand "
                f"since. {advice} Where nothing else has changed it only gathers the notes again, "
                f"in seconds; 'python -m mrnetlib study {study.name} --dry-run' says what it runs."
            )
    return content
