import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pytest
from conftest import files_in, write_notebook
from rich.console import Console
from rich.live import Live

from mrnetlib import files, runner
from mrnetlib.__main__ import main
from mrnetlib.chain.execute import NotebookError
from mrnetlib.chain.show import Show
from mrnetlib.settings import Settings
from mrnetlib.study import Study
from mrnetlib.training.progress import Step


@pytest.fixture
def study(tmp_path):
    """A study without exams, in a folder whose name would be taken for code."""
    root = tmp_path / "it's (a) $HOME; {b}"
    root.mkdir()
    return Study("own", Settings(description="a toy", data="phantom", device="cpu"), root)


def test_a_traceback_reaches_the_terminal(study):
    write_notebook(study.root, "00_toy", "def deep():\n    raise KeyError('here')\ndeep()")
    with pytest.raises(NotebookError, match="deep"):
        runner.run_notebook(study, "00_toy", {})


def test_the_table_of_the_choices_is_theirs(study, monkeypatch, capsys):
    files.write_text(study.results / "choices" / "summary.md", "what they moved")
    monkeypatch.setattr(runner, "run_chain", lambda study, targets, *rest: targets != ["choices"])
    assert runner.run_study(study, ["choices"], None, False, False) == 0
    shown = capsys.readouterr().out
    assert "what they moved" in shown
    assert "06_choices_that_move_the_number.html" in shown


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
def chain(study, monkeypatch, capfd):
    """Runs a study with the chain `CHAIN`; gives what it prints into a pipe, and its status."""
    files.write_text(study.root / "Snakefile", CHAIN)
    files.write_text(study.root / "studies" / "own.yaml", "data: phantom\ndevice: cpu\n")
    files.write_text(study.results / "table1.md", "Table I\n")
    write_notebook(study.root, "00_toy", "print('from a cell')")
    write_notebook(study.root, "01_toy", "if seed:\n    1 / 0")
    monkeypatch.chdir(study.root)
    monkeypatch.setenv("PYTHONPATH", str(Path(runner.__file__).parent.parent))
    monkeypatch.setenv("COLUMNS", "40")

    def run(*options):
        status = main(["study", "own", "--cores", "1", *options])
        printed = capfd.readouterr()
        assert printed.err == "" or "--verbose" in options
        return re.sub(r"done in \d+ s", "done in N s", printed.out + printed.err), status

    return run


def test_without_a_terminal_a_chain_prints_a_line_per_run(chain, study):
    write_notebook(study.root, "01_toy", "print(seed)")
    text, status = chain()
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
    text, status = chain()
    assert (status, text.splitlines()[0]) == (0, "Table I")


def test_a_failed_run_says_why_and_where_its_output_is(chain, study):
    text, status = chain()
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
    text, status = chain("--verbose")
    assert status == 1
    assert "noise" in text
    assert "from a cell" in text
    assert not (study.data / "logs").exists()


def test_a_chain_that_fails_without_a_run_shows_the_end_of_its_log(chain, study):
    files.write_text(study.root / "Snakefile", CHAIN.replace("00_toy", "00_tyo"))
    text, status = chain()
    assert status == 1
    assert "Did you mean '00_toy'" in text
    assert f"failed; more in {study.data / 'logs' / 'snakemake.log'}\n" in text


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_on_a_terminal_each_step_has_a_line(chain, study):
    import pty

    ours, its = pty.openpty()
    command = [sys.executable, "-m", "mrnetlib", "study", "own", "--cores", "1"]
    terminal = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(command, cwd=study.root, stdout=its, stderr=its, env=terminal)
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
    show = Show(study, ["all"], study.data / "logs" / "snakemake.log", study.root)
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
    lab = run | {"title": "09 lab", "parameters": {"architecture": None}}
    assert drawn(show, [lab])[2] == "  09 lab axial acl  epoch 0/40"
    assert drawn(show, [run], over=True)[1].startswith("training  stopped")
    show.steps["training"].failed["c"] = now
    assert drawn(show, [])[1].startswith("training  failed")
    show.stopped = True
    assert drawn(show, [])[1].startswith("training  stopped")


def test_on_a_terminal_the_picture_is_drawn_again_and_again(study):
    log = study.data / "logs" / "snakemake.log"
    files.write_text(log, "Job stats:\njob  count\n---  ---\none  1\nall  1\ntotal  2\n")
    files.write_text(study.root / "Snakefile", "rule all:\nrule one:\n")
    show = Show(study, ["all"], log, study.root)
    file = io.StringIO()
    show.live = Live(console=Console(file=file, force_terminal=True), auto_refresh=False)
    with show.live:
        show.look(False)
        log.write_text(log.read_text() + "\nlocalrule one:\n    output: a\n    jobid: 1\n")
        show.look(False)
        log.write_text(log.read_text() + "\nFinished jobid: 1 (Rule: one)\n")
        show.look(False, 0)
    states = re.findall("waiting|running|done", file.getvalue())
    assert list(dict.fromkeys(states)) == ["waiting", "running", "done"]


def test_after_ctrl_c_a_failed_run_is_no_news(study, capsys):
    log = study.data / "logs" / "snakemake.log"
    files.write_text(log, "")
    about = {"run": "02", "title": "02 a b", "log": str(log), "parameters": {"architecture": "a"}}
    row = {"plane": "b", "task": "acl", "epoch": 2, "train_loss": 1, "tune_loss": 1, "tune_auc": 1}
    files.write_json(study.root / "02" / "run.json", about | {"state": "failed", "error": "x"})
    files.write_json(study.root / "02" / "training-1-0.json", row | {"finished": True, "done": 3})
    show = Show(study, ["all"], log, study.root)
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
    show = Show(study, ["all"], log.parent / "snakemake.log", study.root)
    show.look(False, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["02: started", *map(str, range(10, 30)), f"failed; more in {log}"]
