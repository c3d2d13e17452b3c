"""Clones, interpreters, exams and weights in folders of any name: nothing reaches a shell raw.

The suite runs the last step of a study in all of these folders, which takes seconds;
``make test-folders`` runs whole small studies in them, from synthetic exams to Table I.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mrnetlib import files
from mrnetlib import study as studies

ROOT = Path(__file__).resolve().parent.parent

FOLDERS = (
    "a b", "it's", "(a)", "a&b", "$HOME", "{b}", "a;b", "`touch raw`", "#a", "100%s", "né膝", "-a",
    "-a b'(c)&$HOME{b};`touch raw`#%s\"é[d]*",
)  # fmt: skip

STUDY = """data: mrnet
exams_folder: exams
weights: {architecture}.pt
architectures: [alexnet]
planes: [axial, coronal]
tasks: [acl]
device: cpu
"""

WHOLE = """data: phantom
phantom_protocol: small
train_exams: 14
test_exams: 8
image_size: 64
tune_fraction: 0.4
weights: none
architectures: [alexnet]
planes: [axial]
tasks: [acl]
epochs: 1
batch_exams: 8
device: cpu
threads: 1
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")


def environment(folder: Path) -> Path:
    """An interpreter in a folder that finds the packages of this one."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    home = Path(sys.executable).resolve().parent
    (folder / "pyvenv.cfg").write_text(f"home = {home}\n", encoding="utf-8")
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    packages.mkdir(parents=True)
    (packages / "these.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    (folder / "share").mkdir()  # Jupyter's templates are looked for beside the interpreter
    (folder / "share" / "jupyter").symlink_to(Path(sys.prefix) / "share" / "jupyter")
    return python


def clone(folder: Path) -> Path:
    """A clone in a folder, with a study whose exams and weights lie in folders of the same name.

    All that is left to do is to gather its provenance.
    """
    for name in ("mrnetlib", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    beside = folder / "beside" / folder.name
    (beside / "exams").mkdir(parents=True)
    (beside / "alexnet.pt").touch()
    inside = str(beside.relative_to(folder)).replace("'", "''")
    text = STUDY.replace(": exams", f": '{inside}/exams'").replace(": {", f": '{inside}/{{", 1)
    files.write_text(folder / "studies" / "own.yaml", text.replace("}.pt", "}.pt'"))
    return folder


def gather(folder: Path) -> tuple[int, str]:
    """Run the last step of a clone's chain; its exit status and what it printed."""
    python = environment(folder / "env")
    study = studies.load("own", clone(folder))
    assert study.exams.is_dir() and study.weights_file("alexnet").is_file()
    runs = ["00_exams", "01_preprocessing", "03_fusion", "04_single_vs_multi_view"]
    runs += ["models_alexnet_0"]
    runs += [f"02_per_plane_training_alexnet_{plane}" for plane in study.settings.planes]
    noted = dict.fromkeys(("machine", "versions", "commit", "changed_since"))
    for run in runs:
        note = {"run": run, "seconds": 1.0} | noted
        files.write_json(study.data / "runs" / f"{run}.json", note)
    target = (study.results / "provenance.json").relative_to(folder).as_posix()
    command = [python, "-m", "snakemake", "--cores", "1", "--config", "study=studies/own.yaml"]
    command += ["--allowed-rules", "provenance", "--nolock", "--", target]
    here = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "1000"}
    done = subprocess.run(
        command, cwd=folder, env=here, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_chain_runs_in_folders_of_any_name(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        ended = dict(zip(FOLDERS, pool.map(gather, map(tmp_path.joinpath, FOLDERS)), strict=True))
    if shutil.which("make"):
        for name in FOLDERS:
            for needed in ("pyproject.toml", "constraints.txt"):
                (tmp_path / name / needed).touch()
            words = ["make", "--dry-run", "--file", ROOT / "Makefile", "study"]
            subprocess.run(words, cwd=tmp_path / name, check=True, capture_output=True)
    failed = {name: said[-2000:] for name, (status, said) in ended.items() if status}
    assert failed == {}
    for name in FOLDERS:
        written = files.read_json(tmp_path / name / "data" / "own" / "results" / "provenance.json")
        assert len(written["runs"]) == 7
    assert list(tmp_path.rglob("raw")) == []


@pytest.mark.whole
@pytest.mark.parametrize("name", FOLDERS)
def test_a_study_runs_whole_in_a_folder_of_any_name(name, tmp_path):
    folder = tmp_path / name
    python = environment(folder / "env")
    root = clone(folder)
    files.write_text(root / "studies" / "whole.yaml", WHOLE)
    here = os.environ | {"PYTHONPATH": str(root), "COLUMNS": "1000"}
    command = [python, "-m", "mrnetlib", "study", "whole", "--cores", "2"]
    done = subprocess.run(command, cwd=root, env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    table = (root / "data" / "whole" / "results" / "table1.csv").read_text(encoding="utf-8")
    assert table.startswith("architecture,views,class,auc") and "alexnet,multi,acl" in table
    assert list(tmp_path.rglob("raw")) == []
