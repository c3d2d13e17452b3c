"""Whether a finished run agrees with the results that were kept, file by file.

``python -m mrnetlib verify STUDY`` compares ``data/<study>/results/`` with ``results/<study>/``.
`RULES` says of every file that there may be how two of it are compared; a file that no rule knows
is an error, so that a new kind of result is not passed over.
"""

from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mrnetlib.evaluation.agreement import (
    Found,
    aucs,
    cells,
    existence,
    histories,
    read_note,
    studies,
)
from mrnetlib.files import MANIFEST, InputError, broken_part, read_json
from mrnetlib.names import EXTRAS
from mrnetlib.settings import Settings
from mrnetlib.study import Study

NOTE = "provenance.json"

#: What a comparison of two files can come to; see `compare`.
DIFFERENT = ("outside", "missing", "extra")
VERDICTS = ("identical", "within", "exists", "apart", *DIFFERENT)

#: So many files that differ are named in the verdict.
NAMED = 3

#: Who makes the files that are compared, and those that stand apart, with the reason.
STUDY, CHOICES, LAB, LOOKS, MODELS = "study", "choices", "lab", "looks", "models"
APART = {
    "notebook": "an executed notebook, which is not kept",
    "benchmark": "made by a benchmark and not by a run",
    MODELS: "whole; each machine trains its own networks, which the AUCs judge",
} | {name: f"of 'study --{name}', not run, or not since, on both sides" for name in EXTRAS}


class Rule(NamedTuple):
    """How two files of a kind are compared.

    pattern : of its path within the results; a ``*`` stays within a folder.
    compare : (the run's path, the kept one, settings) -> what it came to, where the bytes differ.
    made_by : `STUDY`, one of `mrnetlib.names.EXTRAS`, or another of `APART`.
    """

    pattern: str
    compare: Callable[[Path, Path, Settings], Found]
    made_by: str = STUDY


_table, _single = partial(cells, level="table"), partial(cells, level="single")
_shown = partial(cells, level="shown")


def _without_choices(ours: Path, kept: Path, settings: Settings) -> Found:
    """Whether two notes are of the same study, whatever of it `CHOICES` would try."""
    return studies(ours, kept, settings, CHOICES)


#: The first that fits counts.
RULES = (
    Rule("predictions/*.csv", aucs),
    Rule("fused/*.csv", aucs),
    Rule("history/*.csv", histories),
    Rule("table1.csv", _table),
    Rule("table1_intervals.csv", _table),
    Rule("gain.csv", _table),
    Rule("scratch.csv", _table),
    Rule("calibration.csv", _table),
    Rule("single_view.csv", _single),
    Rule("baseline.csv", partial(cells, level="baseline")),
    # what a fusion's weights and a pretraining's losses do is judged by the AUCs
    Rule("fusion.csv", _shown),
    Rule("pretraining/*.csv", _shown),
    Rule("table1.md", existence),
    Rule("table1.html", existence),
    Rule("figures/choices_*.png", existence, CHOICES),
    Rule("figures/lab_*.png", existence, LAB),
    Rule("figures/looks_*.png", existence, LOOKS),
    Rule("figures/*.png", existence),
    Rule(NOTE, _without_choices),
    Rule("choices/predictions/*.csv", aucs, CHOICES),
    Rule("choices/networks/*.csv", _shown, CHOICES),
    Rule("choices/not_standardized/pretraining/*.csv", _shown, CHOICES),
    Rule("choices/summary.csv", partial(cells, level="choices"), CHOICES),
    Rule("choices/comparisons.csv", partial(cells, level="choices"), CHOICES),
    Rule("choices/summary.md", existence, CHOICES),
    Rule(f"choices/{NOTE}", studies, CHOICES),
    Rule("models/*/*/*", existence, MODELS),
    Rule("lab/predictions.csv", aucs, LAB),
    Rule("lab/curves.csv", _shown, LAB),
    Rule("lab/summary.csv", partial(cells, level="single"), LAB),
    Rule("lab/claims.csv", partial(cells, level="choices"), LAB),
    Rule("lab/summary.md", existence, LAB),
    Rule(f"lab/{NOTE}", _without_choices, LAB),
    # where networks look follows from the networks, which are judged by their AUCs
    Rule("looks*.csv", _shown, LOOKS),
    Rule("looks/summary.md", existence, LOOKS),
    Rule(f"looks/{NOTE}", studies, LOOKS),
    Rule("starting_weights.*", existence, "benchmark"),
    Rule("*.html", existence, "notebook"),
)


class Report(NamedTuple):
    """A comparison: what is to be read before it, a row a file, the verdict, whether it agrees."""

    head: list[str]
    rows: list[tuple[str, str, str]]  # what it came to, the file, why
    verdict: str
    agrees: bool


def names_in(folder: Path) -> set[str]:
    """The files below a folder, but for hidden ones, as paths from it with ``/``."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {path.as_posix() for path in paths if not any(p.startswith(".") for p in path.parts)}


def rule_of(name: str, folder: Path) -> Rule:
    """The rule for a file of results; an `InputError` where there is none."""
    words = name.split("/")
    for rule in RULES:
        wanted = rule.pattern.split("/")
        if len(wanted) == len(words) and all(map(fnmatchcase, words, wanted)):
            return rule
    raise InputError(
        f"{folder / name}: nothing says how this file is compared. Take it out, or add a rule for "
        "it to mrnetlib/evaluation/verify.py."
    )


def compare(run: Path, reference: Path, settings: Settings) -> list[tuple[str, str, str]]:
    """A row a file of either folder: verdict, name, note.

    ``identical``: the same bytes; ``within`` tolerance; ``exists``: compared by that alone;
    ``outside`` tolerance; ``missing`` from the run; ``extra``: not kept; ``apart``: not compared.

    Raises
    ------
    InputError
        For a file that no rule knows, or that cannot be read.
    """
    ours, kept = names_in(run), names_in(reference)
    both_have = [
        name for name in EXTRAS if f"{name}/{NOTE}" in ours & kept and not _older(run, name)
    ]
    rows = []
    for name in sorted(ours | kept):
        rule = rule_of(name, run if name in ours else reference)
        if rule.made_by == MODELS:
            found = _whole([folder / name for folder in (run, reference)])
        elif rule.made_by not in (STUDY, *both_have):
            found = Found("apart", APART[rule.made_by])
        elif name not in ours:
            found = Found("missing", "only among the kept results")
        elif name not in kept:
            found = Found("extra", "only in this run")
        else:
            found = _compared(rule, run / name, reference / name, settings)
        rows.append((found.verdict, name, found.note))
    return rows


def _whole(paths: list[Path]) -> Found:
    """Whether trained networks, by one of their files on both sides, are what was written."""
    for path in paths:
        if path.name == MANIFEST and path.is_file():
            broken = broken_part(path.parent, read_json(path))
            if broken:
                return Found("outside", f"{path.parent / broken} is missing or not whole")
    return Found("apart", APART[MODELS])


def _older(run: Path, extra: str) -> bool:
    """Whether a run's choices, or another extra, were made before the run itself was finished."""
    return (run / extra / NOTE).stat().st_mtime_ns < (run / NOTE).stat().st_mtime_ns


def _compared(rule: Rule, ours: Path, kept: Path, settings: Settings) -> Found:
    """Two files that are both there."""
    try:
        if ours.read_bytes() == kept.read_bytes():
            return Found("identical")
    except OSError as error:
        raise InputError(
            f"{error.filename}: could not be read ({error.strerror}). Mend its permissions, or "
            "take it out and make it again."
        ) from None
    return rule.compare(ours, kept, settings)


def report(study: Study) -> Report:
    """Compare a finished run of a study with what was kept of an earlier one.

    Raises
    ------
    InputError
        Where nothing was kept, and as `compare`.
    """
    if not (study.reference / NOTE).is_file():
        raise InputError(
            f"{study.reference}: no results of study {study.name} were kept to compare with. Keep "
            f"those of a finished run with 'python -m mrnetlib keep {study.name}'."
        )
    notes = [read_note(folder / NOTE) for folder in (study.results, study.reference)]
    rows = compare(study.results, study.reference, study.settings)
    odd = [name for verdict, name, _ in rows if verdict in DIFFERENT]
    words = "DIFFERS from" if odd else "agrees, within its tolerances, with"
    where = study.reference.relative_to(study.root).as_posix()
    counts = Counter(verdict for verdict, *_ in rows)
    parts = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
    verdict = f"study {study.name} {words} {where}: {parts}"
    if odd:
        verdict += f" ({', '.join(odd[:NAMED])}{', ...' if len(odd) > NAMED else ''})"
    return Report(_differences(*notes), rows, verdict, not odd)


def _differences(ours: dict, kept: dict) -> list[str]:
    """In what the machines, versions and commits of two notes differ, in lines."""
    lines = []
    for group in ("machine", "versions"):
        first, second = (note.get(group, {}) for note in (ours, kept))
        for key in first | second:
            if first.get(key) != second.get(key):
                values = [value.get(key, "not one for all steps") for value in (first, second)]
                lines.append(f"{key}: {values[0]} here, {values[1]} in the kept run")
    if ours.get("commit") != kept.get("commit"):
        values = [note.get("commit") or "no single one" for note in (ours, kept)]
        lines.append(f"commit: {values[0]} here, {values[1]} in the kept run")
    return lines
