import contextlib
import io
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pytest
from conftest import files_in, full_disk, write_notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from rich.console import Console

from mrnetlib import files, provenance, runner
from mrnetlib.__main__ import build_parser
from mrnetlib.files import InputError
from mrnetlib.runner import NotebookError
from mrnetlib.settings import Settings
from mrnetlib.study import Study, load
from mrnetlib.training.progress import Step


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
    assert report == study.results / "00_toy,seed=2.html"
    assert "own has seed 42" in report.read_text(encoding="utf-8")
    assert (study.root / "notebooks" / "00_toy.ipynb").read_bytes() == source
    assert "own has seed 42" in capsys.readouterr().out
    note = json.loads((study.data / "runs" / "00_toy,seed=2.json").read_text())
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
    parts = provenance.where_the_time_went(new_notebook(cells=cells), 15.5)
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
    def complete(parameters, **given):
        write_notebook(study.root, "00_toy", parameters=parameters)
        return runner.complete(study, runner.notebook_path(study, "00_toy"), given)

    every = ",".join(study.settings.tasks)
    wanted = {"study": "own", "architecture": "alexnet", "planes": "axial", "tasks": every}
    parameters = "study = ''\narchitecture = ''\nplanes = ''\ntasks = ''"
    assert complete(parameters, architecture="alexnet", planes="axial") == wanted
    assert complete("study = ''") == {"study": "own"}


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
            parameters = provenance.parse_parameters(arguments.parameters)
            run = provenance.run_name(arguments.name, parameters)
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


#: A chain of two steps, the second with two jobs.
CHAIN = """import sys
rule all:
    input: "one", "two0", "two1"
rule two:
    input: "one"
    output: "two{seed}"
    shell: '"{sys.executable}" -m mrnetlib notebook --study own 01_toy -p seed={wildcards.seed}'
           ' && echo > {output}'
rule one:
    output: "one"
    shell: 'echo noise && "{sys.executable}" -m mrnetlib notebook --study own 00_toy && echo > one'
"""


@pytest.fixture
def chain(study):
    """The command that runs a study whose chain is `CHAIN`."""
    files.write_text(study.root / "Snakefile", CHAIN)
    files.write_text(study.root / "studies" / "own.yaml", "data: phantom\ndevice: cpu\n")
    files.write_text(study.results / "table1.md", "Table I\n")
    write_notebook(study.root, "00_toy", "print('from a cell')")
    write_notebook(study.root, "01_toy", "if seed:\n    1 / 0")
    return [sys.executable, "-m", "mrnetlib", "study", "own", "--cores", "1"]


def shown(chain, study, *options):
    """What a chain prints where there is no terminal, and its exit status."""
    root = str(Path(runner.__file__).parent.parent)
    done = subprocess.run(
        [*chain, *options], cwd=study.root, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": root, "COLUMNS": "40"},
    )  # fmt: skip
    assert done.stderr == "" or "--verbose" in options
    return re.sub(r"done in \d+ s", "done in N s", done.stdout), done.returncode


def test_without_a_terminal_a_chain_prints_a_line_per_run(chain, study):
    write_notebook(study.root, "01_toy", "print(seed)")
    text, status = shown(chain, study)
    assert status == 0
    runs = text.partition("Table I")[0].splitlines()
    assert runs[:2] == ["00_toy: started", "00_toy: done in N s"]
    lines = [
        f"01_toy,seed={seed}: {what}" for seed in (0, 1) for what in ("started", "done in N s")
    ]
    assert sorted(runs[2:]) == sorted(lines)
    logs = study.data / "logs"
    assert "from a cell" in (logs / "00_toy.log").read_text()
    assert "Finished jobid" in (logs / "snakemake.log").read_text()
    assert files_in(logs) == [
        "00_toy.log",
        "01_toy,seed=0.log",
        "01_toy,seed=1.log",
        "snakemake.log",
    ]
    text, status = shown(chain, study)
    assert (status, text.splitlines()[0]) == (0, "Table I")


def test_a_failed_run_says_why_and_where_its_output_is(chain, study):
    text, status = shown(chain, study)
    assert status == 1
    log = study.data / "logs" / "01_toy,seed=1.log"
    reason = r"^01_toy,seed=1: failed\nNotebookError: 01_toy\.ipynb, cell .: ZeroDivisionError: div"
    assert re.search(reason, text, re.MULTILINE)
    assert f"all it printed: {log}\n" in text
    assert "ZeroDivisionError" in log.read_text()
    for unwanted in ("\x1b", "jobid", "Table I", "noise", "from a cell"):
        assert unwanted not in text
    assert "\x1b" not in log.read_text()


def test_verbose_shows_what_snakemake_and_the_jobs_print(chain, study):
    text, status = shown(chain, study, "--verbose")
    assert status == 1
    assert "noise" in text
    assert "from a cell" in text
    assert not (study.data / "logs").exists()


def test_a_chain_that_fails_without_a_run_shows_the_end_of_its_log(chain, study):
    files.write_text(study.root / "Snakefile", CHAIN.replace("00_toy", "00_tyo"))
    text, status = shown(chain, study)
    assert status == 1
    assert "Did you mean '00_toy'" in text
    assert f"failed; more in {study.data / 'logs' / 'snakemake.log'}\n" in text


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_on_a_terminal_each_step_has_a_line(chain, study):
    import pty

    environment = {"PYTHONPATH": str(Path(runner.__file__).parent.parent), "TERM": "xterm"}
    ours, its = pty.openpty()
    process = subprocess.Popen(
        chain, cwd=study.root, stdout=its, stderr=its, env=os.environ | environment
    )
    os.close(its)
    text = ""
    with contextlib.suppress(OSError), os.fdopen(ours, errors="replace") as terminal:
        for line in terminal:
            text += line
    assert process.wait() == 1
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()]
    assert "own, logs in data/own/logs" in lines
    assert any(re.fullmatch(r"one +running +0:\d\d", line) for line in lines)
    assert any(re.fullmatch(r"one +done +0:\d\d", line) for line in lines)
    assert any(re.fullmatch(r"two +failed +[01]/2 +0:\d\d", line) for line in lines)
    assert "two  waiting  0/2" in lines
    assert sum("01_toy,seed=1: failed" in line for line in lines) == 1
    assert not any("started" in line for line in lines)


def drawn(show, runs, over=False):
    """A picture of a chain as text of 80 columns."""
    console = Console(width=80, file=io.StringIO())
    console.print(show.picture(runs, perf_counter(), over))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_picture_has_a_line_for_each_running_training(study):
    show = runner.Show(study, "all", study.data / "logs" / "snakemake.log", study.root)
    now = perf_counter()
    show.steps = {
        "training": Step(9, dict.fromkeys("abc", now - 60), dict.fromkeys("ab", now - 30))
    }
    row = {"train_loss": 0.5, "tune_loss": 0.25, "tune_auc": 0.875}
    training = {"plane": "axial", "task": "acl", "epoch": 0, "epochs": 40, "finished": False}
    run = {"title": "02", "state": "running", "parameters": {"architecture": "alexnet"}}
    run["trainings"] = [training, training | row | {"epoch": 7}, training | {"finished": True}]
    assert drawn(show, [run, run | {"state": "failed"}]) == [
        "own, logs in data/own/logs",
        "training  running  2/9  1:00  7 left, about 3:00",
        "  alexnet axial acl  epoch 0/40",
        "  alexnet axial acl  epoch 7/40  loss 0.500, tuning 0.250, AUC 0.88",
    ]
    assert drawn(show, [run], over=True)[1].startswith("training  stopped")
    show.steps["training"].failed["c"] = now
    assert drawn(show, [])[1].startswith("training  failed")
    show.stopped = True
    assert drawn(show, [])[1].startswith("training  stopped")


def test_after_ctrl_c_a_failed_run_is_no_news(study, capsys):
    log = study.data / "logs" / "snakemake.log"
    files.write_text(log, "")
    about = {"run": "02", "title": "02 a b", "log": str(log), "parameters": {"architecture": "a"}}
    row = {"plane": "b", "task": "acl", "epoch": 2, "train_loss": 1, "tune_loss": 1, "tune_auc": 1}
    files.write_json(study.root / "02" / "run.json", about | {"state": "failed", "error": "x"})
    files.write_json(study.root / "02" / "training-1-0.json", row | {"finished": True, "done": 3})
    show = runner.Show(study, "all", log, study.root)
    show.look(True)
    show.look(False, 1)
    losses = "loss 1.000, tuning 1.000, AUC 1.00"
    assert capsys.readouterr().out == f"02 a b: started\na b acl: epoch 2 of 3 kept, {losses}\n"


def test_a_run_that_was_killed_shows_the_end_of_what_it_printed(study, capsys):
    log = study.data / "logs" / "02.log"
    files.write_text(log, "\n".join(map(str, range(30))))
    about = {"run": "02", "title": "02", "log": str(log), "parameters": {}, "state": "running"}
    files.write_json(study.root / "02" / "run.json", about)
    files.write_text(log.parent / "snakemake.log", "")
    show = runner.Show(study, "all", log.parent / "snakemake.log", study.root)
    show.look(False, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["02: started", *map(str, range(10, 30)), f"failed; more in {log}"]
