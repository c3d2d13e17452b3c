"""Bring a study up to date: what is to be run, said and put aside, until nothing is left.

A round runs the steps that are not as they would be now. Those that stand on them are judged in the
next round, by what has then come out: where that is as it was, they need not run.
"""

from collections.abc import Callable, Sequence

from mrnetlib.chain.freshness import NOT_MADE, Verdict, look, put_aside, to_do
from mrnetlib.study import Study

#: Reasons that a line names.
SHOWN = 2


def plan(
    study: Study,
    extras: Sequence[str] = (),
    files: Sequence[str] = (),
    all_at_once: bool = False,
) -> list[Verdict]:
    """The steps that would be run now; where `files` are given, of the steps that make them."""
    return to_do(_of(study, extras, files), all_at_once)


def _of(study: Study, extras: Sequence[str], files: Sequence[str]) -> list[Verdict]:
    """All steps as they are now; where `files` are given, those that make them."""
    wanted, found = set(files), look(study, extras)
    return [one for one in found if not files or wanted & set(one.step.outputs)]


def because(verdict: Verdict) -> str:
    """Why a step is run again, in a few words."""
    reasons = verdict.reasons or ["a step before it is run again"]
    more = len(reasons) - SHOWN
    return "; ".join(reasons[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def say_plan(study: Study, extras: Sequence[str], files: Sequence[str] = ()) -> int:
    """Print what a run would do, at most: what comes out as it was spares what stands on it."""
    found = plan(study, extras, files, all_at_once=True)
    for verdict in found:
        print(f"{verdict.step.run}: {because(verdict)}")
    print(f"{len(found)} to run" if found else "Nothing to be done")
    return 0


def run(
    study: Study,
    extras: Sequence[str],
    run_once: Callable[[list[str]], int],
    files: Sequence[str] = (),
) -> int:
    """Run rounds until nothing is left to do, or one fails; gives the last exit status.

    Parameters
    ----------
    run_once : runs what is missing, and gives its exit status; of some files alone, where it is
        given their names. After a failure it is run again only where a file has since been found
        to be damaged that can be made again.
    files : those to make, where that is not all.
    """
    seen: list[list[tuple]] = []
    status, damaged = 0, set()
    while found := to_do(every := _of(study, extras, files)):
        round_of = [(verdict.step.run, *verdict.reasons) for verdict in found]
        new = {name for verdict in found for name in verdict.damaged} - damaged
        if round_of in seen or (status and not new):
            return status
        seen.append(round_of)
        damaged |= new
        for verdict in found:
            if verdict.reasons not in ([], [NOT_MADE]):
                print(f"{verdict.step.run}: again, because {because(verdict)}", flush=True)
            put_aside(study, verdict)
        now = {verdict.step.run for verdict in found}
        # What is missing and waits would be run by Snakemake, did it not get the others by name.
        waits = any(one.state == "missing" and one.step.run not in now for one in every)
        status = run_once([verdict.step.mark() for verdict in found] if waits else [])
    return status
