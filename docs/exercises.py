"""Put the exercises into the notebooks and their solutions, or check that they stand there.

    python docs/exercises.py          # say which notebooks differ from the source; exit status 1
    python docs/exercises.py --write  # put the exercises in, and write notebooks/solutions/
    python docs/exercises.py --time   # run the default study's solutions, note their seconds

The source is ``docs/exercises/<notebook>.md``: an introduction, then for each exercise a heading
with its name, the text, and four blocks: what the student finds (``python``), the ``solution``, a
``wrong`` answer for the tests, and the explanation, which only the solutions show. What follows a
heading that is no exercise's name stands at the notebook's end, but ``## Explained``, the answers
to questions between the cells, in the solutions alone.
"""

import argparse
import copy
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mrnetlib import study as studies
from mrnetlib.files import InputError, write_json, write_text
from mrnetlib.provenance import circumstances
from mrnetlib.teaching import exercises

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "docs" / "exercises"
NOTEBOOKS = ROOT / "notebooks"
SECONDS = ROOT / "results" / "benchmarks" / "exercises.json"
HEADING = "## Exercises"
EXPLAINED = "Explained"

#: Cells of students, which a step's code does not depend on (`mrnetlib.files.code_digest`).
TAG = "exercise"

_NAME = re.compile(r"\d\d-\d+")
_BLOCK = re.compile(r"^```(python|solution|wrong)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"(<!-- n: exercise [^>]+ -->)[^\n]*?(<!-- /n -->)")


@dataclass(frozen=True)
class Source:
    """One exercise as its source says it."""

    name: str
    text: str
    stub: str
    solution: str
    wrong: str
    explained: str


def read(path: Path) -> tuple[str, list[Source], dict[str, str]]:
    """A source: its introduction, its exercises, and what follows them by its heading."""
    first, *parts = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found, rest = [], {}
    for part in parts:
        name, _, text = part.partition("\n")
        if not _NAME.fullmatch(name):
            rest[name] = text.strip()
            continue
        blocks = {kind: code.strip() for kind, code in _BLOCK.findall(text)}
        if set(blocks) != {"python", "solution", "wrong"}:
            raise InputError(f"{path}, {name}: expected one block python, solution and wrong each.")
        words = _BLOCK.split(text)
        found.append(Source(name, words[0].strip(), *blocks.values(), words[-1].strip()))
    return first.strip(), found, rest


def checked(code: str, name: str, needs_study: bool) -> str:
    """The code of an answer and the line that checks it."""
    return f'{code}\nexercises.check("{name}", answer{", this" if needs_study else ""})'


def takes_study(notebook: NotebookNode) -> bool:
    """Whether a notebook has a study, ``this``."""
    return any("this = studies.load(study)" in cell.source for cell in notebook.cells)


def with_exercises(notebook: NotebookNode, path: Path) -> NotebookNode:
    """A notebook with today's exercises at its end, in place of those that it had."""
    number, (intro, found, rest) = path.stem[:2], read(path)
    notebook = copy.deepcopy(notebook)
    kept = [cell for cell in notebook.cells if not cell["id"].startswith(f"{number}-ex")]
    if HEADING in kept[-1].source:  # one cell with the summary, as they were written by hand
        kept[-1].source = kept[-1].source.partition(HEADING)[0].rstrip()
    cells = [new_markdown_cell(f"{HEADING}\n\n{intro}", id=f"{number}-exercises")]
    for one in found:
        place = f"{number}-ex-{one.name.partition('-')[2]}"
        mark = f"<!-- n: exercise {one.name} --><!-- /n -->"  # ", 2 s" where that was measured
        text = f"### {one.name}{mark}\n\n{one.text}"
        code = "from mrnetlib.teaching import exercises\n\n" + one.stub
        cells += [
            new_markdown_cell(text, id=place),
            new_code_cell(
                checked(code, one.name, takes_study(notebook)),
                id=f"{place}-answer",
                metadata={"tags": [TAG]},
            ),
        ]
    more = "\n\n".join(f"### {n}\n{text}" for n, text in rest.items() if n != EXPLAINED)
    if more:
        cells.append(new_markdown_cell(more, id=f"{number}-ex-more"))
    notebook.cells = kept + cells
    return notebook


def solutions(notebook: NotebookNode, path: Path) -> NotebookNode:
    """The notebook with a source's solutions: it runs by itself, on a study's files."""
    (_, found, rest), number = read(path), path.stem[:2]
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    head = (
        f"# Solutions to {title}\n\nOne way each; another that the check calls right is as good. "
        f"The exercises stand at the end of [{title}](../{path.stem}.ipynb). Run the first two "
        "code cells, then any other."
    )
    study = takes_study(notebook)
    setup = "from mrnetlib.teaching import exercises"
    if study:
        setup = f"from mrnetlib import study as studies\n{setup}\n\nthis = studies.load(study)"
    parameters = 'study = "phantom"  # a file in studies/, without .yaml; it has to be run already'
    tagged = {"metadata": {"tags": ["parameters"]}}
    cells = [new_markdown_cell(head, id=f"{number}-solutions")]
    cells += [new_code_cell(parameters, id=f"{number}-parameters", **tagged)] * study
    cells += [new_code_cell(setup, id=f"{number}-setup")]
    for one in found:
        place = f"{number}-sol-{one.name.partition('-')[2]}"
        cells += [
            new_markdown_cell(f"## {one.name}\n\n{one.text}", id=place),
            new_code_cell(checked(one.solution, one.name, study), id=f"{place}-code"),
            new_markdown_cell(one.explained, id=f"{place}-why"),
        ]
    if text := rest.get(EXPLAINED):
        cells.append(new_markdown_cell(f"## {EXPLAINED}\n\n{text}", id=f"{number}-explained"))
    return new_notebook(cells=cells, metadata=notebook.metadata)


def pages() -> Iterator[tuple[Path, Path, NotebookNode]]:
    """Every notebook to be written: its path, its source, and what it is to hold."""
    for path in sorted(SOURCES.glob("*.md")):
        target = NOTEBOOKS / f"{path.stem}.ipynb"
        notebook = nbformat.read(target, as_version=4)
        yield target, path, with_exercises(notebook, path)
        yield NOTEBOOKS / "solutions" / target.name, path, solutions(notebook, path)


def as_text(notebook: NotebookNode, before: str = "") -> str:
    """A notebook as its file, with the numbers that stand between its marks `before`."""
    known = {found[1]: found[0] for found in _MARK.finditer(before)}
    text = nbformat.writes(notebook) + "\n"
    return _MARK.sub(lambda found: known.get(found[1], found[0]), text)


def differing() -> dict[Path, str]:
    """The notebooks that are not what their sources say, and what they would be."""
    found = {}
    for target, _, notebook in pages():
        before = target.read_text(encoding="utf-8") if target.is_file() else ""
        if (text := as_text(notebook, before)) != before:
            found[target] = text
    return found


def run(path: Path, study: studies.Study) -> Iterator[tuple[Source, Any, exercises.Verdict, float]]:
    """Run a source's solutions: each with its names, the verdict, and its seconds of one core."""
    for one in read(path)[1]:
        names: dict[str, Any] = {"this": study}
        start = process_time()
        exec(compile(one.solution, f"{path.name}, {one.name}", "exec"), names)
        verdict = exercises.check(one.name, names["answer"], study)
        yield one, names, verdict, process_time() - start


def measure() -> dict[str, Any]:
    """Seconds of every solution and its check on the default study, and where that was."""
    study, seconds = studies.load("phantom", ROOT), {}
    for path in sorted(SOURCES.glob("*.md")):
        for one, _, verdict, taken in run(path, study):
            print(f"{verdict}  {taken:.1f} s", flush=True)
            if verdict.right:  # what needs a run of choices, looks or lab cannot be told without
                seconds[one.name] = round(taken, 2)
    note = {"study": study.name, "seconds of one core": seconds}
    return note | circumstances(study)


def main() -> None:
    """Check the notebooks, after writing them where asked, or measure the solutions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the notebooks")
    parser.add_argument("--time", action="store_true", help="run the solutions, note the seconds")
    words = parser.parse_args()
    if words.time:
        write_json(SECONDS, measure())
        return
    found = differing()
    if words.write:
        for path, text in found.items():
            write_text(path, text)
        found = {}
    print("\n".join(map(str, found)) or "the notebooks hold the exercises of their sources")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
