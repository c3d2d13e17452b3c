import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import files_in, tiny_network
from test_training_finetune import QUICK

from mrnetlib.files import InputError, read_json
from mrnetlib.training import finetune, progress
from mrnetlib.training.progress import Step, Training, clock

ROWS = [
    {"epoch": 1, "train_loss": 0.7, "tune_loss": 0.5, "tune_auc": 0.75, "seconds": 1.0},
    {"epoch": 2, "train_loss": 0.6, "tune_loss": 0.6, "tune_auc": 0.8, "seconds": 1.0},
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that a chain is told in."""
    monkeypatch.setenv(progress.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def train(rows=(), **options):
    """Tell of a training of two epochs."""
    grown = list(rows)
    training = Training("axial", "acl", 5, grown, **options)
    for row in ROWS:
        grown.append(row)
        training.epoch(row)
    training.close()


def test_a_logger_in_the_list_gets_the_row_of_every_epoch(tmp_path, monkeypatch):
    """All that a new logger needs, here a CSV file with a line per epoch."""

    class Lines:
        def __init__(self, training):
            self.file = (tmp_path / f"{training.plane}_{training.task}.csv").open("w", newline="")
            self.writer = csv.DictWriter(self.file, list(ROWS[0]))

        def epoch(self, row):
            self.writer.writerow(row)

        def close(self):
            self.file.close()

    monkeypatch.setattr(progress, "LOGGERS", [*progress.LOGGERS, Lines])
    train()
    assert (tmp_path / "axial_acl.csv").read_text() == "1,0.7,0.5,0.75,1.0\n2,0.6,0.6,0.8,1.0\n"


def test_a_chain_is_told_the_newest_epoch_and_at_the_end_the_kept_one(folder):
    training = Training("axial", "acl", 5, [])
    (path,) = folder.iterdir()
    about = {"plane": "axial", "task": "acl", "epochs": 5, "finished": False}
    assert read_json(path) == about | {"epoch": 0}
    training.rows.append(ROWS[0])
    training.epoch(ROWS[0])
    assert read_json(path) == about | ROWS[0]
    training.rows.append(ROWS[1])
    training.epoch(ROWS[1])
    training.close()
    assert read_json(path) == about | ROWS[0] | {"finished": True, "done": 2}


def test_trainings_of_one_network_are_told_apart_by_their_seed(folder):
    for seed in (None, 5, 6):
        Training("axial", "acl", 5, [], seed=seed)
    told = [read_json(path) for path in folder.iterdir()]
    run = {"parameters": {"architecture": "alexnet"}}
    assert sorted(progress.words_of(run, one)[0] for one in told) == [
        "alexnet axial acl",
        "alexnet axial acl, seed 5",
        "alexnet axial acl, seed 6",
    ]


def test_short_and_finished_trainings_leave_nothing(folder):
    train(shown=False)
    Training("axial", "acl", 2, ROWS).close()
    assert files_in(folder) == []


def test_a_bar_is_shown_where_no_chain_shows_the_training(monkeypatch, capsys, tmp_path):
    train()
    bar = capsys.readouterr().err
    assert "acl" in bar
    assert "auc=0.80, loss=0.600, tune=0.600" in bar
    train(shown=False)
    monkeypatch.setenv(progress.FOLDER_VARIABLE, str(tmp_path))
    train()
    assert capsys.readouterr().err == ""


def test_a_training_does_not_fail_where_nothing_can_be_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(progress.FOLDER_VARIABLE, str(tmp_path / "file"))
    train()
    train(shown=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_fit_is_told(planted, tmp_path, monkeypatch):
    monkeypatch.setenv(progress.FOLDER_VARIABLE, str(tmp_path))
    history = finetune.fit(tiny_network(), planted["train"], planted["tune"], "acl", QUICK)
    (path,) = tmp_path.iterdir()
    told, kept = read_json(path), history[history["best"] == 1].iloc[0]
    assert (told["done"], told["epoch"]) == (len(history), kept["epoch"])
    assert told["tune_auc"] == pytest.approx(kept["tune_auc"])


REPORTED = """
import os
from pathlib import Path
from mrnetlib.files import InputError
from mrnetlib.training import progress
with progress.reported("02", Path("logs/02.log"), title="a title"):
    print("in Python")
    os.system("echo in a process")
    progress.Training("axial", "acl", 3, [])
    {last}
"""


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("pass", {"state": "done"}),
        ("raise InputError('exam 7')", {"state": "failed", "error": "exam 7"}),
        ("1 / 0", {"state": "failed", "error": "ZeroDivisionError: division by zero"}),
        ("os._exit(3)", {"state": "running"}),
    ],
)
def test_a_run_reports_its_end_and_prints_into_its_log(tmp_path, last, told):
    root = str(Path(progress.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", REPORTED.format(last=last)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {progress.FOLDER_VARIABLE: "told", "PYTHONPATH": root},
    )  # fmt: skip
    assert done.stdout == done.stderr == ""
    assert "in a process" in (tmp_path / "logs" / "02.log").read_text()
    (report,) = progress.reports(tmp_path / "told")
    assert {key: report.get(key) for key in told} == told
    assert report["run"] == "02"
    assert report["title"] == "a title"
    assert [training["task"] for training in report["trainings"]] == ["acl"]
    assert ("seconds" in report) == (last == "pass")


def test_in_a_chain_a_runs_output_leaves_the_terminal(folder, capfd):
    about = {"run": "02", "log": str(folder / "02.log")}
    with progress.reported("02", folder / "02.log"):
        os.write(1, b"out\n")
        os.write(2, b"err\n")
    with pytest.raises(InputError), progress.reported("03", folder / "03.log"):
        raise InputError("exam 7")
    assert (folder / "02.log").read_text() == "out\nerr\n"
    assert capfd.readouterr().out == ""
    (report,) = progress.reports(folder)
    assert report.pop("seconds") > 0
    assert report == about | {"state": "done", "trainings": []}
    failed = read_json(folder / "02" / "03" / "run.json")
    assert (failed["state"], failed["error"]) == ("failed", "exam 7")


def test_a_run_by_hand_keeps_the_terminal(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv(progress.FOLDER_VARIABLE, raising=False)
    with pytest.raises(InputError), progress.reported("02", tmp_path / "02.log"):
        print("here")
        raise InputError("exam 7")
    assert capsys.readouterr().out == "here\n"
    assert files_in(tmp_path) == []


def test_a_report_that_is_not_whole_is_left_out(tmp_path):
    (tmp_path / "02").mkdir()
    (tmp_path / "02" / "run.json").write_text('{"run": ')
    assert progress.reports(tmp_path) == []


def test_the_time_left_comes_from_the_jobs_of_the_same_step():
    step = Step(6)
    assert (step.state(), step.elapsed(5), step.left(5)) == ("waiting", "", "")
    step.began = {"a": 0, "b": 10}
    assert (step.state(), step.elapsed(30), step.left(30)) == ("running", "0:30", "6 left")
    step.ended = {"a": 40}
    step.began["c"] = 40
    # b and c need 40 s each like a, less what they had; three wait; two at a time.
    assert step.left(45) == "5 left, about 1:20"
    step.ended |= {"b": 50, "c": 80}
    assert (step.state(), step.elapsed(99), step.left(99)) == (
        "waiting",
        "1:20",
        "3 left, about 2:00",
    )
    step.failed = {"d": 90}
    assert (step.state(), step.elapsed(99), step.left(99)) == ("failed", "1:30", "")
    whole = Step(1, {"a": 0}, {"a": 3700})
    assert (whole.state(), whole.elapsed(9999), whole.left(9999)) == ("done", "1:01:40", "")
    assert Step(1, {"a": 0}).left(3) == ""
    assert clock(59.6) == "1:00"
