"""Which steps of a study are done, running, missing or stale, and why."""

from collections.abc import Sequence

from mrnetlib.chain.freshness import look, running_path
from mrnetlib.chain.place import LOCK
from mrnetlib.chain.rounds import because
from mrnetlib.files import holder
from mrnetlib.study import Study


def rows(study: Study, extras: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    """A row for every step, in the chain's order: its state, its name, and why it is not done."""
    found = []
    for verdict in look(study, extras):
        run = verdict.step.run
        busy = holder(running_path(study, run))
        state = "running" if busy else verdict.state
        why = f"by {busy}" if busy else because(verdict) if verdict.state != "done" else ""
        found.append((state, run, why))
    return found


def say(study: Study, extras: Sequence[str] = ()) -> int:
    """Print the rows, and who runs the study; the exit status is 0."""
    found = rows(study, extras)
    width = max(len(run) for _, run, _ in found)
    for state, run, why in found:
        print(f"{state:8} {run:{width}}  {why}".rstrip())
    counts = [f"{sum(s == word for s, _, _ in found)} {word}" for word in
              ("done", "running", "stale", "missing")]  # fmt: skip
    print(f"study {study.name}: {', '.join(counts)} of {len(found)} steps")
    busy = holder(study.data / LOCK)
    if busy:
        print(f"run by {busy}")
    return 0
