import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from conftest import files_in, write_planted, write_planted_banks

from mrnetlib.evaluation.predictions import COLUMNS
from mrnetlib.exams import banks, intake, layout
from mrnetlib.files import InputError, write_array, write_csv, write_json
from mrnetlib.names import TASKS, prediction_path
from mrnetlib.settings import Settings, augmentations
from mrnetlib.study import Study
from mrnetlib.training import finetune
from mrnetlib.variants import recipes, retrain
from mrnetlib.variants.recipes import Run

SMALL = "shufflenet_v2_x0_5"


@pytest.fixture
def study(tmp_path):
    """A study of planted exams with a small architecture, one plane and one task."""
    settings = Settings(
        data="phantom", architectures=(SMALL,), choices_architectures=(SMALL,), device="cpu",
        planes=("sagittal",), tasks=("acl",), choices_tasks=("acl",), choices_seeds=2,
        choices_folds=2, epochs=1, batch_exams=8, weights="none", image_size=32,
        threads=1,
    )  # fmt: skip
    study = Study("own", settings, tmp_path)
    inventory = write_planted_banks(study.banks, write_planted(study.exams, 60, 10, size=32))
    intake.write_inventory(study.data / "exams.csv", inventory)
    for path in study.exams.rglob("sagittal/*.npy"):
        write_array(path, np.load(path) // 2)  # now the banks are as if standardized
    retrain.prepare(study, progress=False)
    return study


@pytest.fixture
def quick(monkeypatch):
    """Trainings that only note what they were given."""
    calls = []

    def fit(network, train, tune, task, settings, *rest, **more):
        calls.append((train, tune, settings))
        row = {"epoch": 1, "train_loss": 1, "tune_loss": 1, "tune_auc": 0.5, "seconds": 0.1}
        return pd.DataFrame([row | {"best": 1}])

    monkeypatch.setattr(finetune, "fit", fit)
    return calls


def changes_of(settings):
    return [getattr(settings, name) for name in augmentations()]


def retrained(study):
    retrain.retrain(study, SMALL, "sagittal", progress=False)


def test_a_unit_is_trained_once_and_written(study, quick):
    retrained(study)
    runs = recipes.runs(study.settings, SMALL)
    assert len(quick) == len(runs)
    table = pd.read_csv(recipes.path_of(study, "predictions", SMALL, "sagittal"))
    assert list(table.columns) == recipes.FILE_COLUMNS
    assert set(table["variant"]) == set(recipes.variants(study.settings))
    networks = pd.read_csv(recipes.path_of(study, "networks", SMALL, "sagittal"))
    assert networks["train_exams"].groupby(networks["variant"]).first().to_dict() == {
        "as_is": 45, "stopped_on_test": 45, "not_standardized": 45, "not_augmented": 45,
        "half": 22, "quarter": 11, "eighth": 6, "out_of_fold": 22,
    }  # fmt: skip
    before = files_in(study.results)
    retrained(study)
    assert len(quick) == len(runs), "nothing is trained a second time"
    assert files_in(study.results) == before


def test_what_is_written_can_be_read_beside_the_studys_own(study, quick):
    retrained(study)
    path = recipes.path_of(study, "predictions", SMALL, "sagittal")
    table = pd.read_csv(path, dtype={"exam": str})
    own = table[(table["variant"] == "as_is") & (table["seed"] == 1)]
    own = own[COLUMNS].assign(seed=0)
    write_csv(prediction_path(study.results, SMALL, "sagittal", "acl"), own)
    found = recipes.read(study)
    assert set(found["seed"]) == {0, 1}
    assert len(found) == len(table) + len(own)
    noted = recipes.read_networks(study)
    assert noted["fold"].notna().sum() == 4
    assert list(noted.columns[:2]) == ["architecture", "plane"]


def test_a_variant_differs_in_one_thing(study, quick):
    retrained(study)
    given = dict(zip((run.name for run in recipes.runs(study.settings, SMALL)), quick, strict=True))
    train, _, settings = given["as_is_acl_1"]
    raw = recipes.not_standardized(study)
    for name, (other_train, other_tune, other_settings) in given.items():
        if not name.endswith("_1") or "fold" in name:
            continue
        stop = "test" if name == "stopped_on_test_acl_1" else "tune"
        assert other_tune.split == stop, name
        assert (other_train.sha256 != train.sha256) == (name == "not_standardized_acl_1"), name
        same_way = changes_of(other_settings) == changes_of(settings)
        assert same_way == (name != "not_augmented_acl_1"), name
        share = {"half_acl_1": 2, "quarter_acl_1": 4, "eighth_acl_1": 8}.get(name, 1)
        assert other_settings.epochs == share * settings.epochs, "as many steps"
        assert other_settings.seed == 1
    bank = banks.ExamBank.open(raw.banks, "train", "sagittal")
    assert given["not_standardized_acl_1"][0].sha256 == bank.sha256
    assert changes_of(given["not_augmented_acl_1"][2]) == [0] * len(augmentations())


def test_out_of_fold_predictions_are_of_exams_that_were_not_trained_on(study, quick):
    retrained(study)
    table = pd.read_csv(
        recipes.path_of(study, "predictions", SMALL, "sagittal"), dtype={"exam": str}
    )
    unseen = table[(table["variant"] == "out_of_fold") & (table["seed"] == 0)]
    assert len(unseen) == unseen["exam"].nunique() == 45
    runs = recipes.runs(study.settings, SMALL)
    for run, (train, *_) in zip(runs, quick, strict=True):
        if run.fold is not None and run.seed == 0:
            kept = study.data / "choices" / "networks" / f"{SMALL}_sagittal" / f"{run.name}.json"
            predicted = json.loads(kept.read_text())["predictions"]["exam"]
            assert not set(predicted) & set(train.exams)
            assert len(predicted) + len(train) == 45


def test_a_stopped_unit_goes_on(study, quick, monkeypatch):
    fit = finetune.fit

    def stop(*words, **more):
        if len(quick) == 5:
            raise KeyboardInterrupt
        return fit(*words, **more)

    monkeypatch.setattr(finetune, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        retrained(study)
    assert not recipes.path_of(study, "predictions", SMALL, "sagittal").exists()
    monkeypatch.setattr(finetune, "fit", fit)
    retrained(study)
    assert len(quick) == len(recipes.runs(study.settings, SMALL))


def test_more_seeds_of_the_study_leave_the_rest_as_it_is(study, quick):
    retrained(study)
    count = len(quick)
    more = dataclasses.replace(study.settings, seeds=2, once=())
    retrained(dataclasses.replace(study, settings=more))
    assert len(quick) == count
    table = pd.read_csv(recipes.path_of(study, "networks", SMALL, "sagittal"))
    assert "as_is" not in set(table["variant"]), "the study trains both seeds itself"


def test_another_recipe_begins_anew_what_it_concerns(study, quick):
    retrained(study)
    count = len(quick)
    more = dataclasses.replace(study, settings=dataclasses.replace(study.settings, choices_folds=3))
    retrained(more)
    assert len(quick) == count + 2 * 3, "the other folds of both seeds"
    other = dataclasses.replace(study, settings=dataclasses.replace(study.settings, flip=0.1))
    retrained(other)
    # All but those without augmentation, which is none as before.
    assert len(quick) == count + 6 + len(recipes.runs(study.settings, SMALL)) - 2


def test_a_real_training_repeats_itself(study):
    settings = dataclasses.replace(study.settings, head="probe")
    study = dataclasses.replace(study, settings=settings)
    unit = [retrain.Unit(study, SMALL, "sagittal") for _ in range(2)]
    run = Run("half", 1, "acl")
    first, again = (one.train(run, study.data / f"{n}.pt") for n, one in enumerate(unit))
    assert first["predictions"] == again["predictions"]
    assert first["network"]["train_exams"] == 22
    other = Run("half", 0, "acl")
    assert unit[0].backbone(other)[1] != unit[0].backbone(run)[1], "random weights are the seed's"
    assert unit[0].training(other).seed == 0


@pytest.mark.parametrize("head", ["random", "probe"])
def test_a_subset_without_both_classes_is_refused_by_name(study, head):
    study = dataclasses.replace(study, settings=dataclasses.replace(study.settings, head=head))
    train = banks.ExamBank.open(study.banks, "train", "sagittal")
    unit = retrain.Unit(study, SMALL, "sagittal")
    labels = train.labels.assign(acl=0)
    unit.standardized["train"] = dataclasses.replace(train, labels=labels)
    with pytest.raises(InputError, match="all 6 training exams have the same label"):
        unit.result(Run("eighth", 1, "acl"))


def test_banks_without_standardization_are_the_exams_as_they_came(study):
    raw = recipes.not_standardized(study)
    bank = banks.ExamBank.open(raw.banks, "test", "sagittal")
    volume = layout.read_volume(layout.volume_path(study.exams, "test", "sagittal", bank.exams[0]))
    np.testing.assert_array_equal(bank.exam(0).numpy(), volume)


def test_scanners_that_write_uint16_give_banks_too(study):
    for path in sorted(study.exams.rglob("sagittal/*.npy")):
        write_array(path, np.load(path).astype(np.uint16) * 3)
    retrain.prepare(study, progress=False)
    raw = recipes.not_standardized(study)
    bank = banks.ExamBank.open(raw.banks, "train", "sagittal")
    assert bank.slices.max() == 255
    assert list(bank.labels) == list(TASKS)


def test_banks_without_standardization_are_missed_and_compared(study):
    raw = recipes.not_standardized(study)
    path = banks.bank_path(raw.banks, "test", "sagittal").with_suffix(".json")
    manifest = json.loads(path.read_text())
    manifest["labels"]["acl"] = [1 - label for label in manifest["labels"]["acl"]]
    write_json(path, banks.sealed(manifest))
    run = Run("not_standardized", 0, "acl")
    with pytest.raises(InputError, match="of other exams or labels than the study's own bank"):
        retrain.Unit(study, SMALL, "sagittal").banks(run)
    path.with_suffix(".npy").unlink()
    with pytest.raises(InputError, match=r"no banks of sagittal\. Run 'python -m mrnetlib retrain"):
        retrain.Unit(study, SMALL, "sagittal").banks(run)


def test_a_study_that_does_not_standardize_has_nothing_to_prepare(study):
    as_they_came = dataclasses.replace(study.settings, standardize=False)
    other = dataclasses.replace(study, name="other", settings=as_they_came)
    retrain.prepare(other, progress=False)
    assert not other.data.exists()
    assert "not_standardized" not in recipes.variants(as_they_came)
