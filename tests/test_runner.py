import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import files_in, full_disk, write_notebook

import mrnetlib
from mrnetlib import provenance, runner
from mrnetlib.__main__ import build_parser, main
from mrnetlib.chain.execute import NotebookError
from mrnetlib.files import InputError
from mrnetlib.settings import Settings
from mrnetlib.study import Study, load
from mrnetlib.training import pretrain


@pytest.fixture
def study(tmp_path):
    """A study without exams."""
    return Study("own", Settings(description="a toy", data="phantom", device="cpu"), tmp_path)


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


def test_the_kernel_is_this_environments(study, monkeypatch, capfd):
    """Another environment's kernel and another clone's library lie where they are found first."""
    others = study.root / "others"
    kernel = {"argv": ["false", "-f", "{connection_file}"], "language": "python"}
    spec = others / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(kernel | {"display_name": "Another Python"}))
    (others / "mrnetlib").mkdir()
    (others / "mrnetlib" / "__init__.py").write_text("raise ImportError('of another clone')")
    monkeypatch.setenv("JUPYTER_PATH", str(others))
    monkeypatch.setenv("PYTHONPATH", str(others))
    code = "import sys, mrnetlib\nprint(sys.executable, mrnetlib.__file__)"
    write_notebook(study.root, "00_toy", code)
    runner.run_notebook(study, "00_toy", {})
    assert f"{sys.executable} {mrnetlib.__file__}" in capfd.readouterr().out


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
def test_a_failing_cell_leaves_no_report(study, cell, error, message, capfd):
    write_notebook(study.root, "00_toy", cell)
    with pytest.raises(error, match=message):
        runner.run_notebook(study, "00_toy", {})
    assert "kernel" not in capfd.readouterr().err, "that it was interrupted is no news"
    assert not any(name.endswith((".html", "00_toy.json")) for name in files_in(study.root))


def test_what_a_failed_notebook_has_done_is_kept_aside_until_it_succeeds(study, capfd):
    kept = study.data / "failed" / "00_toy.ipynb"
    write_notebook(study.root, "00_toy", "print('so far')", "1 / 0")
    with pytest.raises(NotebookError, match="ZeroDivisionError") as error:
        runner.run_notebook(study, "00_toy", {})
    assert str(error.value).count("Traceback") == 1
    assert f"the notebook as far as it came: {kept}" in str(error.value)
    assert "so far" in kept.read_text(encoding="utf-8")
    write_notebook(study.root, "00_toy", "print('so far')")
    runner.run_notebook(study, "00_toy", {})
    assert not kept.parent.exists()


def test_a_kernel_that_is_killed_says_so_and_what_would_help(study, capfd):
    write_notebook(study.root, "00_toy", "import os\nos.kill(os.getpid(), 9)")
    with pytest.raises(InputError, match=r"00_toy\.ipynb: its kernel was killed.* memory.*--cores"):
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


def test_pretraining_is_for_studies_that_pretrain(study, monkeypatch, capsys):
    monkeypatch.setattr("mrnetlib.study.load", lambda name: study)
    assert main(["pretrain", "alexnet", "--study", "own"]) == 1
    assert "weights are 'imagenet'" in capsys.readouterr().err
    assert files_in(study.root) == []


def test_a_pretraining_is_noted(study, monkeypatch):
    study = Study("own", Settings(data="phantom", weights="pretrained", device="cpu"), study.root)
    asked = []
    monkeypatch.setattr("mrnetlib.study.load", lambda name: study)
    monkeypatch.setattr(pretrain, "prepare_weights", lambda *words, **more: asked.append(words[1]))
    assert main(["pretrain", "alexnet", "--study", "own"]) == 0
    note = json.loads((study.data / "runs" / "pretraining_alexnet.json").read_text())
    assert asked == ["alexnet"]
    assert (note["step"], note["parameters"]) == ("pretraining", {"architecture": "alexnet"})


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
            assert f"data/phantom/results/{run}.html" in outputs
            assert f"data/phantom/runs/{run}.json" in outputs
            checked.append(run)
    networks = len(study.settings.architectures) * len(study.settings.planes)
    assert len(checked) == len(set(checked)) == networks + 4
