"""What a run tells while it works: that it has started, each epoch of its trainings, how it ended.

`LOGGERS` is the list to add to: a logger is made for every training, gets the row of each epoch
and is closed at the end. Where a chain runs the study it names a folder in the environment; there
small files say the same to the process that shows them, `reports` reads them.
"""

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from tqdm.auto import tqdm

from mrnetlib.files import InputError, write_json

#: The environment variable with the folder that a chain is told in.
FOLDER_VARIABLE = "MRNETLIB_PROGRESS"

_numbers = itertools.count()


class Training:
    """A training as its loggers see it.

    Parameters
    ----------
    epochs : the most there will be.
    rows : of the epochs so far, a list that grows; at the start those of a run that was stopped.
        Their keys are epoch, train_loss, tune_loss, tune_auc, seconds.
    shown : whether it is worth a bar, or a line at its end.
    seed : that tells it from other trainings of the same network.
    """

    def __init__(
        self,
        plane: str,
        task: str,
        epochs: int,
        rows: list[dict],
        shown: bool = True,
        seed: int | None = None,
    ):
        self.plane, self.task, self.epochs, self.shown = plane, task, epochs, shown
        self.rows, self.seed = rows, seed
        self.loggers = [logger(self) for logger in LOGGERS]

    def epoch(self, row: dict[str, float]) -> None:
        """Tell the row of an epoch."""
        for logger in self.loggers:
            logger.epoch(row)

    def close(self) -> None:
        """Tell that the training is finished."""
        for logger in self.loggers:
            logger.close()


class Logger(Protocol):
    """What `LOGGERS` holds: made with the training, before its first epoch."""

    def __init__(self, training: Training): ...

    def epoch(self, row: dict[str, float]) -> None:
        """Take the row of an epoch."""

    def close(self) -> None:
        """The training is finished."""


class Bar:
    """A bar in the notebook or terminal, except where a chain shows the trainings."""

    def __init__(self, training: Training):
        hidden = not training.shown or FOLDER_VARIABLE in os.environ
        epochs, done = training.epochs, len(training.rows)
        self.bar = tqdm(total=epochs, initial=done, desc=training.task, disable=hidden)

    def epoch(self, row: dict[str, float]) -> None:
        """Move on by one epoch."""
        train, tune, auc = (row[key] for key in ("train_loss", "tune_loss", "tune_auc"))
        self.bar.set_postfix(loss=f"{train:.3f}", tune=f"{tune:.3f}", auc=f"{auc:.2f}")
        self.bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


class Status:
    """A file with the newest epoch in the chain's folder, where there is one."""

    def __init__(self, training: Training):
        folder = os.environ.get(FOLDER_VARIABLE)
        name = f"training-{os.getpid()}-{next(_numbers)}.json"
        self.path = Path(folder) / name if folder else None
        self.training, self.told = training, 0
        about = {"plane": training.plane, "task": training.task, "epochs": training.epochs}
        about |= {} if training.seed is None else {"seed": training.seed}
        self.about = about | {"epoch": len(training.rows), "finished": False}
        _tell(self.path, self.about)

    def epoch(self, row: dict[str, float]) -> None:
        """Replace the file."""
        self.told += 1
        _tell(self.path, self.about | row)

    def close(self) -> None:
        """Leave the epoch that is kept, for a line of its own, or nothing."""
        if self.training.shown and self.told:
            rows = self.training.rows
            kept = min(rows, key=lambda row: row["tune_loss"])
            _tell(self.path, self.about | kept | {"finished": True, "done": len(rows)})
        elif self.path:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


#: What every training tells; a logger added here is told by all of them.
LOGGERS: list[type[Logger]] = [Bar, Status]


def _tell(path: Path | None, content: dict[str, Any]) -> None:
    """Write a report; that it cannot be written is no reason for a run to fail."""
    if path:
        with contextlib.suppress(OSError, ValueError):
            write_json(path, content)


@contextlib.contextmanager
def reported(run: str, log: Path, **about: Any) -> Iterator[None]:
    """Tell the chain, where there is one, that a run has started and how it ended.

    The run's output, also that of the processes it starts, then goes to the file `log`. `about` is
    told, too.
    """
    if FOLDER_VARIABLE not in os.environ:
        yield
        return
    folder = Path(os.environ[FOLDER_VARIABLE]) / run
    os.environ[FOLDER_VARIABLE] = str(folder)  # its trainings tell beside it
    report = {"run": run, "log": str(log), **about}
    _print_into(log)
    _tell(folder / "run.json", report | {"state": "running"})
    start = perf_counter()
    try:
        yield
    except BaseException as error:
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        _tell(folder / "run.json", report | {"state": "failed", "error": text})
        raise
    _tell(folder / "run.json", report | {"state": "done", "seconds": perf_counter() - start})


def _print_into(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def reports(folder: Path) -> list[dict[str, Any]]:
    """What the runs of a chain have told in its folder, in the order of their names.

    Each has run, log, state (running, done, failed), what it was `reported` about, a failed one
    its error, and ``trainings``, a list of dicts: plane, task, epochs, epoch, finished, and after
    the first epoch what its row holds.
    """
    found = []
    for path in sorted(Path(folder).glob("*/run.json")):
        with contextlib.suppress(OSError, ValueError):  # gone, or on Windows being replaced
            own = [path, *sorted(path.parent.glob("training-*.json"))]
            report, *trainings = (json.loads(file.read_text(encoding="utf-8")) for file in own)
            found.append(report | {"trainings": trainings})
    return found


def words_of(run: dict[str, Any], training: dict[str, Any]) -> tuple[str, str]:
    """Which network a training makes, and after an epoch its losses and AUC on the tuning exams.

    A run that names no architecture, as the lab, goes by its title.
    """
    whose = run["parameters"].get("architecture") or run["title"]
    name = f"{whose} {training['plane']} {training['task']}"
    name += f", seed {training['seed']}" if "seed" in training else ""
    losses = "loss {train_loss:.3f}, tuning {tune_loss:.3f}, AUC {tune_auc:.2f}"
    return name, losses.format(**training) if "tune_auc" in training else ""


@dataclass
class Step:
    """The jobs of a chain's step: their number, and the seconds they began, ended or failed at."""

    jobs: int
    began: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    failed: dict[str, float] = field(default_factory=dict)

    def running(self) -> dict[str, float]:
        """The jobs under way and when they began."""
        over = self.ended | self.failed
        return {job: begin for job, begin in self.began.items() if job not in over}

    def state(self) -> str:
        """The step in a word: failed, done, running or waiting."""
        if self.failed or len(self.ended) == self.jobs:
            return "failed" if self.failed else "done"
        return "running" if self.running() else "waiting"

    def elapsed(self, now: float) -> str:
        """The time since its first job began, up to the end of its last."""
        if not self.began:
            return ""
        over = self.ended | self.failed
        return clock(
            (now if self.running() or not over else max(over.values())) - min(self.began.values())
        )

    def left(self, now: float) -> str:
        """Its jobs left and, once some have ended, about how long they take."""
        left, running = self.jobs - len(self.ended), self.running()
        if not left or not self.began or self.failed:
            return ""
        if not self.ended:
            return f"{left} left" if self.jobs > 1 else ""
        mean = sum(end - self.began.get(job, end) for job, end in self.ended.items()) / len(
            self.ended
        )
        seconds = mean * (left - len(running))
        seconds += sum(max(0.0, mean - (now - begin)) for begin in running.values())
        return f"{left} left, about {clock(seconds / max(1, len(running)))}"


def clock(seconds: float) -> str:
    """Seconds as ``0:34`` or ``1:02:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
