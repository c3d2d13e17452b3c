import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_notebook

from mrnetlib import runner
from mrnetlib import study as studies
from mrnetlib.__main__ import build_parser, main
from mrnetlib.exams import check
from mrnetlib.files import InputError


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with one study, into which we change."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "Snakefile").touch()
    (tmp_path / "studies" / "phantom.yaml").write_text("description: toy\ndata: phantom\n")
    (tmp_path / "studies" / "mrnet.yaml").write_text("description: MRNet\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(studies.FOLDER_VARIABLE, raising=False)
    return tmp_path


def refused(capsys, *words):
    """The message of a command that ends with status 1, and with nothing but that message."""
    assert main(list(words)) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert "Traceback" not in shown.err
    return shown.err


@pytest.mark.parametrize(
    "words", [["stduy"], ["study", "--croes", "2"], ["study", "--cores", "two"], ["check"]]
)
def test_misspelt_commands_and_options_are_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: python -m mrnetlib" in capsys.readouterr().err


def test_a_misspelt_study_is_refused(root, capsys):
    assert "Did you mean 'phantom'" in refused(capsys, "study", "fantom")
    assert "Did you mean 'phantom'" in refused(capsys, "notebook", "00_a", "--study", "phantm")


def test_an_unknown_key_is_refused(root, capsys):
    (root / "studies" / "phantom.yaml").write_text("epoch: 3\n")
    message = refused(capsys, "study")
    assert "phantom.yaml: unknown key 'epoch'. Did you mean 'epochs'?" in message


def test_misspelt_notebooks_and_parameters_are_refused(root, capsys):
    write_notebook(root, "00_toy", "1")
    assert "Did you mean '00_toy'" in refused(capsys, "notebook", "00_tyo")
    assert "Did you mean 'seed'" in refused(capsys, "notebook", "00_toy", "-p", "sede=1")
    assert "expected NAME=VALUE" in refused(capsys, "notebook", "00_toy", "-p", "seed")


def test_a_study_without_its_exams_fails_at_once(root, capsys):
    assert "MRNET_FOLDER" in refused(capsys, "study", "mrnet")


def test_a_failing_cell_is_shown_without_our_own_traceback(root, capsys):
    write_notebook(root, "00_toy", "def deep():\n    return 1 / 0\ndeep()")
    message = refused_with_cell(capsys)
    assert "00_toy.ipynb, cell" in message
    assert "deep" in message
    assert "runner.py" not in message


def refused_with_cell(capsys):
    """The message of a failing notebook, which has the cell's traceback in it."""
    assert main(["notebook", "00_toy"]) == 1
    return capsys.readouterr().err


def test_a_notebook_runs_and_its_report_is_named(root, capsys):
    write_notebook(root, "00_toy", "print('hello')")
    assert main(["notebook", "00_toy", "-p", "seed=5"]) == 0
    report = Path("data/phantom/results/00_toy,seed=5.html")
    assert Path(capsys.readouterr().out.split()[-1]) == report


def test_the_default_study_is_the_phantom(root, monkeypatch):
    asked = []
    monkeypatch.setattr(runner, "run_study", lambda study, **rest: asked.append((study, rest)) or 0)
    assert main(["study"]) == 0
    assert main(["study", "phantom", "--cores", "3", "--dry-run", "--choices", "--verbose"]) == 0
    plain = {"extras": [], "cores": None, "dry_run": False, "verbose": False, "profile": None}
    full = {"extras": ["choices"], "cores": 3, "dry_run": True, "verbose": True, "profile": None}
    assert [(study.name, rest) for study, rest in asked] == [("phantom", plain), ("phantom", full)]


def test_pretrain_names_the_reason_when_there_is_nothing_to_make(root, capsys):
    assert "nothing to make" in refused(capsys, "pretrain", "alexnet")


def test_check_passes_its_status_on(monkeypatch):
    for status in (0, 1):
        monkeypatch.setattr(check, "main", lambda folder, status=status: status)
        assert main(["check", "somewhere"]) == status


def test_ctrl_c_says_how_to_go_on(root, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_study", stop)
    assert main(["study"]) == 130
    assert "run the same command" in capsys.readouterr().err


def test_every_command_that_is_announced_is_known(monkeypatch):
    (announced,) = [a.choices for a in build_parser()._actions if a.dest == "command"]
    assert "preprocess" in announced  # an old name of convert
    monkeypatch.setattr("mrnetlib.__main__._convert", lambda arguments: 7)
    assert main(["preprocess", "a", "b"]) == 7
    words = {"convert": ["a", "b"]}
    words |= {name: ["a"] for name in ("notebook", "pretrain", "provenance", "check", "evaluate")}
    words |= {"export": ["a", "7"], "read": ["a", "--models", "b", "--out", "c"]}
    for command in set(announced) - {"preprocess"}:
        module = "reading.arguments" if command in ("export", "read") else "__main__"
        monkeypatch.setattr(f"mrnetlib.{module}._{command}", lambda arguments: 7)
        assert main([command, *words.get(command, [])]) == 7


def test_the_module_is_the_command(tmp_path):
    command = [sys.executable, "-m", "mrnetlib", "check", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere: no such folder" in done.stdout
    assert "Traceback" not in done.stderr


def test_input_errors_alone_are_told_without_traceback(monkeypatch, capsys):
    def broken(folder):
        raise error

    monkeypatch.setattr(check, "main", broken)
    error = InputError("exam 7: too thin. Feed it.")
    assert main(["check", "a"]) == 1
    assert capsys.readouterr().err == "error: exam 7: too thin. Feed it.\n"
    error = RuntimeError("a mistake of ours")
    with pytest.raises(RuntimeError):
        main(["check", "a"])


def test_without_a_command_it_says_what_there_is(capsys):
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    for command in ("study", "notebook", "pretrain", "retrain", "check", "evaluate", "convert"):
        assert f"\n    {command} " in shown.err


@pytest.mark.parametrize(
    ("called", "named"),
    [("/a/bin/mrnetlib", "mrnetlib"), ("/a/mrnetlib/__main__.py", "python -m mrnetlib")],
)
def test_usage_names_the_command_as_it_was_called(called, named, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [called])
    assert build_parser().format_usage().startswith(f"usage: {named} [-h]")
    with pytest.raises(SystemExit):
        main(["check"])
    assert f"usage: {named} check" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../phantom", "", ".x", "a b", "a/b", "-x", "phantom\n"])
def test_a_study_is_named_as_a_file_in_studies(name, capsys):
    for words in (["study", "--", name], ["notebook", "00_exams", f"--study={name}"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
        assert "Name a file in studies/" in capsys.readouterr().err


def test_another_study_is_not_a_parameter(root, capsys):
    write_notebook(root, "00_toy", "1")
    message = refused(capsys, "notebook", "00_toy", "-p", "study=mrnet")
    assert "choose the study with --study mrnet" in message


def test_a_studys_name_of_digits_stays_text(root, monkeypatch, capsys):
    (root / "studies" / "007.yaml").write_text("description: toy\ndata: phantom\n")
    commands = []
    monkeypatch.setattr(runner, "attend", lambda words, **more: commands.append(words) or 1)
    assert main(["study", "007.yaml", "--verbose"]) == 1
    assert "study=studies/007.yaml" in commands[0]


@pytest.mark.parametrize("cores", ["0", "-1", "two"])
def test_a_number_of_cores_is_one_or_more(root, cores, capsys):
    with pytest.raises(SystemExit):
        main(["study", "--cores", cores])
    assert "no whole number of 1 or more" in capsys.readouterr().err


def test_a_clone_that_cannot_be_written_is_refused_in_a_sentence(root, capsys):
    write_notebook(root, "00_toy", "1")
    (root / "data").touch()
    for words in (["study"], ["study", "--dry-run"], ["notebook", "00_toy"]):
        assert "cannot be written, because" in refused(capsys, *words)


def test_a_misspelt_plane_is_refused_before_anything_starts(root, capsys):
    assert main(["retrain", "alexnet", "axail"]) == 1
    said = capsys.readouterr()
    assert "Did you mean 'axial'?" in said.err and "started" not in said.out
