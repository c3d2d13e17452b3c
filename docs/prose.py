"""Put the numbers of results into prose, or check that they stand there.

    python docs/prose.py          # say where prose and results differ; exit status 1 where they do
    python docs/prose.py --write  # put the numbers into the pages

A number that a result, a study file or the code holds stands between marks that no reader of the
page sees: ``<!-- n: key -->13 s<!-- /n -->``. The keys are those of `numbers`. What reads like such
a number (seconds, gigabytes, lines of code, an AUC) and stands outside of marks is an error, too.
"""

import argparse
import ast
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from mrnetlib.dicom import knees, stacks
from mrnetlib.evaluation import roc
from mrnetlib.files import InputError, read_json, write_text
from mrnetlib.names import PLANES
from mrnetlib.phantom import quality, tissues, variants
from mrnetlib.study import read
from mrnetlib.teaching import exercises
from mrnetlib.variants import recipes

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "mrnetlib"
RESULTS = ROOT / "results"
STUDY = "phantom"
PAGES = (
    "README.md", "CHANGELOG.md", "results/README.md", "docs/*.md", "docs/teaching/setup.md",
    "notebooks/*.ipynb",
)  # fmt: skip
MARKED = re.compile(r"(<!-- n: ([^>]+) -->)([^\n]*?)(<!-- /n -->)")

#: What stands where a result does not hold the number, because it is older than the note of it.
UNKNOWN = "not noted by this run"

#: For what nobody has run since the study took its present form.
UNMEASURED = "not measured"

#: The same of a time, in the midst of a sentence.
NO_TIME = "a time not measured yet"

_WORDS = "half an?|two|three|four|five|six|seven|eight|nine|ten|fifteen|twenty|thirty|forty"
_UNITS = r"s|min|seconds?|minutes?|hours?|[kKMG]i?B|gigabytes?|lines of code"
#: What reads like a measured number.
CLAIMED = re.compile(
    rf"\b(?:\d[\d.,]*|{_WORDS})(?: to (?:\d[\d.,]*|{_WORDS}))?[ -](?:{_UNITS})\b"
    r"|\bAUCs? (?:of |by |from )?(?:about )?(?!0?\.5\b)[01]?\.\d+",  # .5 is guessing
    re.IGNORECASE,
)

#: Parts of the library that stand beside the study itself.
BESIDE = ("dicom", "phantom", "figures", "reading")
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef


def lines_of_code(path: Path) -> int:
    """Lines of a Python file without blanks, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    words = set()
    for node in ast.walk(ast.parse(text)):
        first = node.body[0] if isinstance(node, DOCUMENTED) and node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            words |= set(range(first.lineno, first.end_lineno + 1))
    lines = [line.strip() for n, line in enumerate(text.splitlines(), 1) if n not in words]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def sizes() -> dict[str, int]:
    """Lines of code of the study itself and of the parts beside it."""
    found = dict.fromkeys(("study", *BESIDE), 0)
    for path in LIBRARY.rglob("*.py"):
        part = path.relative_to(LIBRARY).parts[0]
        found[part if part in BESIDE else "study"] += lines_of_code(path)
    return found


def kept(*place: str) -> dict[str, Any]:
    """A JSON file of the results; empty where it is not there."""
    path = RESULTS.joinpath(*place)
    return read_json(path) if path.is_file() else {}


def duration(seconds: float) -> str:
    """Seconds below one and a half minutes, minutes above."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def gigabytes(mib: int | None) -> str:
    """MiB as GB, or that they are unknown."""
    return UNKNOWN if mib is None else f"{mib * (1 << 20) / 1e9:.1f} GB"


def seconds(
    run: dict[str, Any], step: str, wanted: Callable[[str], bool] = lambda _: True
) -> list[float]:
    """Seconds of the runs of a step in a provenance file, of those whose name is `wanted`."""
    runs = [note for note in run["runs"] if note["step"] == step and wanted(note["run"])]
    if not runs:
        raise InputError(f"provenance of {run['study']}: no such run of {step}. Run the study.")
    return [note["seconds"] for note in runs]


def elapsed(run: dict[str, Any]) -> float:
    """Seconds from the first start to the last end, pauses left out."""
    noted = run.get("seconds_while_any_ran")
    return run["seconds_of_all_runs"] / cores(run) if noted is None else noted


def cores(run: dict[str, Any]) -> int:
    """Cores of the machine; runs that did not note them were made on two."""
    return run.get("machine", {}).get("cores", 2)


def seeds_apart() -> float:
    """How far the test AUC of one network moves between seeds, at most, where seeds were tried."""
    tables = []
    for path in (RESULTS / STUDY / "predictions").glob("*.csv"):
        tables.append(pd.read_csv(path).assign(network=path.stem))
    for path in (RESULTS / STUDY / "choices" / "predictions").glob("*.csv"):
        table = pd.read_csv(path).query("variant == 'as_is'")
        tables.append(table.assign(network=path.stem + "_" + table["task"]))
    table = pd.concat(tables).query("split == 'test'")
    networks = table.groupby(["network", "seed"])[["label", "probability"]]
    areas = networks.apply(lambda one: roc.auc(one["label"], one["probability"]))
    by_network = areas.groupby("network")
    return float((by_network.max() - by_network.min()).max())


def of_the_run() -> dict[str, str]:
    """What the default study took, as its provenance and that of its extras say."""
    run = read_json(RESULTS / STUDY / "provenance.json")
    choices, looks, lab = (
        kept(STUDY, extra, "provenance.json") for extra in ("choices", "looks", "lab")
    )
    training = "02_per_plane_training"
    alexnet = seconds(run, training, lambda name: "_alexnet_" in name)
    others = seconds(run, training, lambda name: "_alexnet_" not in name)
    disk = run.get("disk_mib", {})
    found = {
        step: duration(sum(seconds(run, step)))
        for step in ("00_exams", "01_preprocessing", training, "03_fusion")
    }
    return found | {
        "04_single_vs_multi_view": duration(sum(seconds(run, "04_single_vs_multi_view"))),
        "06_choices": (
            duration(sum(seconds(choices, "06_choices_that_move_the_number")))
            if choices
            else NO_TIME
        ),
        "time of choices": (
            f"{duration(elapsed(choices))}, with the notebook" if choices else NO_TIME
        ),
        "09_lab": duration(sum(seconds(lab, "09_transfer_learning_lab"))) if lab else NO_TIME,
        "07_looks": duration(elapsed(looks)) if looks else NO_TIME,
        "pretraining": duration(sum(seconds(run, "pretraining"))),
        "alexnets of a plane": duration(max(alexnet)),
        "other networks of a plane": duration(max(others)),
        "cores": str(cores(run)),
        "make study": duration(elapsed(run)),
        "make choices": duration(elapsed(choices)) if choices else NO_TIME,
        "memory": gigabytes(run.get("peak_memory_mib")),
        "disk of the study": gigabytes(disk.get("study")),
        "disk of the environment": gigabytes(disk.get("environment")),
        "seeds apart": f"{seeds_apart():.2f}".lstrip("0"),
    }


def of_the_settings() -> dict[str, str]:
    """Exams and networks of the studies."""
    own, full = read(STUDY, ROOT), read("phantom-full", ROOT)
    networks = len(own.architectures) * len(own.planes) * len(own.tasks)
    return {
        "networks": str(networks),
        "exams": f"{own.train_exams + own.test_exams:,}",
        "exams of phantom-full": f"{full.train_exams:,} + {full.test_exams:,}",
        "pixels of phantom-full": f"{full.image_size} x {full.image_size}",
    }


def of_the_knees() -> dict[str, str]:
    """What the digital knee draws."""
    shares = {level: chance for level, (chance, *_) in quality.LEVELS.items()}
    return {
        "kinds of variants": str(len(variants.CHANCES)),
        "scanners of the phantom": str(len(tissues.SCANNERS)),
        "clean series": f"{shares['clean']:.0%}".replace("%", " %"),
        "poor series": f"{shares['poor']:.0%}".replace("%", " %"),
    }


def of_the_exercises() -> dict[str, str]:
    """Seconds of every exercise's solution and check, on one core, behind a comma; else nothing."""
    found = kept("benchmarks", "exercises.json")
    measured = found["seconds of one core"] if found else {}
    names = [name for number in exercises.MODULES for name in exercises.exercises_of(number)]
    words = {name: f", {duration(max(1, round(taken)))}" for name, taken in measured.items()}
    return {f"exercise {name}": words.get(name, "") for name in names}


def of_the_kills() -> dict[str, str]:
    """How many kill points were tried, and what came of them."""
    counts, found = kept("benchmarks", "kill_points.json"), {}
    for kind in ("trainings", "chains", "studies"):
        part = counts.get(kind, {})
        found[f"kill points of {kind}"] = str(part.get("points", UNMEASURED))
        found[f"killed {kind}"] = str(part.get("runs", UNMEASURED))
        found[f"killed {kind}, the same bytes"] = str(part.get("same_bytes", UNMEASURED))
    return found


def of_the_starts() -> dict[str, str]:
    """What AlexNet's several views reach from each start, and what ImageNet brings over scratch."""
    found, wanted = {}, "architecture == 'alexnet' and views == 'multi' and `class` == 'average'"
    for name in (STUDY, f"{STUDY}-scratch", f"{STUDY}-imagenet"):
        path = RESULTS / name / "table1_intervals.csv"
        rows = pd.read_csv(path).query(wanted).to_dict("records") if path.is_file() else []
        words = "{auc:.2f} ({auc_low:.2f} to {auc_high:.2f})"
        found[f"AUC of {name}"] = words.format(**rows[0]) if rows else UNMEASURED
    path, words = RESULTS / f"{STUDY}-imagenet" / "scratch.csv", UNMEASURED
    if path.is_file():
        row = pd.read_csv(path).query("views == 'multi'").iloc[0]
        words = "{difference:+.2f} ({low:+.2f} to {high:+.2f})".format(**row)
    return found | {"ImageNet over scratch": words}


def moved(name: str, of: str) -> dict[str, str]:
    """By what a benchmark of the recipe compares: AUC on the tuning exams, with its interval."""
    words = "{tune_auc difference:+.2f} ({tune_auc low:+.2f} to {tune_auc high:+.2f})"
    return {row[of]: words.format(**row) for row in kept("benchmarks", name).get("compared", [])}


def of_the_flip() -> dict[str, str]:
    """What the paper's flip moves in each plane."""
    measured = moved("flip.json", "plane")
    return {f"flip of {plane} slices": measured.get(plane, UNMEASURED) for plane in PLANES}


def of_batch_norm() -> dict[str, str]:
    """What batch norms that keep their statistics move in each architecture that has them."""
    measured = moved("batch_norm.json", "architecture")
    names = "resnet18", "googlenet"
    return {f"kept statistics in {name}": measured.get(name, UNMEASURED) for name in names}


def of_the_probes() -> dict[str, str]:
    """How many networks end above the probe they start from, and by how much all do on average."""
    measured = kept("benchmarks", "probes.json")
    counted, by = UNMEASURED, UNMEASURED
    if measured:
        counted = "{above} of {networks} networks".format(**measured)
        by = "{difference:+.2f} ({low:+.2f} to {high:+.2f})".format(**measured["means"][-1])
    return {"networks above their probe": counted, "fine-tuning over the probe": by}


def of_the_wheels() -> dict[str, str]:
    """How large the folders of wheels were when they were gathered last, packed and unpacked."""
    gathered = kept("benchmarks", "wheels.json") or {"python": UNMEASURED, "systems": {}}
    found = {"Python of the wheels": gathered["python"]}
    for system in beside("wheels").SYSTEMS:
        size = gathered["systems"].get(system, {})
        found[f"wheels for {system}"] = str(size.get("wheels", UNMEASURED))
        for key, words in {"bytes": "packed", "bytes_unpacked": "unpacked"}.items():
            bytes_ = size.get(key)
            found[f"{words} for {system}"] = f"{bytes_ / 1e9:.1f} GB" if bytes_ else UNMEASURED
    return found


def beside(name: str) -> ModuleType:
    """Another script of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_speed(part: Any) -> bool:
    """Whether this part of a benchmark's file is an architecture's."""
    return isinstance(part, dict) and "of_limit" in part


def numbers() -> dict[str, str]:
    """All keys that a mark may have, and what they are today."""
    benchmark = read_json(RESULTS / "benchmarks" / "training.json")
    speed = [part["of_limit"] for part in benchmark.values() if is_speed(part)]
    code = {f"lines of {part}": f"{round(count, -2):,}" for part, count in sizes().items()}
    return (
        code
        | beside("scale").numbers()
        | of_the_kills()
        | of_the_starts()
        | of_the_flip()
        | of_batch_norm()
        | of_the_probes()
        | of_the_wheels()
        | of_the_run()
        | of_the_settings()
        | of_the_knees()
        | of_the_exercises()
        | {
            "of the machine's limit": f"{100 * min(speed):.0f} to {100 * max(speed):.0f} %",
            "digits of the choices": str(recipes.DIGITS),
            "mm between planes": f"{stacks.SAME_KNEE:.0f}",
            "mm along the other axes": f"{knees.SAME_JOINT:.0f}",
        }
    )


def pages(root: Path = ROOT) -> Iterator[Path]:
    """The pages whose numbers are held to results."""
    for pattern in PAGES:
        yield from sorted(root.glob(pattern))


def current(path: Path) -> tuple[str, str]:
    """A page's text and what stays as it is: what a changelog says of versions that are out."""
    text = path.read_text(encoding="utf-8")
    if path.name != "CHANGELOG.md":
        return text, ""
    parts = re.split(r"(?=^## )", text, flags=re.MULTILINE)
    return "".join(parts[:2]), "".join(parts[2:])


def filled(text: str, known: dict[str, str]) -> str:
    """The text with today's numbers between its marks; unknown keys stay for `problems`."""
    return MARKED.sub(lambda m: m[1] + known.get(m[2], m[3]) + m[4], text)


def prose(path: Path, text: str) -> str:
    """What a reader reads of a page: of a notebook what stands between its code."""
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def problems(path: Path, known: dict[str, str]) -> list[str]:
    """Where a page differs from the results, in words."""
    text, _ = current(path)
    found = []
    for _, key, said, _ in MARKED.findall(text):
        if key not in known:
            found.append(f"{path}: '{key}' is no number that is known. See docs/prose.py.")
        elif said != known[key]:
            found.append(f"{path}: {key} is '{said}', the results say '{known[key]}'.")
    for claim in CLAIMED.finditer(MARKED.sub("", prose(path, text))):
        found.append(f"{path}: '{claim[0]}' has no source. Mark it, or take it out.")
    return found


def put_in(path: Path, known: dict[str, str]) -> None:
    """Write today's numbers between a page's marks."""
    text, rest = current(path)
    if filled(text, known) != text:
        write_text(path, filled(text, known) + rest)


def main() -> None:
    """Check the pages, after writing them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the numbers into the pages")
    write, known = parser.parse_args().write, numbers()
    found = []
    for path in pages():
        if write:
            put_in(path, known)
        found += problems(path, known)
    print("\n".join(found) or "the pages say what the results say")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
