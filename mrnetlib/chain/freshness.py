"""What a result was made from, written beside it, and whether that still holds.

Every step leaves a record, ``data/<study>/made/<run>.json``: its settings, its code, the versions
its digits depend on, and the checksums of all that it read and made. A step whose record no longer
holds is stale and says why. Times of files decide nothing, so a clock may be wrong.
"""

import contextlib
import functools
import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrnetlib.chain.checksums import Checksums, Digest
from mrnetlib.chain.extras import ADDED
from mrnetlib.chain.step import Step
from mrnetlib.chain.steps import steps
from mrnetlib.files import InputError, locked, read_json, write_json
from mrnetlib.settings import values_of
from mrnetlib.study import Study

#: Where a folder is says nothing of what is in it, which is compared.
PLACES = ("exams_folder",)

NOT_MADE = "not made yet"


@dataclass
class Verdict:
    """What is to be said of a step.

    ``state`` is done, stale or missing; ``reasons`` say why; ``moves`` is whether the step's
    results may come out otherwise than they were; ``damaged`` names what it made that is no longer
    as it was.
    """

    step: Step
    state: str = "done"
    reasons: list[str] = field(default_factory=list)
    moves: bool = False
    damaged: list[str] = field(default_factory=list)

    def note(self, state: str, reason: str, moves: bool) -> None:
        """Add a reason; what is missing stays missing."""
        self.state = self.state if self.state == "missing" else state
        self.reasons.append(reason)
        self.moves |= moves


def record_path(study: Study, run: str) -> Path:
    """Where a step's record is."""
    return study.data / "made" / f"{run}.json"


def running_path(study: Study, run: str) -> Path:
    """The lock of a step while it is run."""
    return study.data / "running" / run


def read_record(study: Study, run: str) -> dict[str, Any] | None:
    """A step's record; None where there is none, or none that can be read."""
    with contextlib.suppress(InputError, OSError):
        found = read_json(record_path(study, run))
        parts = ("settings", "drawing", "code", "versions", "inputs", "made")
        if isinstance(found, dict) and all(isinstance(found.get(part), dict) for part in parts):
            return found
    return None


def made_from(study: Study, step: Step, sums: Checksums) -> dict[str, dict[str, Any]]:
    """What a step depends on besides its files, as JSON takes it."""
    read = {
        key: value for part in step.reads for key, value in values_of(study.settings, part).items()
    }
    return {
        "settings": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in read.items()
            if key not in PLACES
        },
        "code": {
            part: [sums.of_code(place) for place in _places(study, part)] for part in step.code
        },
        "versions": {name: _version(name) for name in step.packages},
        "drawing": {
            "description": study.settings.description,
            "figures": sums.of_code(_library(study) / "figures"),
        }
        if step.draws
        else {},
    }


@functools.cache
def _version(package: str) -> str:
    return importlib.metadata.version(package)


def _places(study: Study, part: str) -> list[Path]:
    """Where a part of the code lies, a package, a module or a notebook: one place, or none."""
    library = _library(study)
    places = library / part, library / f"{part}.py", study.root / "notebooks" / f"{part}.ipynb"
    return [place for place in places if place.exists()][:1]


def _library(study: Study) -> Path:
    """The library beside the study, or this one."""
    beside = study.root / "mrnetlib"
    return beside if beside.is_dir() else Path(__file__).parent.parent


#: How a difference is told: of settings, code, versions, and what only pictures show.
WORDS = {
    "settings": "setting {name} was {before}, is {now}",
    "code": "the code of {name} has changed",
    "versions": "{name} was {before}, is {now}",
    "drawing": "what its pictures show has changed: {name}",
}


def judge(
    study: Study, step: Step, sums: Checksums, records: dict[str, dict[str, Any] | None]
) -> Verdict:
    """Whether a step is done as it would be now.

    Parameters
    ----------
    records : of all steps before, and of this one, by run.
    """
    verdict, record = Verdict(step), records[step.run]
    gone = [name for name in step.made() if not (study.root / name).exists()]
    if record is None and gone:
        verdict.note("missing", NOT_MADE, True)
        return verdict
    for name in gone:
        verdict.note("missing", f"{name} is missing", False)
    if record is None:
        verdict.note("stale", "nothing says what it was made from", True)
        return verdict
    now = made_from(study, step, sums)
    for part, words in WORDS.items():
        for name in dict.fromkeys([*now[part], *record[part]]):
            before, value = record[part].get(name), now[part].get(name)
            if before != value:
                told = words.format(name=name, before=before, now=value)
                verdict.note("stale", told, part != "drawing")
    for name in difference(_inputs_now(step, sums, records), record["inputs"]):
        verdict.note("stale", f"{name} has changed", True)
    there = {name: sums.of(name) for name in step.made() if name not in gone}
    kept = {name: record["made"].get(name) for name in there}
    verdict.damaged = difference(_without_more(there, kept), kept)
    for name in verdict.damaged:
        verdict.note("stale", f"{name} is damaged or was changed", False)
    return verdict


def _inputs_now(
    step: Step, sums: Checksums, records: dict[str, dict[str, Any] | None]
) -> dict[str, Digest]:
    """The digests of a step's inputs: as their makers wrote them, whatever became of them since."""
    made = {}
    for record in records.values():
        made |= record["made"] if record else {}
    return {name: made[name] if name in made else sums.of(name) for name in step.inputs}


def _without_more(now: dict[str, Digest], made: dict[str, Digest]) -> dict[str, Digest]:
    """Digests without files in a folder that the step has not made: they are the user's."""
    found = {}
    for name, digest in now.items():
        if isinstance(digest, dict) and isinstance(made[name], dict):
            digest = {file: value for file, value in digest.items() if file in made[name]}
        found[name] = digest
    return found


def difference(now: dict[str, Digest], before: dict[str, Digest]) -> list[str]:
    """The files whose digests differ, those within a folder by their own names."""
    odd = []
    for name in dict.fromkeys([*now, *before]):
        new, old = now.get(name), before.get(name)
        if isinstance(new, dict) and isinstance(old, dict):
            odd += [name + file for file in difference(new, old)]
        elif new != old:
            odd.append(name)
    return odd


def look(study: Study, extras: Sequence[str] = ()) -> list[Verdict]:
    """The verdict on every step of a study and of extras, in the chain's order."""
    sums, found = Checksums(study), []
    records: dict[str, dict[str, Any] | None] = {}
    for step in steps(study, extras):
        records[step.run] = read_record(study, step.run)
        found.append(judge(study, step, sums, records))
    sums.save()
    return found


def to_do(verdicts: list[Verdict], all_at_once: bool = False) -> list[Verdict]:
    """The steps to run now: those not done whose inputs are settled.

    A step that is done waits for those before it: what they make may come out as it was, which is
    judged when it is there. What stands on a step that waits waits, too.

    Parameters
    ----------
    all_at_once : also those that wait, as if everything came out otherwise.
    """
    changing: set[str] = set()
    waiting: set[str] = set()
    notes: set[str] = set()  # which certainly come out otherwise
    chosen = []
    for verdict in verdicts:
        inputs, made = set(verdict.step.inputs), {*verdict.step.made(), verdict.step.mark()}
        done, after, held = verdict.state == "done", changing & inputs, waiting & inputs
        if done and not after and not held:
            continue
        if not all_at_once and (held or (done and after - notes)):
            waiting |= made
            continue
        chosen.append(verdict)
        # What is only missing, damaged or drawn anew comes back as it was; its note tells when.
        changing |= made if verdict.moves or after else {verdict.step.mark()}
        notes.add(verdict.step.mark())
    return chosen


def put_aside(study: Study, verdict: Verdict) -> None:
    """Have Snakemake run a step: remove its note, and what it keeps that is no longer as it was."""
    step = verdict.step
    odd = [name for name in verdict.damaged if name.startswith(step.kept or "/")]
    for name in (step.mark(), *odd):
        (study.root / name).unlink(missing_ok=True)


@contextlib.contextmanager
def recorded(study: Study, run: str) -> Iterator[None]:
    """Run a step of the chain: check what it reads, and record what it was made from.

    What it makes becomes at least as new as what it read, as Snakemake wants it, whatever the
    clock says. A run by hand, with other parameters than the chain's, is left alone.

    Raises
    ------
    InputError
        For the first file that is not as the step before has written it, after hashing it anew,
        and where another process runs the step.
    """
    known = steps(study, ADDED)
    step = next((one for one in known if one.run == run), None)
    if step is None:
        yield
        return
    with locked(running_path(study, run), lambda who: f"{run}: {who} is running it. Wait for it."):
        sums = Checksums(study)
        content = made_from(study, step, sums)
        content["inputs"] = checked_inputs(study, step, known, sums)
        before = read_record(study, run)
        record_path(study, run).unlink(missing_ok=True)  # from here on it holds no more
        try:
            yield
        except BaseException:
            put_back(study, step, before, content)
            raise
        _make_newer(study, step)
        content["made"] = {name: sums.of(name, anew=True) for name in step.made()}
        sums.save()
        write_json(record_path(study, run), content)
    with contextlib.suppress(OSError):  # another step is running
        running_path(study, run).parent.rmdir()


def put_back(
    study: Study, step: Step, before: dict[str, Any] | None, content: dict[str, Any]
) -> None:
    """Let the record of an earlier run hold again after a run that was stopped, where that would
    have been made from the same and every file is still as the earlier run left it."""
    if before is None or any(before[part] != value for part, value in content.items()):
        return
    if all((study.root / name).exists() for name in step.made()):
        sums = Checksums(study)
        if all(sums.of(name, anew=True) == before["made"].get(name) for name in step.made()):
            write_json(record_path(study, step.run), before)


def checked_inputs(
    study: Study, step: Step, makers: list[Step], sums: Checksums
) -> dict[str, Digest]:
    """The digests of what a step reads, each compared with what its maker has recorded."""
    found = {name: sums.of(name, anew=True) for name in step.inputs}
    sums.save()
    for maker in makers:
        shared = [name for name in maker.made() if name in found]
        record = read_record(study, maker.run) if shared and maker.run != step.run else None
        if record:
            for name in shared:
                for odd in difference({name: found[name]}, {name: record["made"].get(name)}):
                    raise InputError(
                        f"{study.root / odd}: is not as {maker.run} has written it: damaged, or "
                        f"changed by hand. Run 'python -m mrnetlib study {study.name}', which "
                        "makes it again."
                    )
    return found


def _make_newer(study: Study, step: Step) -> None:
    read = [study.root / name for name in step.inputs if not name.endswith("/")]
    newest = max((path.stat().st_mtime_ns for path in read if path.exists()), default=0)
    for path in (study.root / name for name in step.outputs):
        if path.exists() and path.stat().st_mtime_ns < newest:
            os.utime(path, ns=(newest, newest))
