import itertools
import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mrnetlib import files, provenance
from mrnetlib.files import InputError
from mrnetlib.settings import Settings
from mrnetlib.study import Study


@pytest.fixture(autouse=True)
def no_environment(tmp_path, monkeypatch):
    """Nothing is installed: counting what is takes a second."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nowhere"))


@pytest.fixture
def study(tmp_path):
    """A study without exams."""
    return Study("own", Settings(description="a toy", data="phantom", device="cpu"), tmp_path)


def notes_of(study):
    """The notes of all runs of a study."""
    return list((study.data / "runs").glob("*.json"))


def test_the_seconds_of_a_notebook_are_told_apart():
    picture = new_output("display_data", data={"image/png": ""})
    cells = [
        new_code_cell("import time\nfrom mrnetlib import names"),
        new_code_cell("draw()", outputs=[picture]),
        new_code_cell("train()"),
        new_code_cell("more()"),
        new_markdown_cell("from mrnetlib import nothing"),
    ]
    for cell, taken in zip(cells, (3, 2, 5, 1), strict=False):
        cell.metadata["papermill"] = {"duration": taken}
    parts = provenance.where_the_time_went(new_notebook(cells=cells), 15.5)
    assert parts == {"start": 4.5, "imports": 3.0, "drawing": 2.0, "work": 6.0}


def test_the_chains_run_names_are_values_and_others_name_their_parameters():
    unit = {"planes": "axial", "architecture": "resnext50_32x4d"}
    assert provenance.run_name("02", unit) == "02_resnext50_32x4d_axial"
    assert provenance.run_name("02", unit | {"seed": 1}) == "02_resnext50_32x4d_axial,seed=1"
    assert provenance.run_name("03", {}) == "03"
    assert provenance.run_name("00", {"exam": "0011"}) == "00,exam=0011"
    trial = {"weights": "../own/a.pt", "tasks": "acl,meniscus"}
    assert provenance.run_name("02", trial) == "02,tasks=acl+meniscus,weights=..%2Fown%2Fa.pt"


def test_no_two_sets_of_parameters_share_a_name():
    """Values that differ in a letter, a type or a place, and such as look like separators."""
    values = ["1", 1, 1.0, True, "true", None, "null", "", "a", "A b", "a_b", "a,b", "a+b", "a-b"]
    values += ["a/b", "a=b", "b=1", "a,seed=1", "a_b,c", "0011", 11, "[", [1], "é", "%2C", "a\n"]
    keys = ("architecture", "planes", "seed", "a_seed")
    sets = [{key: value} for key in keys for value in values]
    sets += [dict(zip(pair, both, strict=True)) for pair in itertools.combinations(keys, 2)
             for both in itertools.product(values, values)]  # fmt: skip
    named = {}
    for given in sets:
        name = provenance.run_name("02", given)
        assert re.fullmatch(r"[\w.,=+%~-]+", name, re.ASCII)
        assert name not in named, (given, named[name])
        named[name] = given


def test_parameters_of_the_command_line_get_their_types():
    words = ["seed=1", "planes=axial,coronal", "weights=a=b.pt", "shown=null", "rate=0.01", "x=["]
    wanted = {"seed": 1, "planes": "axial,coronal", "weights": "a=b.pt", "shown": None}
    assert provenance.parse_parameters(words) == wanted | {"rate": 0.01, "x": "["}
    for word in ("seed", "=1", "a b=1"):
        with pytest.raises(InputError, match="expected NAME=VALUE"):
            provenance.parse_parameters([word])


def test_provenance_says_once_what_all_runs_share(study):
    for run, seconds in (("00_a", 1.25), ("01_b", 2)):
        provenance.note_run(study, run, run, {"study": "own"}, seconds)
    other = study.data / "runs" / "02_c.json"
    content = json.loads((study.data / "runs" / "01_b.json").read_text())
    files.write_json(other, content | {"run": "02_c"})
    collected = provenance.collect(study, notes_of(study))
    written = (study.results / "provenance.json").read_text()
    assert json.loads(json.dumps(collected)) == json.loads(written)
    assert collected["study"] == "own"
    assert collected["settings"]["weight_decay"] == 0.1
    assert collected["seconds_of_all_runs"] == pytest.approx(5.2, abs=0.11)
    assert [run["run"] for run in collected["runs"]] == ["00_a", "01_b", "02_c"]
    assert "versions" in collected
    assert not any("versions" in run for run in collected["runs"])


def test_provenance_keeps_what_one_run_did_otherwise(study):
    for run in ("00_a", "01_b"):
        provenance.note_run(study, run, run, {}, 1)
    path = study.data / "runs" / "01_b.json"
    content = json.loads(path.read_text())
    content["versions"]["torch"] = "1.0"
    files.write_json(path, content)
    collected = provenance.collect(study, notes_of(study))
    assert "versions" not in collected
    assert [run["versions"]["torch"] == "1.0" for run in collected["runs"]] == [False, True]
    assert "machine" in collected


def test_provenance_does_not_tell_where_the_users_exams_are(tmp_path):
    study = Study("own", Settings(exams_folder="/home/someone/mri", device="cpu"), tmp_path)
    provenance.note_run(study, "00_a", "00_a", {}, 1)
    provenance.collect(study, notes_of(study))
    assert "someone" not in (study.results / "provenance.json").read_text()


def test_what_runs_take_together_counts_pauses_once_and_memory_of_the_same_time():
    def note(started, seconds, memory):
        return {"started": f"2026-01-01T10:{started}:00+00:00", "seconds": seconds} | {
            "peak_memory_mib": memory
        }

    notes = [note("00", 60, 500), note("01", 120, 700), note("02", 90, 900), note("30", 30, 1000)]
    found = provenance.together(notes)
    assert found["seconds_of_all_runs"] == 300
    assert found["seconds_while_any_ran"] == 60 + 150 + 30
    assert found["peak_memory_mib"] == 700 + 900
    del notes[1]["started"]
    assert provenance.together(notes)["seconds_while_any_ran"] is None


def test_a_run_notes_its_memory_and_the_study_its_disk(study):
    files.write_text(study.data / "exams" / "one.txt", "x" * (3 << 20))
    provenance.note_run(study, "00_a", "00_a", {}, 1)
    collected = provenance.collect(study, notes_of(study))
    assert collected["disk_mib"]["study"] == 3
    assert "environment" not in collected["disk_mib"], "there is none here"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="units differ")
def test_a_runs_memory_is_its_own_and_that_of_its_kernel(study, monkeypatch):
    import resource

    held = {resource.RUSAGE_SELF: 300 << 10, resource.RUSAGE_CHILDREN: 700 << 10}
    held = {who: SimpleNamespace(ru_maxrss=kib) for who, kib in held.items()}
    monkeypatch.setattr(resource, "getrusage", held.get)
    provenance.note_run(study, "00_a", "00_a", {}, 1, {"start": 1})
    collected = provenance.collect(study, notes_of(study))
    assert collected["peak_memory_mib"] == collected["runs"][0]["peak_memory_mib"] == 1000
    provenance.note_run(study, "00_a", "00_a", {}, 1)
    (without_a_kernel,) = provenance.collect(study, notes_of(study))["runs"]
    assert without_a_kernel["peak_memory_mib"] == held[resource.RUSAGE_SELF].ru_maxrss >> 10


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_says_whether_code_was_changed_but_not_results(tmp_path):
    def git(*words):
        names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *names, *words], cwd=tmp_path, check=True, capture_output=True)

    assert provenance.commit(tmp_path) == {"commit": None, "changed_since": None}
    git("init")
    for name in ("code.py", "results/table.csv"):
        files.write_text(tmp_path / name, "old")
    git("add", ".")
    git("commit", "-m", "first")
    assert len(provenance.commit(tmp_path)["commit"]) == 40
    inside = provenance.commit(tmp_path / "results")
    assert inside == {"commit": None, "changed_since": None}, "another repository's is not its own"
    files.write_text(tmp_path / "results/table.csv", "new")
    assert provenance.commit(tmp_path)["changed_since"] is False
    files.write_text(tmp_path / "code.py", "new")
    assert provenance.commit(tmp_path)["changed_since"] is True
