"""The conventions of the notebooks: what a reader may rely on in every one of them."""

import ast
import importlib
import io
import json
import re
import tokenize
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
ROWS = ["Expects", "Produces", "Takes", "In the paper"]
LAST = ["In this notebook we saw", "Limits", "Exercises"]
LONGEST_CELL = 25
LEAST_WORDS_PER_LINE = 3


@pytest.fixture(params=PATHS, ids=[path.stem for path in PATHS])
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def sources(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def parameters_of(notebook):
    """Source of the parameters cell; there is exactly one, and it is the first code cell."""
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(tagged) == 1 and tagged[0] is code[0]
    return tagged[0].source


def test_the_notebooks_of_the_chain_are_there():
    chain = ["00_exams", "01_preprocessing", "02_per_plane_training", "03_fusion"]
    chain += ["04_single_vs_multi_view"]
    assert [path.stem for path in PATHS][: len(chain)] == chain


def test_header_says_number_question_and_what_goes_in_and_out(path, notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    lines = [line for line in first.source.splitlines() if line.strip()]
    assert re.fullmatch(rf"# {path.stem[:2]} · \S.*", lines[0])
    assert lines[1].endswith("?"), "the question in a sentence follows the title"
    found = re.findall(r"^\| \*\*(.+?)\*\* \| \S.*\|$", first.source, re.MULTILINE)
    assert found == ROWS


def test_header_links_to_the_notebooks_before_and_after(path, notebook):
    place = PATHS.index(path)
    neighbours = PATHS[max(place - 1, 0) : place] + PATHS[place + 1 : place + 2]
    for neighbour in neighbours:
        assert f"({neighbour.name})" in notebook.cells[0].source


def test_parameters_are_flat_literals_with_a_comment_each(notebook):
    source = parameters_of(notebook)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    names = []
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign) and len(statement.targets) == 1
        value = ast.literal_eval(statement.value)
        assert value is None or isinstance(value, str | int | float | bool)
        assert statement.lineno == statement.end_lineno and statement.lineno in commented
        names.append(statement.targets[0].id)
    assert "study" not in names[1:], "the study comes first"


def test_source_has_no_outputs(path, notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    stored = set(json.loads(path.read_text(encoding="utf-8"))["metadata"])
    assert stored <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"


def test_cells_have_stable_ids(path, notebook):
    ids = [cell["id"] for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(rf"{path.stem[:2]}-[a-z0-9-]+", name) for name in ids)


def test_cells_are_short_and_prose_carries_them(notebook):
    code, prose = sources(notebook, "code"), sources(notebook, "markdown")
    assert max(len(source.splitlines()) for source in code) <= LONGEST_CELL
    lines = sum(bool(line.strip()) for source in code for line in source.splitlines())
    words = sum(len(source.split()) for source in prose)
    assert words >= LEAST_WORDS_PER_LINE * lines


def test_ends_with_summary_limits_and_exercises(notebook):
    prose = "\n".join(sources(notebook, "markdown"))
    headings = re.findall(r"^## (.+)$", prose, re.MULTILINE)
    assert headings[-3:] == LAST
    place = next(i for i, cell in enumerate(notebook.cells) if "## Exercises" in cell.source)
    code = [cell for cell in notebook.cells[place:] if cell.cell_type == "code"]
    assert all(cell.metadata["tags"] == ["exercise"] for cell in code), "nothing else stands here"


def test_every_result_names_its_study(notebook):
    if "study =" not in parameters_of(notebook):
        pytest.skip("takes no study: it reads published numbers")
    assert "caption()" in "\n".join(sources(notebook, "code"))


def test_code_uses_only_what_the_library_has(notebook):
    """Names of the library that a notebook uses exist: renaming one fails here, in a second."""
    modules = {}
    for source in sources(notebook, "code"):
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "mrnetlib":
                parent = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(parent, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
                    modules[alias.asname or alias.name] = getattr(parent, alias.name)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = modules.get(node.value.id)
                if isinstance(owner, type(importlib)):
                    assert hasattr(owner, node.attr), f"{node.value.id}.{node.attr}"
