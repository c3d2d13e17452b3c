"""The house as CONTRIBUTING.md describes it: rooms, their sizes, and who may use whom."""

import ast
import pkgutil
import re
from pathlib import Path

import pytest
from conftest import script_of_docs

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "mrnetlib"
MODULES = sorted(LIBRARY.rglob("*.py"))
LONGEST = 320


@pytest.fixture(scope="module")
def drawer():
    """The script that draws the packages."""
    return script_of_docs("packages")


def test_there_are_few_rooms_and_each_is_read_in_one_sitting():
    modules = [path for path in LIBRARY.glob("*.py") if path.stem != "__init__"]
    packages = [path.parent for path in LIBRARY.glob("*/__init__.py")]
    assert len(modules) <= 9 and len(packages) <= 10
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lengths.items() if count > LONGEST} == {}


def test_nothing_imports_in_a_circle(drawer):
    graph = drawer.imports()
    assert [part for part in graph if part in drawer.reachable(graph, part)] == []
    assert drawer.reachable({"a": {"b"}, "b": {"a"}}, "a") == {"a", "b"}


def test_nothing_imports_a_leaf_but_its_users(drawer):
    graph = drawer.imports()
    for leaf, others in {"variants": set(), "reading": {"teaching"}}.items():
        users = {part for part, used in graph.items() if leaf in used}
        assert users <= {"__main__", "runner", *others}
    assert {part for part, used in graph.items() if "teaching" in used} == {"runner"}
    for part in ("names", "files", "parallel"):
        assert graph[part] <= {"names", "files"}
    assert not graph["study"] & {"training", "exams", "phantom", "dicom"}
    assert "evaluation" not in graph["exams"] | graph["fusion"]


def test_a_name_is_imported_from_where_it_is_defined():
    defined, wrong = {}, []
    for path in MODULES:
        tree = ast.parse(path.read_bytes())
        names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        stored = (n for n in ast.walk(tree) if isinstance(n, ast.Name))
        names |= {n.id for n in stored if isinstance(n.ctx, ast.Store)}
        words = path.relative_to(LIBRARY).with_suffix("").parts
        defined[".".join(["mrnetlib", *words])] = names
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_bytes())):
            known = defined.get(getattr(node, "module", None))
            if isinstance(node, ast.ImportFrom) and known is not None:
                wrong += [(path.name, a.name) for a in node.names if a.name not in known]
    assert wrong == []


def test_the_picture_of_the_packages_is_that_of_the_imports(drawer):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert drawer.on_page(page) == drawer.diagram(drawer.imports()), (
        "run: python docs/packages.py --write"
    )


def test_what_contributing_names_is_there():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:[a-z_]+/)*[a-z_0-9]+\.py)`", page):
        assert any((folder / name).is_file() for folder in (ROOT, LIBRARY)), name
    walk = page.split("## One exam")[1].split("\n## ")[0]
    functions = re.findall(r"`((?:[a-z_0-9]+\.)+[a-z_0-9]+)`", walk)
    assert len(functions) >= 10
    for name in functions:
        if not name.endswith(".csv"):
            pkgutil.resolve_name(f"mrnetlib.{name}")
