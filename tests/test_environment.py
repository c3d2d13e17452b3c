import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def conda():
    """environment.yml: packages from conda, and the arguments for pip."""
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    packages = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    return content, {Requirement(p).name: Requirement(p).specifier for p in packages}, pip


@pytest.fixture(scope="module")
def constraints():
    """constraints.txt without its comments: name -> line."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.partition("#")[0].strip() for line in lines]
    return {canonical(Requirement(line).name): line for line in lines if line}


def canonical(name: str) -> str:
    """A package's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for, extras included, the project's own name left out."""
    texts = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        texts += extra
    requirements = [Requirement(text) for text in texts]
    return [r for r in requirements if canonical(r.name) != PROJECT["name"]]


def test_conda_gives_python_and_pip_and_nothing_else(conda):
    content, packages, _ = conda
    assert content["name"] == PROJECT["name"]
    assert content["channels"] == ["conda-forge"]
    assert set(packages) == {"python", "pip"}
    assert not packages["pip"]


def test_conda_and_pip_take_the_same_pythons(conda):
    _, packages, _ = conda
    assert packages["python"] == Requirement(f"python{PROJECT['requires-python']}").specifier


def test_pip_installs_the_project_as_the_makefile_does(conda):
    _, _, pip = conda
    assert pip == ["--constraint constraints.txt", "--editable .[dev]"]
    assert "dev" in PROJECT["optional-dependencies"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--constraint constraints.txt --editable '.[dev]'" in makefile


def test_pyproject_asks_for_everything_once():
    names = [canonical(requirement.name) for requirement in wanted()]
    assert len(names) == len(set(names))


def test_every_dependency_is_pinned_to_a_version_that_pyproject_allows(constraints):
    for requirement in wanted():
        name = canonical(requirement.name)
        assert name in constraints, f"{name} is not in constraints.txt"
        version = constraints[name].partition("==")[2].partition(";")[0].strip()
        assert requirement.specifier.contains(version, prereleases=True), constraints[name]


def test_constraints_are_plain_pins_without_addresses(constraints):
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text
    for line in constraints.values():
        assert re.fullmatch(r"[\w.-]+==[\w.+!]+( *;.*)?", line), line
        assert "+" not in line.partition(";")[0], f"{line}: a local version is on no index"
    assert canonical(PROJECT["name"]) not in constraints


def test_the_licence_is_the_one_that_pyproject_names():
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
