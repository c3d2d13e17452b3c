"""Run a study's notebooks with papermill and its chain with Snakemake, and show how far it is.

This adds what papermill lacks: a misspelt parameter is an error, its text reaches the terminal, and
output is written whole or not at all. And what Snakemake lacks: a line for a step, not a page.
"""

import contextlib
import importlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mrnetlib.chain import rounds
from mrnetlib.chain.execute import execute, for_papermill
from mrnetlib.files import InputError, locked, refuse_read_only, write_text
from mrnetlib.names import EXTRAS, ITSELF
from mrnetlib.parallel import attend
from mrnetlib.provenance import noted, run_name, where_the_time_went
from mrnetlib.settings import did_you_mean
from mrnetlib.study import Study, is_taken, take_over, wanted_of_parents
from mrnetlib.training import progress

#: Snakemake, that ends with the process which runs it.
SNAKEMAKE = (
    "from mrnetlib.parallel import end_with_parent; end_with_parent(); "
    "from snakemake.cli import main; main()"
)

#: The rules of a Snakefile, and in Snakemake's log the plan and a job that begins, ends or fails.
RULE = re.compile(r"^rule (\w+):", re.MULTILINE)
PLANNED = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)
LOGGED = {
    "began": r"^(?:local)?rule (?P<rule>\w+):(?:\n    .*)*?\n    jobid: (?P<job>\d+)$",
    "ended": r"^Finished jobid: (?P<job>\d+) \(Rule: (?P<rule>\w+)\)$",
    "failed": r"^Error in rule (?P<rule>\w+):(?:\n    .*)*?\n    jobid: (?P<job>\d+)$",
}
COLOURS = {"running": "cyan", "done": "green", "failed": "bold red", "stopped": "yellow"}


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


class Show:
    """What a chain shows: on a terminal a line per step and running training, else plain lines.

    Parameters
    ----------
    targets : of the chain; they have no work of their own.
    log : what Snakemake prints.
    folder : where the runs tell how far they are, see `mrnetlib.training.progress.reports`.
    """

    def __init__(self, study: Study, targets: Sequence[str], log: Path, folder: Path):
        self.study, self.targets, self.log, self.folder = study, targets, log, folder
        self.steps: dict[str, progress.Step] = {}
        self.told: set[str] = set()
        self.stopped = False
        self.console = Console(force_terminal=sys.stdout.isatty(), highlight=False)
        plain = not self.console.is_terminal or self.console.is_dumb_terminal
        self.live = None if plain else Live(console=self.console, auto_refresh=False)

    def look(self, stopped: bool, status: int | None = None) -> None:
        """Show what is new; after Ctrl-C a failed run is no news; `status` when all has ended."""
        now, runs = perf_counter(), progress.reports(self.folder)
        self.stopped |= stopped
        self.read_log(now)
        for run in runs:
            self.tell(run)
        if status and not self.stopped and not any(run["state"] == "failed" for run in runs):
            logs = [Path(run["log"]) for run in runs if run["state"] == "running"] or [self.log]
            words = logs[0].read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            self.say("\n".join([*words, f"failed; more in {logs[0]}"]), always=True)
        if self.live:
            self.live.update(self.picture(runs, now, status is not None), refresh=True)

    def read_log(self, now: float) -> None:
        """Bring the steps, in the Snakefile's order, up to what Snakemake's log says."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        plan, whole, _ = text.partition("Job stats:")[2].partition("\ntotal ")
        if whole and not self.steps:
            jobs = {rule: int(count) for rule, count in PLANNED.findall(plan)}
            snakefile = (self.study.root / "Snakefile").read_text(encoding="utf-8")
            rules = [rule for rule in RULE.findall(snakefile) if rule not in self.targets]
            self.steps = {rule: progress.Step(jobs[rule]) for rule in rules if rule in jobs}
        for event, pattern in LOGGED.items():
            for found in re.finditer(pattern, text, re.MULTILINE):
                if found["rule"] in self.steps:
                    getattr(self.steps[found["rule"]], event).setdefault(found["job"], now)

    def tell(self, run: dict[str, Any]) -> None:
        """Say what a run has told: on a terminal, where the steps say the rest, its failure."""
        title, state = run["title"], run["state"]
        self.say(f"{title}: started")
        for one in [one for one in run["trainings"] if one["finished"]]:
            name, losses = progress.words_of(run, one)
            self.say(f"{name}: epoch {one['epoch']} of {one['done']} kept, {losses}")
        if state == "done":
            self.say(f"{title}: done in {run['seconds']:.0f} s")
        if state == "failed" and not self.stopped:
            self.say(f"{title}: failed\n{run['error']}\nall it printed: {run['log']}", always=True)

    def say(self, text: str, always: bool = False) -> None:
        """Print what was not said before, without its colours where they are not understood."""
        if text not in self.told and (always or not self.live):
            self.console.print(Text.from_ansi(text), soft_wrap=True)
        self.told.add(text)

    def picture(self, runs: list[dict[str, Any]], now: float, over: bool) -> Group:
        """The steps, and the trainings that are under way."""
        steps, trainings = (Table.grid(padding=(0, 2)) for _ in range(2))
        for side in ("left", "left", "right", "right", "left"):
            steps.add_column(justify=side)
        for rule, step in self.steps.items():
            state = step.state()
            if (state == "running" and over) or (state == "failed" and self.stopped):
                state = "stopped"
            count = f"{len(step.ended)}/{step.jobs}" if step.jobs > 1 else ""
            words = rule.replace("_", " "), Text(state, COLOURS.get(state, "dim")), count
            steps.add_row(*words, step.elapsed(now), step.left(now))
        for run in [run for run in runs if run["state"] == "running" and not over]:
            for one in [one for one in run["trainings"] if not one["finished"]]:
                name, losses = progress.words_of(run, one)
                trainings.add_row(f"  {name}", f"epoch {one['epoch']}/{one['epochs']}", losses)
        logs = self.log.parent.relative_to(self.study.root)
        return Group(Text(f"{self.study.name}, logs in {logs}", "bold"), steps, trainings)


def run_chain(
    study: Study, targets: Sequence[str], cores: int | None, dry_run: bool, verbose: bool
) -> int:
    """Run what is missing or stale of targets of the Snakefile, or of files; gives the exit status.

    `mrnetlib.chain.rounds` says what that is; Snakemake orders the steps. What it prints is shown
    with `verbose`, and else goes to ``data/<study>/logs/snakemake.log``. A study is refused while
    another process runs it; however that ends, nothing is left to unlock.
    """
    extras = [name for name in targets if name in EXTRAS]
    files = [name for name in targets if "/" in name]
    if dry_run:
        return rounds.say_plan(study, extras, files)
    refuse_read_only(study.root, study.data, study.results)
    cores = cores or os.cpu_count() or 1
    command = [sys.executable, "-c", SNAKEMAKE, "--cores", str(cores), "--rerun-incomplete"]
    command += ["--snakefile", str(study.root / "Snakefile"), "--directory", str(study.root)]
    command += ["--quiet", "host", *["rules"] * verbose, "--rerun-triggers", "software-env"]
    command += ["--nolock", "--config", f"study=studies/{study.name}.yaml", "--", *targets]
    wait = "Wait for it, or stop it by Ctrl-C where it runs."
    refused = f"study {study.name}: {{}} is running it. {wait}".format
    with locked(study.data / rounds.LOCK, refused) as lock:
        take_over(study)
        # Snakemake holds the lock, too, for the moment that it outlives a process that is killed.
        how = {"cwd": study.root, "pass_fds": [lock.fileno()] if os.name != "nt" else []}

        quiet = partial(shown, study, targets, command, how)
        run_once = partial(attend, command, **how) if verbose else quiet
        return rounds.run(study, extras, run_once, files)


def shown(study: Study, targets: Sequence[str], command: list[str], how: dict[str, Any]) -> int:
    """Run Snakemake's command, show how far it is, and give its exit status."""
    (log := study.data / "logs" / "snakemake.log").parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mrnetlib-") as folder, log.open("w") as file:
        show = Show(study, targets, log, Path(folder))
        told = os.environ | {progress.FOLDER_VARIABLE: folder, "TQDM_MININTERVAL": "10"}
        how |= {"stdout": file, "stderr": subprocess.STDOUT, "env": told}
        with show.live or contextlib.nullcontext():
            status = attend(command, show.look, **how)
            show.look(show.stopped, status)
    return status


def run_study(
    study: Study, extras: Sequence[str], cores: int | None, dry_run: bool, verbose: bool
) -> int:
    """`run_chain` for a study or also `EXTRAS`; print what it is for, and whether results agree."""
    for name in filter(lambda name: EXTRAS[name].checked_by, extras):
        importlib.import_module(EXTRAS[name].checked_by).check(study)
    for parent, files, words in wanted_of_parents(study):
        print(words, flush=True)
        if status := run_chain(parent, files, cores, dry_run, verbose):
            return status
    if dry_run and not is_taken(study):
        print(f"study {study.name}: takes that over, and makes the rest.")
        return 0
    status = run_chain(study, list(extras) or ["all"], cores, dry_run, verbose)
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
