import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mrnetlib import files
from mrnetlib import study as studies
from mrnetlib.chain.steps import main_steps
from mrnetlib.files import InputError
from mrnetlib.phantom import protocol_of
from mrnetlib.settings import Settings, values_of
from mrnetlib.study import Study

ROOT = Path(__file__).resolve().parent.parent


def study_of(root, name="own", **settings):
    """A study without a file."""
    return Study(name, Settings(**settings), root)


def test_a_study_has_its_folders(tmp_path):
    study = study_of(tmp_path, data="phantom")
    assert study.data == tmp_path / "data" / "own"
    assert study.results == tmp_path / "data" / "own" / "results"
    assert study.reference == tmp_path / "results" / "own"
    assert study.exams == tmp_path / "data" / "own" / "exams"
    assert study.banks == tmp_path / "data" / "own" / "banks"


def test_the_users_folder_comes_from_the_file_or_the_variable(tmp_path, monkeypatch):
    monkeypatch.delenv(studies.FOLDER_VARIABLE, raising=False)
    with pytest.raises(InputError, match=r"own: no exams.*exams_folder.*MRNET_FOLDER"):
        _ = study_of(tmp_path).exams
    for name in ("mri", "beside"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(studies.FOLDER_VARIABLE, str(tmp_path / "mri"))
    assert study_of(tmp_path).exams == tmp_path / "mri"
    assert study_of(tmp_path, exams_folder="beside").exams == tmp_path / "beside"
    with pytest.raises(InputError, match=r"own: .*besides is no folder"):
        _ = study_of(tmp_path, exams_folder="besides").exams


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        ("imagenet", None),
        ("none", None),
        ("pretrained", "data/own/weights/alexnet.pt"),
        ("{own}/{architecture}.pt", "{own}/alexnet.pt"),
    ],
)
def test_the_file_of_the_starting_weights_is_said_once(tmp_path, weights, wanted):
    found = study_of(tmp_path, weights=weights).weights_file("alexnet")
    assert found == (None if wanted is None else tmp_path / wanted)


def test_imagenets_weights_that_pip_brought_are_found(tmp_path):
    study = study_of(tmp_path, weights="imagenet")
    path = tmp_path / "data" / "weights" / "alexnet.pt"
    path.parent.mkdir(parents=True)
    path.touch()
    assert study.weights_file("alexnet") == path
    assert study.weights_file("resnet18") is None


def test_a_weight_file_may_lie_at_home(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    study = study_of(tmp_path / "study", weights="~/{architecture}.pth")
    assert study.weights_file("resnet18") == tmp_path / "home" / "resnet18.pth"


def test_the_caption_names_study_and_data(tmp_path):
    caption = study_of(tmp_path, description="synthetic knees").caption()
    assert "own" in caption
    assert "synthetic knees" in caption


#: The project's own; a user's study beside them may be whatever it is.
STUDIES = ("mrnet", "phantom", "phantom-full", "phantom-imagenet", "phantom-scratch")


def test_the_readme_names_the_projects_studies():
    page = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Studies")[2]
    named = re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)
    assert sorted(named) == sorted(STUDIES)


@pytest.mark.parametrize("path", [ROOT / "studies" / f"{name}.yaml" for name in STUDIES])
def test_the_projects_studies_can_be_loaded(path):
    study = studies.load(path.stem, ROOT)
    assert study.settings.description, "a result names its data"
    if study.settings.data == "phantom":
        assert "phantom" in study.settings.description
        assert "not patients" in study.settings.description
        protocol_of(study.settings)


def test_the_study_mrnet_has_the_papers_settings_written_out():
    chosen = studies.load("mrnet", ROOT).settings
    assert chosen == Settings(description=chosen.description)
    text = (ROOT / "studies" / "mrnet.yaml").read_text(encoding="utf-8")
    unsaid = [
        key
        for key in vars(chosen)
        if f"\n{key}:" not in text and not key.startswith(("phantom_", "pretrain_", "tolerance_"))
    ]
    assert unsaid == ["train_exams", "test_exams"], "the folder says how many exams there are"


def test_the_study_phantom_full_is_mrnets_size():
    settings = studies.load("phantom-full", ROOT).settings
    assert (settings.train_exams, settings.test_exams, settings.image_size) == (1130, 120, 256)
    assert protocol_of(settings).slices["axial"] == (19, 35, 61)
    paper = studies.load("mrnet", ROOT).settings
    assert values_of(settings, "training") == values_of(paper, "training")


def test_the_root_is_found_from_below_and_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    assert studies.find_root() == ROOT
    monkeypatch.chdir(tmp_path)
    assert studies.find_root() == ROOT, "the library's own folder is the last resort"
    (tmp_path / "studies").mkdir()
    (tmp_path / "Snakefile").touch()
    assert studies.find_root() == tmp_path


def test_the_command_line_does_without_torch():
    code = "import sys, mrnetlib.__main__, mrnetlib.runner; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def written(root, **studies_of):
    """A root with study files of these keys."""
    (root / "studies").mkdir()
    for name, keys in studies_of.items():
        lines = "".join(f"{key}: {value}\n" for key, value in keys.items())
        (root / "studies" / f"{name}.yaml").write_text(lines, encoding="utf-8")
    return root


BASE = {"data": "phantom", "weights": "pretrained", "architectures": "[alexnet, resnet18]"}


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({"fuse_on": "tune"}, ["exams", "preprocessing", "pretraining", "training"]),
        ({"epochs": 3}, ["exams", "preprocessing", "pretraining"]),
        ({"weights": "none"}, ["exams", "preprocessing"]),
        ({"standardize": "false"}, ["exams"]),
        ({"phantom_severity": 2}, []),
    ],
)
def test_a_study_shares_the_steps_up_to_the_first_that_reads_what_it_changes(
    tmp_path, changes, shared
):
    root = written(tmp_path, base=BASE, mine={"extends": "base", **changes})
    parent, found = studies.taken_over(studies.load("mine", root))
    assert list(found) == shared
    assert (parent.name if parent else None) == ("base" if shared else None)


def test_a_study_shares_the_networks_of_the_architectures_that_both_have(tmp_path):
    more = {"architectures": "[resnet18, googlenet]", "once": "[resnet18]", "seeds": 2}
    one = {"extends": "base", "architectures": "[resnet18]"}
    root = written(tmp_path, base=BASE, more={"extends": "base", **more}, one=one)
    found = studies.taken_over(studies.load("more", root))[1]
    assert found["training"] == ("resnet18",), "once: as often as in the other study"
    assert [study.name for study in studies.lineage(studies.load("one", root))] == ["base", "one"]


def run_by_hand(study, started="now"):
    """Files of all steps of a study, as its chain would leave them."""
    shared = dict.fromkeys(studies.MADE, study.settings.architectures)
    extra = ["checkpoints/alexnet_axial_acl_0.pt", "dicom/0001/a.dcm"]
    for name in [*studies.files_of(study, shared), *extra]:
        note = json.dumps({"started": started}) if name.startswith("runs/") else name
        files.write_text(study.data / name, note)


def test_what_can_be_taken_over_is_what_the_chains_steps_make(tmp_path):
    study = studies.load("base", written(tmp_path, base=BASE))
    shared = [step for step in main_steps(study) if step.rule in studies.MADE]
    assert {step.rule for step in shared} == set(studies.MADE)
    made = {name for step in shared for name in step.outputs}
    architectures = dict.fromkeys(studies.MADE, study.settings.architectures)
    assert {f"data/base/{name}" for name in studies.files_of(study, architectures)} == made


def test_what_is_shared_is_taken_over_and_given_back(tmp_path):
    root = written(tmp_path, base=BASE, mine={"extends": "base", "fuse_on": "tune"})
    base, mine = studies.load("base", root), studies.load("mine", root)
    run_by_hand(base)
    assert not studies.is_taken(mine)
    studies.take_over(mine)
    assert studies.is_taken(mine)
    bank, network = mine.banks / "test_axial.npy", mine.data / "checkpoints"
    assert bank.samefile(base.banks / "test_axial.npy")
    assert bank.stat().st_mtime == (base.banks / "test_axial.npy").stat().st_mtime
    assert (mine.data / "dicom" / "0001" / "a.dcm").is_file()
    files.write_text(bank, "its own now")
    assert (base.banks / "test_axial.npy").read_text() != "its own now"

    run_by_hand(base, started="later")
    assert not studies.is_taken(mine), "the other study was run again"
    studies.take_over(mine)
    assert bank.samefile(base.banks / "test_axial.npy")

    mine = dataclasses.replace(mine, settings=dataclasses.replace(mine.settings, epochs=3))
    studies.take_over(mine)
    assert list(network.iterdir()) == [] and list((mine.results / "history").iterdir()) == []
    assert bank.is_file() and (base.results / "history").is_dir()


def test_a_file_system_without_links_gets_copies(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    files.write_text(tmp_path / "one", "words")
    monkeypatch.setattr(files.os, "link", refuse)
    files.placed(tmp_path / "one", tmp_path / "new" / "two")
    assert (tmp_path / "new" / "two").read_text() == "words"
    assert not (tmp_path / "new" / "two").samefile(tmp_path / "one")
