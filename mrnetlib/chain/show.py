"""How far a chain is: on a terminal a line for each step and running training, else plain lines."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mrnetlib.chain.cluster import failures, waiting
from mrnetlib.study import Study
from mrnetlib.training import progress

#: The rules of a Snakefile, and in Snakemake's log the plan and a job that begins, ends or fails.
RULE = re.compile(r"^rule (\w+):", re.MULTILINE)
PLANNED = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)
LOGGED = {
    "began": r"^(?:local)?rule (?P<rule>\w+):(?:\n    .*)*?\n    jobid: (?P<job>\d+)$",
    "ended": r"^Finished jobid: (?P<job>\d+) \(Rule: (?P<rule>\w+)\)$",
    "failed": r"^Error in rule (?P<rule>\w+):(?:\n    .*)*?\n    jobid: (?P<job>\d+)$",
}
COLOURS = {"running": "cyan", "done": "green", "failed": "bold red", "stopped": "yellow"}

#: Seconds between two questions to a cluster about jobs that wait.
SECONDS_BETWEEN_QUESTIONS = 20


class Show:
    """What a chain shows: on a terminal a line per step and running training, else plain lines.

    Parameters
    ----------
    targets : of the chain; they have no work of their own.
    log : what Snakemake prints.
    folder : where the runs tell how far they are, see `mrnetlib.training.progress.reports`.
    on_cluster : whether to ask a cluster, now and then, why jobs wait.
    """

    def __init__(
        self,
        study: Study,
        targets: Sequence[str],
        log: Path,
        folder: Path,
        on_cluster: bool = False,
    ):
        self.study, self.targets, self.log, self.folder = study, targets, log, folder
        self.steps: dict[str, progress.Step] = {}
        self.told: set[str] = set()
        self.on_cluster, self.asked = on_cluster, perf_counter()
        self.stopped = False
        self.console = Console(force_terminal=sys.stdout.isatty(), highlight=False)
        plain = not self.console.is_terminal or self.console.is_dumb_terminal
        self.live = None if plain else Live(console=self.console, auto_refresh=False)

    def look(self, stopped: bool, status: int | None = None) -> None:
        """Show what is new; after Ctrl-C a failed run is no news; `status` when all has ended."""
        now, runs = perf_counter(), progress.reports(self.folder)
        self.stopped |= stopped
        self.read_log(now)
        if self.on_cluster and now - self.asked > SECONDS_BETWEEN_QUESTIONS and status is None:
            self.asked = now
            for words in waiting():
                self.say(words, always=True)
        for run in runs:
            self.tell(run)
        if status and not self.stopped and not any(run["state"] == "failed" for run in runs):
            logs = [Path(run["log"]) for run in runs if run["state"] == "running"] or [self.log]
            words = logs[0].read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            self.say("\n".join([*words, f"failed; more in {logs[0]}"]), always=True)
        if status:
            for words in failures(self.log.read_text(encoding="utf-8", errors="replace")):
                self.say(words, always=True)
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
