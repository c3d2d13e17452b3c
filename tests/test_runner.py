import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import files_in, full_disk, write_notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mrnetlib import files, provenance, runner
from mrnetlib.__main__ import build_parser
from mrnetlib.files import InputError
from mrnetlib.runner import NotebookError
from mrnetlib.settings import Settings
from mrnetlib.study import Study, load


@pytest.fixture
def study(tmp_path):
    """A study without exams."""
    return Study("own", Settings(description="a toy", data="phantom", device="cpu"), tmp_path)


def notes_of(study):
    """The notes of all runs of a study."""
    return list((study.data / "runs").glob("*.json"))


def test_a_notebook_runs_with_its_parameters_and_becomes_a_page(study, capsys):
    write_notebook(study.root, "00_toy", "print(f'{study} has seed {seed + 40}')")
    source = (study.root / "notebooks" / "00_toy.ipynb").read_bytes()
    report = runner.run_notebook(study, "00_toy", {"seed": 2})
    assert report == study.results / "00_toy_2.html"
    assert "own has seed 42" in report.read_text(encoding="utf-8")
    assert (study.root / "notebooks" / "00_toy.ipynb").read_bytes() == source
    assert "own has seed 42" in capsys.readouterr().out
    note = json.loads((study.data / "runs" / "00_toy_2.json").read_text())
    assert note["parameters"] == {"study": "own", "seed": 2}
    assert note["step"] == "00_toy"
    assert note["seconds"] > 0
    assert note["versions"]["torch"]
    assert set(note["parts"]) == {"start", "imports", "drawing", "work", "report"}
    assert sum(note["parts"].values()) == pytest.approx(note["seconds"], abs=0.5)


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
    parts = runner.where_the_time_went(new_notebook(cells=cells), 15.5)
    assert parts == {"start": 4.5, "imports": 3.0, "drawing": 2.0, "work": 6.0}


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("1 / 0", NotebookError, r"00_toy\.ipynb, cell .: ZeroDivisionError: division by zero"),
        (
            "from mrnetlib.files import InputError\nraise InputError('exam 0042: no pixels')",
            InputError,
            r"^00_toy\.ipynb: exam 0042: no pixels$",
        ),
    ],
)
def test_a_failing_cell_leaves_no_report(study, cell, error, message):
    write_notebook(study.root, "00_toy", cell)
    with pytest.raises(error, match=message):
        runner.run_notebook(study, "00_toy", {})
    assert not any(name.endswith((".html", "00_toy.json")) for name in files_in(study.root))


def test_a_traceback_reaches_the_terminal(study):
    write_notebook(study.root, "00_toy", "def deep():\n    raise KeyError('here')\ndeep()")
    with pytest.raises(NotebookError, match="deep"):
        runner.run_notebook(study, "00_toy", {})


def test_a_full_disk_leaves_no_half_report(study, monkeypatch):
    write_notebook(study.root, "00_toy", "1")
    write_text = runner.write_text

    def write(path, text):
        with full_disk(10_000):
            write_text(path, text)

    monkeypatch.setattr(runner, "write_text", write)
    with pytest.raises(InputError, match=r"00_toy\.html: could not be written"):
        runner.run_notebook(study, "00_toy", {})
    assert files_in(study.results) == []


def test_misspelt_notebooks_and_parameters_are_refused(study):
    write_notebook(study.root, "00_toy", "1")
    with pytest.raises(InputError, match=r"no such notebook\. Did you mean '00_toy'"):
        runner.run_notebook(study, "00_toi", {})
    with pytest.raises(
        InputError, match=r"00_toy\.ipynb: no parameter 'sed'\. Did you mean 'seed'"
    ):
        runner.run_notebook(study, "00_toy", {"sed": 1})
    assert runner.notebook_path(study, "00_toy.ipynb") == runner.notebook_path(study, "00_toy")


def test_a_run_is_completed_by_the_study(study):
    known = ["study", "architecture", "planes", "tasks", "seed"]
    complete = runner.complete(study, {"architecture": "alexnet", "planes": "axial"}, known)
    every = ",".join(study.settings.tasks)
    wanted = {"study": "own", "architecture": "alexnet", "planes": "axial", "tasks": every}
    assert complete == wanted
    assert runner.complete(study, {}, ["study"]) == {"study": "own"}


def test_run_names_tell_runs_apart_and_are_file_names():
    parameters = {"study": "own", "architecture": "alexnet", "planes": "axial"}
    assert runner.run_name("02", parameters) == "02_alexnet_axial"
    parameters |= {"tasks": "acl", "weights": "../own/a.pt"}
    assert runner.run_name("02", parameters) == "02_alexnet_axial_acl_..-own-a.pt"


def test_parameters_of_the_command_line_get_their_types():
    words = ["seed=1", "planes=axial,coronal", "weights=a=b.pt", "shown=null", "rate=0.01"]
    wanted = {"seed": 1, "planes": "axial,coronal", "weights": "a=b.pt", "shown": None}
    assert runner.parse_parameters(words) == wanted | {"rate": 0.01}
    for word in ("seed", "=1", "a b=1"):
        with pytest.raises(InputError, match="expected NAME=VALUE"):
            runner.parse_parameters([word])


def test_pretraining_is_for_studies_that_pretrain(study):
    with pytest.raises(InputError, match="weights are 'imagenet'"):
        runner.run_pretraining(study, "alexnet")
    assert files_in(study.root) == []


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
    files.write_text(tmp_path / "results/table.csv", "new")
    assert provenance.commit(tmp_path)["changed_since"] is False
    files.write_text(tmp_path / "code.py", "new")
    assert provenance.commit(tmp_path)["changed_since"] is True


def test_the_snakefiles_commands_write_the_reports_that_it_names():
    """Every command of the default study, from a dry run from nothing, against its outputs."""
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
    command += ["--dry-run", "--printshellcmds", "--forceall", "--cores", "1", "--nolock"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    study = load("phantom", root)
    outputs, checked = [], []
    for line in (done.stdout + done.stderr).splitlines():
        key, _, text = line.strip().partition(": ")
        if key == "output":
            outputs = text.split(", ")
        if key == "Shell command" and "-m mrnetlib notebook" in text:
            parser_words = shlex.split(text)[3:]
            arguments = build_parser().parse_args(parser_words)
            parameters = runner.parse_parameters(arguments.parameters)
            run = runner.run_name(arguments.name, parameters)
            assert f"results/phantom/{run}.html" in outputs
            assert f"data/phantom/runs/{run}.json" in outputs
            checked.append(run)
    networks = len(study.settings.architectures) * len(study.settings.planes)
    assert len(checked) == len(set(checked)) == networks + 4


@pytest.mark.skipif(sys.platform == "win32", reason="process groups and SIGINT are POSIX's")
def test_ctrl_c_waits_until_the_jobs_have_ended(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        "import pathlib, sys, time\n"
        "try:\n    print('ready', flush=True)\n    time.sleep(30)\n"
        "except KeyboardInterrupt:\n    time.sleep(1)\n"
        "    pathlib.Path(sys.argv[1]).write_text('ended')\n    sys.exit(7)\n"
    )
    code = (
        "import subprocess, sys; from mrnetlib.runner import wait_for; "
        "sys.exit(wait_for(subprocess.Popen([sys.executable, *sys.argv[1:]])))"
    )
    words = [sys.executable, "-c", code, str(child), str(tmp_path / "note")]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert parent.stdout.readline() == "ready\n"
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.wait(20) == 7
    assert (tmp_path / "note").read_text() == "ended"
