"""Run a study's notebooks with papermill and its chain with Snakemake.

This adds what papermill lacks: a misspelt parameter is an error, the error's own text reaches the
terminal, and the output is written whole or not at all.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import nbformat
import papermill
import yaml
from nbconvert import HTMLExporter

from mrnetlib.files import InputError, write_text
from mrnetlib.provenance import note_run
from mrnetlib.settings import did_you_mean
from mrnetlib.study import Study
from mrnetlib.variants.recipes import check

#: ipykernel 7 warns on every start about settings that papermill cannot make.
QUIET_KERNEL = ["--log-level=40"]


class NotebookError(RuntimeError):
    """A cell failed; the message carries the notebook, the cell and the traceback."""


def notebook_path(study: Study, name: str) -> Path:
    """The source of a notebook, by its name with or without ``.ipynb``."""
    folder = study.root / "notebooks"
    path = folder / f"{name.removesuffix('.ipynb')}.ipynb"
    if not path.is_file():
        known = [file.stem for file in folder.glob("*.ipynb")]
        raise InputError(f"{path}: no such notebook. {did_you_mean(path.stem, known)}")
    return path


def check_parameters(path: Path, parameters: dict[str, Any]) -> list[str]:
    """Refuse parameters that the notebook does not have; papermill would only log them.

    Returns the names of all parameters that it has.
    """
    known = list(papermill.inspect_notebook(str(path)))
    for name in parameters:
        if name not in known:
            raise InputError(f"{path.name}: no parameter '{name}'. {did_you_mean(name, known)}")
    return known


def run_name(name: str, given: dict[str, Any]) -> str:
    """The name of a run's report: the notebook's and the values of the parameters given to it."""
    values = [str(value) for key, value in given.items() if key != "study"]
    return re.sub(r"[^\w.+-]+", "-", "_".join([name, *values]))


def complete(study: Study, given: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """The parameters of a run: those given, and the study's own name, planes and tasks."""
    settings = study.settings
    implied = {"study": study.name}
    implied |= {"planes": ",".join(settings.planes), "tasks": ",".join(settings.tasks)}
    return {key: value for key, value in implied.items() if key in known} | given


def run_notebook(study: Study, name: str, parameters: dict[str, Any]) -> Path:
    """Execute a notebook and write it as HTML.

    Parameters
    ----------
    name : the notebook, for example ``04_single_vs_multi_view``.
    parameters : what its `parameters` cell is to hold; ``study`` is added, and the study's
        planes and tasks where the notebook has such parameters and none are given.

    Returns
    -------
    The report's path, ``results/<study>/<run>.html``.

    Raises
    ------
    InputError
        For an unknown notebook or parameter.
    NotebookError
        When a cell fails.
    """
    path = notebook_path(study, name)
    run = run_name(path.stem, parameters)
    parameters = complete(study, parameters, check_parameters(path, parameters))
    print(f"{run}: started", flush=True)
    start = perf_counter()
    try:
        executed = papermill.execute_notebook(
            str(path),
            None,
            parameters=parameters,
            cwd=str(path.parent),
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            extra_arguments=QUIET_KERNEL,
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == "InputError":
            raise InputError(f"{path.name}: {error.evalue}") from None
        raise NotebookError(
            f"{path.name}, cell {error.exec_count}: {error.ename}: {error.evalue}\n"
            + "\n".join(error.traceback)
        ) from None
    parts = where_the_time_went(executed, perf_counter() - start)
    report = study.results / f"{run}.html"
    drawn = perf_counter()
    write_text(report, to_html(executed, f"{path.stem} ({study.caption()})"))
    parts["report"] = round(perf_counter() - drawn, 1)
    seconds = perf_counter() - start
    note_run(study, run, path.stem, parameters, seconds, parts)
    print(f"{run}: done in {seconds:.0f} s", flush=True)
    return report


def where_the_time_went(executed: nbformat.NotebookNode, seconds: float) -> dict[str, float]:
    """Seconds of an executed notebook by what its cells did.

    ``start`` (kernel and everything outside of cells), ``imports``, ``drawing`` (cells that show a
    picture) and ``work`` (the others).
    """
    parts = {"imports": 0.0, "drawing": 0.0, "work": 0.0}
    for cell in executed.cells:
        taken = cell.metadata.get("papermill", {}).get("duration") or 0.0
        pictures = any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        imports = "\nfrom mrnetlib import " in f"\n{cell.source}"
        parts["drawing" if pictures else "imports" if imports else "work"] += taken
    parts = {"start": max(0.0, seconds - sum(parts.values()))} | parts
    return {name: round(taken, 1) for name, taken in parts.items()}


def to_html(notebook: nbformat.NotebookNode, title: str) -> str:
    """An executed notebook as one HTML page with its pictures inside."""
    exporter = HTMLExporter(exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    return body


def parse_parameters(words: list[str]) -> dict[str, Any]:
    """``["seed=1", "planes=axial,coronal"]`` -> names and values; numbers become numbers."""
    parameters = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"-p {word}: expected NAME=VALUE, as in -p seed=1.")
        # YAML would take an exam's number, 0011, for an octal nine.
        parameters[name] = text if re.fullmatch(r"0\d+", text) else yaml.safe_load(text)
    return parameters


def run_pretraining(study: Study, architecture: str) -> None:
    """Make the study's starting weights of one architecture and note the run."""
    if study.settings.weights != "pretrained":
        raise InputError(
            f"study {study.name}: its weights are '{study.settings.weights}', not 'pretrained'; "
            "there is nothing to make."
        )
    from mrnetlib.training.pretrain import prepare_weights

    start = perf_counter()
    prepare_weights(study, architecture, again=True)
    run = f"pretraining_{architecture}"
    note_run(study, run, "pretraining", {"architecture": architecture}, perf_counter() - start)


def run_retraining(study: Study, architecture: str | None, plane: str | None) -> None:
    """Train the variants of one architecture and plane again and note the run.

    Without them, make what the variants without standardization start from.
    """
    from mrnetlib.variants import retrain

    if (architecture is None) != (plane is None):
        raise InputError("choices: give an architecture and a plane, or neither of them.")
    start = perf_counter()
    if plane is None:
        run, parameters = "choices_preparation", {}
        retrain.prepare(study)
    else:
        run = f"choices_{architecture}_{plane}"
        parameters = {"architecture": architecture, "plane": plane}
        retrain.retrain(study, architecture, plane)
    note_run(study, run, "choices", parameters, perf_counter() - start)


def wait_for(process: subprocess.Popen) -> int:
    """Wait for Snakemake, also after Ctrl-C: it has its jobs to end and its lock to give back."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            print("stopping; the same command goes on from here", file=sys.stderr)


def run_chain(study: Study, target: str, cores: int | None, dry_run: bool) -> int:
    """Run what is missing of a target of the Snakefile and return the exit status.

    Snakemake orders the steps, runs as many at a time as there are cores, and goes on where an
    earlier run stopped.
    """
    cores = cores or os.cpu_count() or 1
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--rerun-incomplete"]
    command += ["--snakefile", str(study.root / "Snakefile"), "--directory", str(study.root)]
    command += ["--dry-run"] if dry_run else ["--quiet", "rules", "host"]
    command += ["--config", f"study={study.name}", "--", target]
    return wait_for(subprocess.Popen(command, cwd=study.root))


def run_study(study: Study, cores: int | None = None, dry_run: bool = False) -> int:
    """Run what is missing of a study, print Table I, and return the exit status."""
    status = run_chain(study, "all", cores, dry_run)
    if status == 0 and not dry_run:
        print((study.results / "table1.md").read_text(encoding="utf-8"))
        print(f"Report: {study.results / '04_single_vs_multi_view.html'}")
        print(f"All tables, figures and executed notebooks: {study.results}")
    return status


def run_choices(study: Study, cores: int | None = None, dry_run: bool = False) -> int:
    """Run what is missing of a study and of its choices, print what they moved."""
    check(study)
    status = run_chain(study, "choices", cores, dry_run)
    if status == 0 and not dry_run:
        print((study.results / "choices" / "summary.md").read_text(encoding="utf-8"))
        print(f"Report: {study.results / '06_choices_that_move_the_number.html'}")
    return status
