"""The chain sees its library: what is run again after a change, asked of Snakemake itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mrnetlib import study as studies
from mrnetlib.evaluation import keep

ROOT = Path(__file__).resolve().parent.parent


def snakemake(project: Path, *words: str) -> str:
    """What Snakemake says of a study of a project, the default one's if it is not named."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *words]
    environment = os.environ | {"PYTHONPATH": str(project), "COLUMNS": "1000"}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def would_run(project: Path, *words: str) -> set[str]:
    """The steps that Snakemake would run again."""
    said = snakemake(project, "--dry-run", *words).partition("Job stats:")[2]
    said = said.partition("\ntotal")[0]
    rows = [line.split() for line in said.splitlines() if len(line.split()) == 2]
    return {rule for rule, count in rows if count.isdigit()} - {"all", "provenance"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A copy of the project whose default study is finished, as far as Snakemake can tell."""
    project = tmp_path_factory.mktemp("project")
    for name in ("mrnetlib", "notebooks", "studies"):
        shutil.copytree(ROOT / name, project / name)
    shutil.copy(ROOT / "Snakefile", project)
    for line in snakemake(project, "--summary").splitlines():
        name, tab, _ = line.partition("\t")
        if tab and name != "output_file":
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).touch()
    snakemake(project, "--touch", "--forceall")
    return project


@pytest.fixture
def edit(finished):
    """Change files of the finished project; they are put back after the test."""
    before = {}

    def change(name, old, new):
        path = finished / name
        before.setdefault(path, path.read_bytes())
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    yield change
    for path, content in before.items():
        path.write_bytes(content)


def test_a_finished_study_has_nothing_to_run_whatever_is_said_of_it(finished, edit):
    edit("mrnetlib/training/augment.py", "def apply(", "# A comment.\n\n\ndef apply(")
    edit("mrnetlib/training/augment.py", '"""Apply one draw', '"""Words. Apply one draw')
    edit("mrnetlib/training/finetune.py", '"""Fine-tune', '"""Other words. Fine-tune')
    edit("notebooks/02_per_plane_training.ipynb", "## Augmentation", "## How to augment")
    (finished / "mrnetlib" / "training" / "finetune.py").touch()
    assert would_run(finished) == set()
    assert keep.is_finished(studies.load("phantom", finished))


def test_changed_training_code_trains_again_and_makes_no_exams(finished, edit):
    edit("mrnetlib/training/augment.py", "REFERENCE_SIZE = 256", "REFERENCE_SIZE = 255")
    assert would_run(finished) == {"pretraining", "training", "fusion", "comparison", "models"}


def test_changed_figures_are_only_drawn_again(finished, edit):
    edit("mrnetlib/figures/style.py", "WIDTH = 9.6", "WIDTH = 9.5")
    redrawn = {"pictures_of_exams", "pictures_of_preprocessing", "fusion", "comparison"}
    assert would_run(finished) == redrawn


def test_another_description_reaches_every_report(finished, edit):
    edit("studies/phantom.yaml", "description: synthetic", "description: other")
    pictures = {"pictures_of_exams", "pictures_of_preprocessing"}
    assert would_run(finished) == pictures | {"training", "fusion", "comparison", "models"}


def test_changed_settings_run_the_steps_that_read_them_and_those_after(finished, edit):
    edit("studies/phantom.yaml", "data: phantom", "data: phantom\nselect_on: test")
    assert would_run(finished) == {"comparison", "models"}
    edit("studies/phantom.yaml", "seed: 2020", "seed: 2021")
    assert "exams" in would_run(finished)


def test_a_study_that_fuses_otherwise_takes_over_all_networks(finished):
    path = finished / "studies" / "mine.yaml"
    path.write_text("extends: phantom\nfuse_on: tune\n", encoding="utf-8")
    mine = studies.load("mine", finished)
    for note in (finished / "data" / "phantom" / "runs").iterdir():
        note.write_text("{}", encoding="utf-8")
    ((parent, wanted, _),) = studies.wanted_of_parents(mine)
    assert parent.name == "phantom" and [n for n in wanted if not (finished / n).is_file()] == []
    studies.take_over(mine)
    assert would_run(finished, "--config", "study=studies/mine.yaml") == {
        "fusion", "comparison", "models"
    }  # fmt: skip
    path.unlink()


def test_deleted_files_come_back_and_a_fresh_clone_runs_everything(finished):
    results = finished / "data" / "phantom" / "results"
    (results / "figures" / "labels.png").unlink()
    (results / "table1.csv").unlink()
    assert not keep.is_finished(studies.load("phantom", finished))
    assert would_run(finished) == {"pictures_of_exams", "comparison"}
    shutil.rmtree(finished / "data")
    assert would_run(finished) >= {"exams", "preprocessing", "pretraining", "training", "fusion"}
