"""The house as CONTRIBUTING.md describes it: rooms, their sizes, and who may use whom."""

import ast
import importlib.util
import pkgutil
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "mrnetlib"
MODULES = sorted(LIBRARY.rglob("*.py"))
LONGEST = 320
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef


@pytest.fixture(scope="module")
def drawer():
    """The script that draws the packages."""
    spec = importlib.util.spec_from_file_location("packages", ROOT / "docs" / "packages.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_there_are_few_rooms_and_each_is_read_in_one_sitting():
    modules = [path for path in LIBRARY.glob("*.py") if path.stem != "__init__"]
    packages = [path.parent for path in LIBRARY.glob("*/__init__.py")]
    assert len(modules) <= 9 and len(packages) <= 8
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lengths.items() if count > LONGEST} == {}


def test_nothing_imports_in_a_circle(drawer):
    graph = drawer.imports()
    assert [part for part in graph if part in drawer.reachable(graph, part)] == []
    assert drawer.reachable({"a": {"b"}, "b": {"a"}}, "a") == {"a", "b"}


def test_nothing_imports_a_leaf_but_its_users(drawer):
    graph = drawer.imports()
    users = {part for part, used in graph.items() if "variants" in used}
    assert users <= {"__main__", "runner"}
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


def lines_of_code(*parts):
    """Lines of the library without blanks, comments and docstrings."""
    count = 0
    for path in MODULES:
        if path.relative_to(LIBRARY).parts[0] in parts:
            lines = path.read_text(encoding="utf-8").splitlines()
            words = set()
            for node in ast.walk(ast.parse("\n".join(lines))):
                first = node.body[0] if isinstance(node, DOCUMENTED) and node.body else None
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    words |= set(range(first.lineno, first.end_lineno + 1))
            code = [line for n, line in enumerate(lines, 1) if n not in words and line.strip()]
            count += sum(not line.lstrip().startswith("#") for line in code)
    return count


def test_the_readme_says_how_large_the_parts_are():
    page = (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    said = re.search(
        r"some ([\d,]+) lines of code.*?door \(([\d,]+)\).*?knee \(([\d,]+)\).*?"
        r"pictures \(([\d,]+)\)", page
    )  # fmt: skip
    beside = ["dicom"], ["phantom"], ["figures"]
    parts = {path.relative_to(LIBRARY).parts[0] for path in MODULES}
    study = sorted(parts - {"dicom", "phantom", "figures"})
    for number, chosen in zip(said.groups(), (study, *beside), strict=True):
        assert abs(lines_of_code(*chosen) / int(number.replace(",", "")) - 1) < 0.1


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
