"""What a laptop without a network needs, and how large it is: docs/wheels.py, without pip."""

import zipfile

import pytest
from conftest import script_of_docs
from packaging.requirements import Requirement

wheels = script_of_docs("wheels")


def names(system, python="3.12"):
    return {Requirement(one).name for one in wheels.needed(system, python)}


def test_each_system_needs_its_own_packages():
    windows, macos, linux = map(names, ("windows", "macos", "linux"))
    assert {"torch", "jupyterlab", "setuptools"} <= windows & macos & linux
    assert "colorama" in windows and "colorama" not in macos | linux
    assert "pexpect" in macos & linux and "pexpect" not in windows


def test_versions_are_the_pinned_ones():
    pins = wheels.pins()
    asked = {
        one.name: str(one.specifier) for one in map(Requirement, wheels.needed("macos", "3.12"))
    }
    assert asked["torch"] == pins["torch"] != ""


@pytest.fixture
def folder(tmp_path):
    """Two wheels of a thousand zeros each, packed small."""
    for name in ("one_thing-1.2-py3-none-any.whl", "other-2.0-cp312-cp312-win_amd64.whl"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("zeros", bytes(1000))
    return tmp_path


def test_a_wheel_is_there_by_its_version_and_kind(folder):
    assert wheels.there(folder, "one-thing==1.2")
    assert not wheels.there(folder, "one-thing==1.3")
    assert wheels.there(folder, "other==2.0") and not wheels.there(folder, "other==2.0", "none-any")


def test_what_is_there_is_measured_packed_and_unpacked(folder):
    found = wheels.measured(folder, ["other==2.0"])
    assert found["wheels"] == 2 and found["bytes_unpacked"] == 2000
    assert found["bytes"] == sum(path.stat().st_size for path in folder.iterdir()) < 2000
    assert found["built_here"] == ["other==2.0"]


def test_what_cannot_be_had_is_a_sentence_and_what_is_missing_is_built(folder, monkeypatch, capsys):
    monkeypatch.setattr(wheels, "needed", lambda system, python: ["one-thing==1.2", "lost==1"])
    monkeypatch.setattr(wheels, "run_pip", lambda *words: "no such wheel")
    monkeypatch.setattr("sys.argv", ["wheels.py", "--system", "linux", "--to", str(folder / "all")])
    assert wheels.main() == 1
    said = capsys.readouterr().err
    assert "\nerror: one-thing==1.2: " in said and said.endswith("no such wheel\n")

    def built(kind, *words):
        if kind == "download":
            return "no such wheel"
        name = words[-1].replace("==", "-").replace("-thing", "_thing")
        with zipfile.ZipFile(folder / "all" / "linux" / f"{name}-py3-none-any.whl", "w"):
            return ""

    monkeypatch.setattr(wheels, "run_pip", built)
    monkeypatch.setattr("sys.argv", [*wheels.sys.argv, "--json", str(folder / "sizes.json")])
    assert wheels.main() == 0
    said = (folder / "sizes.json").read_text()
    assert '"wheels": 2' in said and '"lost==1"' in said and '"commit"' in said
    assert wheels.main() == 0, "what was built before is still said"
    assert (folder / "sizes.json").read_text() == said
