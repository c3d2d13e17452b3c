import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import write_planted, write_planted_banks

from mrnetlib import study as studies
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError
from mrnetlib.settings import Settings
from mrnetlib.study import Study
from mrnetlib.training.augment import Augmentation
from mrnetlib.training.finetune import TrainingSettings
from mrnetlib.training.starting import starting_backbone

ROOT = Path(__file__).resolve().parent.parent


def study_of(root, name="own", **settings):
    """A study without a file."""
    return Study(name, Settings(**settings), root)


def test_a_study_has_its_folders(tmp_path):
    study = study_of(tmp_path, data="phantom")
    assert study.data == tmp_path / "data" / "own"
    assert study.results == tmp_path / "results" / "own"
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


def test_the_defaults_are_the_papers_training(tmp_path):
    wanted = TrainingSettings(
        epochs=50, patience=10, learning_rate=1e-4, weight_decay=0.1, batch_exams=1,
        augmentation=Augmentation(0.5, 25, 25), precision="fp32", seed=0,
    )  # fmt: skip
    assert study_of(tmp_path).training_settings() == wanted


def test_a_notebooks_parameters_replace_settings_and_are_checked(tmp_path):
    study = study_of(tmp_path, epochs=7, rotation=5.0)
    chosen = study.training_settings(epochs=None, seed=4, learning_rate="1e-3")
    assert (chosen.epochs, chosen.seed, chosen.learning_rate) == (7, 4, 1e-3)
    assert chosen.augmentation.rotation == 5
    with pytest.raises(InputError, match="parameter: epochs is 'many'"):
        study.training_settings(epochs="many")


def test_the_caption_names_study_and_data(tmp_path):
    caption = study_of(tmp_path, description="synthetic knees").caption()
    assert "own" in caption
    assert "synthetic knees" in caption


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_projects_studies_can_be_loaded(path):
    study = studies.load(path.stem, ROOT)
    assert study.settings.description, "a result names its data"
    if study.settings.data == "phantom":
        assert "phantom" in study.settings.description
        assert "not patients" in study.settings.description
        study.phantom_protocol()


def test_the_study_mrnet_has_the_papers_settings_written_out():
    chosen = studies.load("mrnet", ROOT).settings
    assert chosen == Settings(description=chosen.description)
    text = (ROOT / "studies" / "mrnet.yaml").read_text(encoding="utf-8")
    unsaid = [
        key
        for key in vars(chosen)
        if f"\n{key}:" not in text and not key.startswith(("phantom_", "pretrain_"))
    ]
    assert unsaid == ["train_exams", "test_exams"], "the folder says how many exams there are"


def test_the_study_phantom_full_is_mrnets_size():
    study = studies.load("phantom-full", ROOT)
    settings = study.settings
    assert (settings.train_exams, settings.test_exams, settings.image_size) == (1130, 120, 256)
    assert study.phantom_protocol().slices["axial"] == (19, 35, 61)
    paper = studies.load("mrnet", ROOT).training_settings()
    assert study.training_settings() == paper


def test_the_root_is_found_from_below_and_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    assert studies.find_root() == ROOT
    monkeypatch.chdir(tmp_path)
    assert studies.find_root() == ROOT, "the library's own folder is the last resort"
    (tmp_path / "studies").mkdir()
    (tmp_path / "Snakefile").touch()
    assert studies.find_root() == tmp_path


@pytest.fixture
def pretraining_study(tmp_path):
    """A study of planted exams that pretrains a small architecture for two steps."""
    study = study_of(
        tmp_path, data="phantom", weights="pretrained", pretrain_slices=128, device="cpu"
    )
    write_planted_banks(study.banks, write_planted(study.exams, 20, 5, size=32))
    return study


def test_pretrained_weights_are_made_once_and_then_read(pretraining_study, monkeypatch):
    path = studies.prepare_weights(pretraining_study, "shufflenet_v2_x0_5")
    assert path == str(pretraining_study.data / "weights" / "shufflenet_v2_x0_5.pt")
    made = starting_backbone("shufflenet_v2_x0_5", path)
    plain = starting_backbone("shufflenet_v2_x0_5", "none")
    assert not torch.equal(made.conv5[0].weight, plain.conv5[0].weight)
    csv = pretraining_study.results / "pretraining" / "shufflenet_v2_x0_5.csv"
    header, *rows = csv.read_text().split()
    assert header.startswith("slices,")
    assert all(math.isfinite(float(v)) for row in rows for v in row.split(","))
    monkeypatch.setattr(studies, "_pretrain", None)
    assert studies.prepare_weights(pretraining_study, "shufflenet_v2_x0_5") == path


def test_pretraining_looks_at_the_training_exams_only(pretraining_study, monkeypatch):
    seen = []
    bank_open = ExamBank.open

    def spy(folder, split, plane, **options):
        seen.append((split, plane))
        return bank_open(folder, split, plane, **options)

    monkeypatch.setattr(ExamBank, "open", spy)
    studies.prepare_weights(pretraining_study, "shufflenet_v2_x0_5")
    assert seen == [("train", plane) for plane in ("axial", "coronal", "sagittal")]


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_other_weights_are_passed_on(tmp_path, weights):
    assert studies.prepare_weights(study_of(tmp_path, weights=weights), "alexnet") == weights


def test_a_weight_file_is_looked_for_from_the_studys_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    study = study_of(tmp_path, weights="own/{architecture}.pt")
    wanted = tmp_path / "own" / "{architecture}.pt"
    assert studies.prepare_weights(study, "alexnet") == str(wanted)


def test_the_command_line_does_without_torch():
    code = "import sys, mrnetlib.__main__, mrnetlib.runner; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_machine_is_set_up_for_repeatable_numbers(tmp_path):
    before = torch.get_num_threads()
    try:
        device = studies.use_machine(study_of(tmp_path, device="cpu", threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert device.type == "cpu"
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    with pytest.raises(InputError, match="device 'tpu9'"):
        studies.use_machine(study_of(tmp_path, device="tpu9"))
