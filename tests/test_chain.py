"""The chain sees what a result was made from: which steps run again after which change.

A worker that writes a few bytes for every file stands for the jobs: what it writes depends on
settings, code, versions and inputs as a step's results do. Snakemake itself is asked at the end.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mrnetlib import files, runner
from mrnetlib import study as studies
from mrnetlib.__main__ import main
from mrnetlib.chain import freshness, keep, place, rounds, steps
from mrnetlib.chain.checksums import Checksums, _stamp
from mrnetlib.files import InputError, locked, write_text

ROOT = Path(__file__).resolve().parent.parent

#: A library and notebooks of a few files, in which every part of every step has one.
PARTS = ("training/augment", "training/finetune", "figures/style", "fusion", "exams/banks",
         "exams/subsets", "evaluation/baseline", "evaluation/roc",
         "dicom/convert", "reading/export", "reading/models", "reading/distances", "reading/card",
         "phantom/lesions")  # fmt: skip
NOTEBOOKS = ("00_exams", "01_preprocessing", "02_per_plane_training", "03_fusion",
             "04_single_vs_multi_view")  # fmt: skip
LIBRARY = [f"mrnetlib/{part}.py" for part in PARTS]
LIBRARY += [f"notebooks/{name}.ipynb" for name in NOTEBOOKS]

COMMON = """description: a toy
architectures: [alexnet, resnet18]
planes: [axial, coronal]
tasks: [acl]
device: cpu
learning_rate: 0.0001
"""
STUDIES = {
    "made": COMMON + "data: phantom\nweights: pretrained\nseed: 2020\n",
    "own": COMMON + "data: mrnet\nexams_folder: mine\nweights: 'start/{architecture}.pt'\n",
}


def work(study, ran, only=()):
    """What Snakemake and the jobs do: the steps whose files are missing, in their order."""
    for step in steps.steps(study):
        if only and step.mark() not in only:
            continue
        if all((study.root / name).exists() for name in step.outputs):
            continue
        ran.append(step.run)
        for name in step.outputs:
            (study.root / name).unlink(missing_ok=True)
        with freshness.recorded(study, step.run):
            sums = Checksums(study)
            of = freshness.made_from(study, step, sums)
            drawn = of.pop("drawing")
            of["read"] = {name: sums.of(name) for name in step.inputs}
            write_all(study, step, of, drawn)


def write_all(study, step, of, drawn):
    """Write a step's files; what it keeps only where it is not there."""
    for name in step.made():
        path = study.root / name
        text = json.dumps([name, of], sort_keys=True)
        if path.suffix in (".png", ".html"):
            text += json.dumps(drawn)
        if name == step.mark():
            text += str(time.monotonic_ns())  # a note tells when
        if name.endswith("/"):
            path = path / "train-acl.csv"
        if not (name in step.kept and path.exists()):
            write_text(path, text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A copy of the project with two finished studies: of a digital knee, and of one's own."""
    project = tmp_path_factory.mktemp("project")
    for name in LIBRARY:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    shutil.copy(ROOT / "Snakefile", project)
    for plane in ("axial", "coronal", "sagittal"):
        write_text(project / "mine" / "train" / plane / "0000.npy", plane)
    write_text(project / "mine" / "train-acl.csv", "0000,1\n")
    for name in ("alexnet", "resnet18"):
        write_text(project / "start" / f"{name}.pt", name)
    for name, text in STUDIES.items():
        write_text(project / "studies" / f"{name}.yaml", text)
        study = studies.load(name, project)
        work(study, [])
        assert {verdict.state for verdict in freshness.look(study)} == {"done"}
    shutil.copytree(project, project.with_name("spare"))
    return project


@pytest.fixture
def project(finished):
    """The finished project; what a test changes is put back."""
    yield finished
    spare = finished.with_name("spare")
    for folder in ("data", "mine", "start", "studies", "mrnetlib", "notebooks"):
        before = {path.relative_to(spare) for path in (spare / folder).rglob("*") if path.is_file()}
        there = {p.relative_to(finished) for p in (finished / folder).rglob("*") if p.is_file()}
        for name in there - before:
            (finished / name).unlink()
        for name in before:
            old, new = spare / name, finished / name
            if not new.is_file() or new.read_bytes() != old.read_bytes():
                new.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(old, new)


def replaced(name, old, new):
    """Replace text in a file of the project."""

    def change(project):
        path = project / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def setting(line, study="made"):
    """Give a study file one more line, or another value."""

    def change(project):
        path = project / "studies" / f"{study}.yaml"
        key = line.partition(":")[0]
        kept = [old for old in path.read_text().splitlines() if not old.startswith(f"{key}:")]
        path.write_text("\n".join([*kept, line]) + "\n")

    return change


def deleted(*names):
    """Delete files or folders."""

    def change(project):
        for name in names:
            path = project / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def flipped(name, keep_time=True):
    """Flip a bit of a file, which keeps its size and date."""

    def change(project):
        path = project / name
        about, content = path.stat(), bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns if keep_time else 0))

    return change


def version(package):
    """Another version of a package: the record of what was made says one that is not installed."""

    def change(project):
        for path in (project / DATA / "made").glob("*.json"):
            content = files.read_json(path)
            if package in content["versions"]:
                content["versions"][package] = "0.0"
                files.write_json(path, content)

    return change


def dated(seconds, *folders):
    """Give all files of some folders another date."""

    def change(project):
        for folder in folders:
            for path in (project / folder).rglob("*"):
                os.utime(path, (path.stat().st_mtime + seconds,) * 2)

    return change


def both(*changes):
    """Several changes at once."""
    return lambda project: [change(project) for change in changes]


def outputs_saved(project):
    """A notebook as Jupyter saves it after a run."""
    path = project / "notebooks" / "02_per_plane_training.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["execution_count"], cell["outputs"] = 7, []
    path.write_text(json.dumps(content), encoding="utf-8")


def added(name):
    """A file of the user's in a folder."""
    return lambda project: write_text(project / name, "mine")


BOTH = {"00_exams", "01_preprocessing"}
PRETRAINED = {"pretraining_alexnet", "pretraining_resnet18"}
UNITS = [f"{name}_{plane}" for name in ("alexnet", "resnet18") for plane in ("axial", "coronal")]
TRAINED = {f"02_per_plane_training_{unit}" for unit in UNITS}
MODELS = {"models_alexnet_2020", "models_resnet18_2020"}
COMPARED = {"04_single_vs_multi_view", *MODELS}
ENDS = {"03_fusion", *COMPARED}
ALL = BOTH | PRETRAINED | TRAINED | ENDS
DRAWN = BOTH | TRAINED | ENDS - MODELS
OWN_ENDS = ENDS - MODELS | {"models_alexnet_0", "models_resnet18_0"}
OF_OWN = BOTH | TRAINED | OWN_ENDS
DATA, RESULTS = "data/made", "data/made/results"
ONE = "02_per_plane_training_alexnet_axial"

#: A change, what it runs again (and the study's provenance where that is anything), and a word of
#: the reason that is given.
CASES = {
    # Settings.
    "another seed": (
        setting("seed: 2021"),
        ALL - MODELS | {"models_alexnet_2021", "models_resnet18_2021"},
        "setting seed was 2020, is 2021",
    ),
    "another image size": (setting("image_size: 128"), ALL, "image_size"),
    "no standardization": (setting("standardize: false"), ALL - {"00_exams"}, "standardize"),
    "more pretraining": (setting("pretrain_slices: 9"), PRETRAINED | TRAINED | ENDS, "slices"),
    "another rate": (setting("learning_rate: 0.001"), TRAINED | ENDS, "learning_rate"),
    "the same rate, written otherwise": (setting("learning_rate: 1e-4"), set(), ""),
    "fused on other exams": (setting("fuse_on: tune"), ENDS, "fuse_on"),
    "chosen on other exams": (setting("select_on: test"), COMPARED, "select"),
    "another tolerance": (setting("tolerance_table: 0.5"), set(), ""),
    "another description": (setting("description: other"), DRAWN | MODELS, "pictures"),
    "one architecture less": (
        setting("architectures: [alexnet]"), ENDS - {"models_resnet18_2020"}, "architectures",
    ),
    "one architecture more": (
        setting("architectures: [alexnet, resnet18, googlenet]"),
        ENDS | {"pretraining_googlenet", "models_googlenet_2020"}
        | {f"02_per_plane_training_googlenet_{plane}" for plane in ("axial", "coronal")},
        "not made yet",
    ),
    # Code and prose.
    "code of the augmentation": (
        replaced("mrnetlib/training/augment.py", "REFERENCE_SIZE = 256", "REFERENCE_SIZE = 255"),
        PRETRAINED | TRAINED | ENDS, "the code of training has changed",
    ),
    "the loss": (
        replaced("mrnetlib/training/finetune.py", "def loss_of(", "SCALE = 2\n\n\ndef loss_of("),
        PRETRAINED | TRAINED | ENDS, "training",
    ),
    "a comment": (
        replaced("mrnetlib/training/augment.py", "def apply(", "# Why.\n\n\ndef apply("), set(), "",
    ),
    "a docstring": (
        replaced("mrnetlib/training/finetune.py", '"""Fine-tune', '"""Words. Fine-tune'), set(), "",
    ),
    "a notebook's prose": (
        replaced("notebooks/02_per_plane_training.ipynb", "## Augmentation", "## To augment"),
        set(), "",
    ),
    "a notebook's code": (
        replaced("notebooks/02_per_plane_training.ipynb", "histories, summary = []", "histories,"
                 " summary = [1]"),
        TRAINED | ENDS, "02_per_plane_training",
    ),
    "a notebook saved with its outputs": (outputs_saved, set(), ""),
    "a figure's code": (
        replaced("mrnetlib/figures/style.py", "WIDTH = 9.6", "WIDTH = 9.5"), DRAWN, "pictures",
    ),
    "code of the DICOM door": (added("mrnetlib/dicom/more.py"), ALL, "dicom"),
    "code of the digital knee": (added("mrnetlib/phantom/more.py"), ALL, "phantom"),
    "code of the fusion": (
        replaced("mrnetlib/fusion.py", "def fit(", "MORE = 1\n\n\ndef fit("), ENDS, "fusion",
    ),
    "every file of code touched": (dated(60, "mrnetlib", "notebooks"), set(), ""),
    # Versions.
    # Where what a step makes comes out as it was, as here, what stands on it is spared.
    "another torch": (
        version("torch"), ALL - {"00_exams", "03_fusion", "04_single_vs_multi_view"}, "torch was",
    ),
    "another pydicom": (version("pydicom"), {"00_exams"}, "pydicom was"),
    "another scikit-learn": (version("scikit-learn"), ALL - {"00_exams"}, "scikit-learn"),
    "another papermill": (version("papermill"), set(), ""),
    # Deleted.
    "a table deleted": (deleted(f"{RESULTS}/table1.csv"), {"04_single_vs_multi_view"}, "missing"),
    "a figure deleted": (deleted(f"{RESULTS}/figures/labels.png"), {"00_exams"}, "labels.png"),
    "a report deleted": (deleted(f"{RESULTS}/03_fusion.html"), {"03_fusion"}, "03_fusion.html"),
    "predictions deleted": (deleted(f"{RESULTS}/predictions/alexnet_axial_acl.csv"), {ONE}, ".csv"),
    # What is missing waits, too, until it is known what else has to be made again.
    "another pydicom, and predictions deleted": (
        both(version("pydicom"), deleted(f"{RESULTS}/predictions")), {"00_exams"} | TRAINED, "pyd",
    ),
    "another pydicom and setting, and predictions deleted": (
        both(setting("pretrain_slices: 9"), version("pydicom"), deleted(f"{RESULTS}/predictions")),
        ALL - {"01_preprocessing"}, "pydicom",
    ),
    "a bank deleted": (deleted(f"{DATA}/banks/tune_axial.npy"), {"01_preprocessing"}, "tune_axial"),
    "a manifest deleted": (deleted(f"{DATA}/banks/tune_axial.json"), {"01_preprocessing"}, ".json"),
    "the landmarks deleted": (deleted(f"{DATA}/landmarks.json"), {"01_preprocessing"}, "landmarks"),
    "weights deleted": (deleted(f"{DATA}/weights/alexnet.pt"), {"pretraining_alexnet"}, "weights"),
    "checkpoints deleted": (deleted(f"{DATA}/checkpoints"), TRAINED, "checkpoints"),
    "the exams deleted": (deleted(f"{DATA}/exams"), {"00_exams"}, "exams/ is missing"),
    "the results deleted": (deleted(RESULTS), ALL, "missing"),
    "a run's note deleted": (deleted(f"{DATA}/runs/03_fusion.json"), {"03_fusion"}, "runs/03"),
    "a record deleted": (
        deleted(f"{DATA}/made/04_single_vs_multi_view.json"), {"04_single_vs_multi_view"}, "not",
    ),
    # Damaged, or changed by hand: the file that is meant, not its neighbour.
    "a bit of a bank": (
        flipped(f"{DATA}/banks/train_axial.npy"), {"01_preprocessing"},
        f"{DATA}/banks/train_axial.npy is damaged or was changed",
    ),
    "a label in a manifest": (
        flipped(f"{DATA}/banks/train_axial.json"), {"01_preprocessing"}, "train_axial.json is dam",
    ),
    "a landmark": (flipped(f"{DATA}/landmarks.json"), {"01_preprocessing"}, "landmarks.json is d"),
    "a prediction": (
        flipped(f"{RESULTS}/predictions/alexnet_axial_acl.csv"), {ONE}, "alexnet_axial_acl.csv is",
    ),
    "a bit of a checkpoint": (
        flipped(f"{DATA}/checkpoints/alexnet_axial_acl_2020.pt"), {ONE}, "axial_acl_2020.pt is",
    ),
    "an exam made here": (flipped(f"{DATA}/exams/train-acl.csv"), {"00_exams"}, "train-acl.csv is"),
    "a file beside the exams made here": (added(f"{DATA}/exams/mine.csv"), set(), ""),
    # Clocks.
    "a clock that was ahead": (dated(1e7, "data/made/exams.csv", "data/made/banks"), set(), ""),
    "a clock set back": (dated(-1e7, "data/made/results"), set(), ""),
}  # fmt: skip

#: The same of a study of one's own exams and weights.
CASES_OF_OWN = {
    "an exam's pixels": (flipped("mine/train/axial/0000.npy"), OF_OWN, "mine/train/axial/0000.npy"),
    "a label": (replaced("mine/train-acl.csv", "0000,1", "0000,0"), OF_OWN, "mine/train-acl.csv"),
    "one exam more": (added("mine/train/axial/0001.npy"), OF_OWN, "0001.npy has changed"),
    "a letter beside the exams": (added("mine/read me.txt"), set(), ""),
    "the exams touched": (dated(60, "mine"), set(), ""),
    "starting weights": (
        flipped("start/alexnet.pt"), {name for name in TRAINED if "alexnet" in name} | OWN_ENDS,
        "start/alexnet.pt has changed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [*CASES, *CASES_OF_OWN])
def test_only_what_no_longer_matches_is_made_again(project, case, capsys):
    change, expected, reason = (CASES | CASES_OF_OWN)[case]
    change(project)
    study = studies.load("own" if case in CASES_OF_OWN else "made", project)
    ran = []
    assert rounds.run(study, (), lambda only: work(study, ran, only) or 0) == 0
    assert set(ran) == expected | ({"provenance"} if expected else set())
    assert len(ran) == len(set(ran)), "none twice"
    assert reason in capsys.readouterr().out or reason == freshness.NOT_MADE
    assert keep.is_finished(study)


def test_there_are_enough_cases():
    assert len(CASES | CASES_OF_OWN) == len(CASES) + len(CASES_OF_OWN) >= 40


def test_a_study_says_what_is_done_running_missing_and_stale(project, capsys, monkeypatch):
    (project / RESULTS / "table1.csv").unlink()
    setting("fuse_on: tune")(project)
    monkeypatch.chdir(project)
    study = studies.load("made", project)
    running = freshness.running_path(study, "01_preprocessing")
    with locked(running, str), locked(study.data / place.LOCK, str):
        assert main(["study", "made", "--status"]) == 0
    said = capsys.readouterr().out.splitlines()
    states = {line.split()[1]: line.split(maxsplit=2) for line in said[:-2]}
    assert states["00_exams"] == ["done", "00_exams"]
    assert states["01_preprocessing"][0] == "running" and "process" in states["01_preprocessing"][2]
    assert states["03_fusion"] == ["stale", "03_fusion", "setting fuse_on was train, is tune"]
    missing = "data/made/results/table1.csv is missing"
    assert states["04_single_vs_multi_view"] == ["missing", "04_single_vs_multi_view", missing]
    assert said[-2].startswith("study made: ") and said[-1].startswith("run by process ")
    assert main(["study", "made", "--dry-run"]) == 0
    assert "03_fusion: setting fuse_on was train, is tune" in capsys.readouterr().out
    assert not keep.is_finished(study)


def test_what_a_disk_has_garbled_is_found_where_it_is_read_and_made_again(project, capsys):
    """Neither size nor times tell: the step that reads the file hashes it, and names it."""
    study = studies.load("made", project)
    name = f"{RESULTS}/predictions/alexnet_axial_acl.csv"
    flipped(name)(project)
    known = files.read_json(study.data / "checksums.json")
    known[name][0] = _stamp(project / name)
    files.write_json(study.data / "checksums.json", known)
    deleted(f"{RESULTS}/fusion.csv")(project)
    ran, refused = [], []

    def run_once(only):
        try:
            work(study, ran, only)
        except InputError as error:
            refused.append(str(error))
            return 1
        return 0

    assert rounds.run(study, (), run_once) == 0
    assert len(refused) == 1 and f"{name}: is not as {ONE} has written it" in refused[0]
    assert f"{ONE}: again, because {name} is damaged or was changed" in capsys.readouterr().out
    assert ran == ["03_fusion", ONE, "03_fusion", "provenance"] and keep.is_finished(study)


def test_two_processes_do_not_run_the_same_step(project):
    study = studies.load("made", project)
    first = locked(freshness.running_path(study, "03_fusion"), str)
    refused = pytest.raises(InputError, match=r"^03_fusion: process \d+ of .* is running it")
    with first, refused, freshness.recorded(study, "03_fusion"):
        raise AssertionError
    assert keep.is_finished(study), "and its record stands"


def planned(project, *targets):
    """The rules that Snakemake would run, as the command calls it."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--nolock"]
    command += ["--rerun-triggers", "software-env", "--config", "study=studies/made.yaml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "1000"}
    done = subprocess.run(
        [*command, "--", *targets], cwd=project, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = (done.stdout + done.stderr).partition("Job stats:")[2].partition("\ntotal")[0]
    rows = [line.split() for line in said.splitlines() if len(line.split()) == 2]
    return {rule for rule, count in rows if count.isdigit()}


def test_snakemake_runs_the_steps_whose_notes_were_removed_and_no_other(project):
    for run in ("03_fusion", "pretraining_alexnet"):
        (project / DATA / "runs" / f"{run}.json").unlink()
    (project / "data" / "made" / "exams.csv").touch()
    assert planned(project) == {"all", "fusion", "pretraining", "provenance"}
    deleted(f"{RESULTS}/predictions")(project)
    assert planned(project, f"{DATA}/runs/pretraining_alexnet.json") == {"pretraining"}


def test_what_is_to_be_run_before_what_is_missing_is_given_to_snakemake_by_name(
    project, monkeypatch
):
    both(version("pydicom"), deleted(f"{RESULTS}/predictions"))(project)
    study, ran, asked = studies.load("made", project), [], []

    def attend(words, **how):
        asked.append(words[words.index("--") + 1 :])
        work(study, ran, [] if asked[-1] == ["all"] else asked[-1])
        return 0

    monkeypatch.setattr(runner, "attend", attend)
    assert runner.run_chain(study, ["all"], 1, dry_run=False, verbose=True) == 0
    assert asked == [[f"{DATA}/runs/00_exams.json"], ["all"]]
    assert set(ran) == {"00_exams", "provenance"} | TRAINED and keep.is_finished(study)


def test_a_study_that_fuses_otherwise_takes_over_all_networks(project):
    write_text(project / "studies" / "mine.yaml", "extends: made\nfuse_on: tune\n")
    study = studies.load("mine", project)
    for note in (project / DATA / "runs").iterdir():  # which the jobs write as JSON
        note.write_text("{}", encoding="utf-8")
    ((parent, wanted, _),) = studies.wanted_of_parents(study)
    assert parent.name == "made" and [n for n in wanted if not (project / n).is_file()] == []
    studies.take_over(study)
    ran = []
    assert rounds.run(study, (), lambda only: work(study, ran, only) or 0) == 0
    assert set(ran) == ENDS | {"provenance"}
    assert rounds.plan(study) == [] and studies.is_taken(study)
    (study.data / "banks" / "train_axial.npy").unlink()
    assert not studies.is_taken(study)
    studies.take_over(study)
    assert studies.is_taken(study) and rounds.plan(study) == []


def test_a_run_that_is_stopped_puts_the_record_back_only_where_all_is_as_it_was(project):
    study = studies.load("made", project)
    path = freshness.record_path(study, "03_fusion")
    before = files.read_json(path)
    with pytest.raises(KeyboardInterrupt), freshness.recorded(study, "03_fusion"):
        assert not path.exists()
        raise KeyboardInterrupt
    assert files.read_json(path) == before
    with pytest.raises(KeyboardInterrupt), freshness.recorded(study, "03_fusion"):
        write_text(project / RESULTS / "fusion.csv", "half of it")
        raise KeyboardInterrupt
    assert not path.exists()
