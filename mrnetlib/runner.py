"""Run a study's notebooks with papermill and its chain with Snakemake, and show how far it is.

This adds what papermill lacks: a misspelt parameter is an error, its text reaches the terminal, and
output is written whole or not at all. And what Snakemake lacks: a line for a step, not a page.
"""

import contextlib
import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from mrnetlib.chain import rounds
from mrnetlib.chain.execute import execute, for_papermill
from mrnetlib.chain.place import fresh_folder, taken
from mrnetlib.chain.show import Show
from mrnetlib.files import InputError, refuse_read_only, write_text
from mrnetlib.names import EXTRAS, ITSELF
from mrnetlib.parallel import attend, ending
from mrnetlib.provenance import noted, run_name, where_the_time_went
from mrnetlib.settings import did_you_mean
from mrnetlib.study import Study, is_taken, take_over, wanted_of_parents
from mrnetlib.training import progress

#: Snakemake, that ends with the process which runs it.
SNAKEMAKE = (
    "from mrnetlib.parallel import end_with_parent; end_with_parent(); "
    "from snakemake.cli import main; main()"
)


def notebook_path(study: Study, name: str) -> Path:
    """The source of a notebook, by its name with or without ``.ipynb``."""
    folder = study.root / "notebooks"
    path = folder / f"{name.removesuffix('.ipynb')}.ipynb"
    if not path.is_file():
        known = [file.stem for file in folder.glob("*.ipynb")]
        raise InputError(f"{path}: no such notebook. {did_you_mean(path.stem, known)}")
    return path


def complete(study: Study, path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a run: those given, and the study's own name, planes and tasks.

    One that the notebook does not have is refused; papermill would only log it.
    """
    import papermill

    known = list(papermill.inspect_notebook(for_papermill(path)))
    for name in given:
        if name not in known:
            raise InputError(f"{path.name}: no parameter '{name}'. {did_you_mean(name, known)}")
    settings = study.settings
    implied = {"study": study.name}
    implied |= {"planes": ",".join(settings.planes), "tasks": ",".join(settings.tasks)}
    return {key: value for key, value in implied.items() if key in known} | given


def run_notebook(study: Study, name: str, parameters: dict[str, Any]) -> Path:
    """Execute a notebook and write it, with what its cells printed and drew, and as HTML.

    Parameters
    ----------
    name : the notebook, for example ``04_single_vs_multi_view``.
    parameters : what its `parameters` cell is to hold; ``study`` is added, and the study's
        planes and tasks where the notebook has such parameters and none are given.

    Returns the report's path, ``data/<study>/results/<run>.html``. Raises an `InputError` for an
    unknown notebook or parameter and a `NotebookError` when a cell fails.
    """
    import nbformat

    from mrnetlib.teaching.pages import executed_copy, from_report, to_html

    path = notebook_path(study, name)
    if "study" in parameters:
        raise InputError(f"-p study: choose the study with --study {parameters['study']} instead.")
    run = run_name(path.stem, parameters)
    parameters = complete(study, path, parameters)
    report = study.results / f"{run}.html"
    with noted(study, run, path.stem, parameters) as parts:
        start = perf_counter()
        executed = execute(path, parameters, study.data / "failed" / f"{run}.ipynb")
        parts |= where_the_time_went(executed, perf_counter() - start)
        start = perf_counter()
        write_text(executed_copy(study, run), nbformat.writes(executed))
        lead = partial(from_report, study)
        write_text(report, to_html(executed, f"{path.stem} ({study.caption()})", lead))
        parts["report"] = round(perf_counter() - start, 1)
    return report


def run_chain(
    study: Study,
    targets: Sequence[str],
    cores: int | None,
    dry_run: bool,
    verbose: bool,
    profile: Path | None = None,
) -> int:
    """Run what is missing or stale of targets of the Snakefile, or of files; gives the exit status.

    `mrnetlib.chain.rounds` says what that is; Snakemake orders the steps. What it prints is shown
    with `verbose`, and else goes to ``data/<study>/logs/snakemake.log``. A study is refused while
    another process runs it; however that ends, nothing is left to unlock. `profile`: a folder, for
    clusters.
    """
    extras = [name for name in targets if name in EXTRAS]
    files = [name for name in targets if "/" in name]
    refuse_read_only(study.root, study.data, study.results)
    if dry_run:
        return rounds.say_plan(study, extras, files)
    cores = cores or os.cpu_count() or 1
    command = [sys.executable, "-c", SNAKEMAKE, "--cores", str(cores), "--rerun-incomplete"]
    command += ["--snakefile", str(study.root / "Snakefile"), "--directory", str(study.root)]
    command += ["--quiet", "host", *["rules"] * verbose, "--rerun-triggers", "software-env"]
    command += ["--nolock", "--config", f"study=studies/{study.name}.yaml", "--"]
    if profile:
        command[3:3] = ["--profile", str(profile.resolve())]
    with taken(study, alone=profile is None) as how:
        take_over(study)

        def run_once(only: list[str]) -> int:
            these = only or targets
            whole = [*command, *these]
            return attend(whole, **how) if verbose else shown(study, these, whole, how)

        status = rounds.run(study, extras, run_once, files)
    if status < 0:
        print(f"Snakemake was ended {ending(status)}; run it again to go on", file=sys.stderr)
    return status if status >= 0 else 128 - status


def shown(study: Study, targets: Sequence[str], command: list[str], how: dict[str, Any]) -> int:
    """Run Snakemake's command, show how far it is, and give its exit status."""
    (log := study.data / "logs" / "snakemake.log").parent.mkdir(parents=True, exist_ok=True)
    with fresh_folder(study.data / ".progress") as folder, log.open("w") as file:
        show = Show(study, targets, log, folder, on_cluster="--profile" in command)
        told = how["env"] | {progress.FOLDER_VARIABLE: str(folder), "TQDM_MININTERVAL": "10"}
        how |= {"stdout": file, "stderr": subprocess.STDOUT, "env": told}
        with show.live or contextlib.nullcontext():
            status = attend(command, show.look, **how)
            show.look(show.stopped, status)
    return status


def run_study(
    study: Study,
    extras: Sequence[str],
    cores: int | None,
    dry_run: bool,
    verbose: bool,
    profile: Path | None = None,
) -> int:
    """`run_chain` for a study or also `EXTRAS`; print what it is for, and whether results agree."""
    for name in filter(lambda name: EXTRAS[name].checked_by, extras):
        importlib.import_module(EXTRAS[name].checked_by).check(study)
    for parent, files, words in wanted_of_parents(study):
        print(words, flush=True)
        if status := run_chain(parent, files, cores, dry_run, verbose, profile):
            return status
    if dry_run and not is_taken(study):
        print(f"study {study.name}: takes that over, and makes the rest.")
        return 0
    status = run_chain(study, list(extras) or ["all"], cores, dry_run, verbose, profile)
    if status == 0 and not dry_run:
        for made in [EXTRAS[name] for name in extras] or [ITSELF]:
            print((study.results / made.table).read_text(encoding="utf-8"))
            print(f"Report: {study.results / made.notebook}.html")
        print(f"All tables, figures and executed notebooks: {study.results}")
        from mrnetlib.evaluation import verify  # and SciPy's statistics, needed at the end only

        try:
            print(verify.report(study).verdict)
        except InputError as reason:
            print(f"not compared with kept results: {reason}")
    return status
