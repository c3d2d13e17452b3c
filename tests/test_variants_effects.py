import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrnetlib import fusion, provenance, runner
from mrnetlib import study as studies
from mrnetlib.__main__ import main
from mrnetlib.chain import steps
from mrnetlib.evaluation.comparisons import Comparison, mcnemar
from mrnetlib.evaluation.metrics import MEASURES
from mrnetlib.evaluation.predictions import HISTORY
from mrnetlib.evaluation.roc import auc
from mrnetlib.files import InputError, write_csv
from mrnetlib.names import history_path, prediction_path
from mrnetlib.settings import Settings, augmentations
from mrnetlib.study import Study
from mrnetlib.variants import effects, recipes, wording

ROOT = Path(__file__).resolve().parent.parent
SMALL = {"architectures": ("alexnet",), "choices_architectures": ("alexnet",)}
SPLITS = {"train": 40, "tune": 20, "test": 40}


def simulated(seeds=(0,), tasks=("acl",), planes=("axial", "sagittal"), strength=1.5):
    """Long predictions in which the last plane is the better one."""
    generator = np.random.default_rng(0)
    parts, first = [], 0
    for split, count in SPLITS.items():
        exams = [f"{first + number:04d}" for number in range(count)]
        first += count
        for number, task in enumerate(tasks):
            label = (np.arange(count) % 5 < 2 + number).astype(int)
            for seed in seeds:
                for place, plane in enumerate(planes, 1):
                    score = strength * place * label + generator.normal(size=count)
                    columns = {"exam": exams, "split": split, "label": label}
                    columns["probability"] = 1 / (1 + np.exp(-score))
                    about = {"seed": seed, "architecture": "alexnet", "task": task, "plane": plane}
                    parts.append(pd.DataFrame(columns).assign(**about))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def study(tmp_path):
    """A study with simulated predictions of its own and of a retraining."""
    settings = Settings(
        **SMALL, planes=("axial", "sagittal"), tasks=("acl",), choices_tasks=("acl",), device="cpu",
        choices_seeds=2, choices_folds=2, data="phantom", description="a toy",
    )  # fmt: skip
    study = Study("own", settings, tmp_path)
    table = simulated(seeds=(0, 1))
    for plane in settings.planes:
        own = table[table["plane"] == plane]
        first = own[own["seed"] == 0]
        columns = ["exam", "split", "label", "probability"]
        write_csv(prediction_path(study.results, "alexnet", plane, "acl"), first[columns])
        parts = []
        for run in recipes.runs(settings, "alexnet"):
            part = own[own["seed"] == run.seed].assign(variant=run.variant)
            if run.fold is not None:
                part = part[part["split"] == "train"].iloc[run.fold :: 2]
            if run.variant in recipes.SHARES:
                part = part.iloc[10:]
            parts.append(part)
        path = recipes.path_of(study, "predictions", "alexnet", plane)
        recipes.write(path, pd.concat(parts))
    return study


def damage(study, change):
    """Change the axial file of a study's retraining."""
    path = recipes.path_of(study, "predictions", "alexnet", "axial")
    table = pd.read_csv(path, dtype={"exam": str})
    write_csv(path, change(table))


def test_the_runs_of_a_unit_are_told_apart_and_leave_out_the_studys_own():
    settings = Settings(**SMALL, choices_tasks=("acl",), choices_seeds=2, choices_folds=3, seed=7)
    runs = recipes.runs(settings, "alexnet")
    assert len({run.name for run in runs}) == len(runs) == 2 * (7 + 3) - 1
    assert {run.seed for run in runs} == {7, 8}
    assert recipes.Run("as_is", 7, "acl") not in runs
    assert recipes.Run("out_of_fold", 8, "acl", 2) in runs


def test_the_seeds_that_the_study_trains_are_taken_over():
    words = {**SMALL, "choices_tasks": ("acl",), "choices_folds": 2, "seed": 7}
    for seeds, retrained in ((1, [8, 9]), (2, [9]), (5, [])):
        settings = Settings(**words, choices_seeds=3, seeds=seeds)
        runs = recipes.runs(settings, "alexnet")
        assert [run.seed for run in runs if run.variant == "as_is"] == retrained
        assert {run.seed for run in runs if run.variant == "half"} == {7, 8, 9}
    settings = Settings(choices_seeds=3, seeds=3, once=("googlenet",))
    assert recipes.own_seeds(settings, "alexnet") == [0, 1, 2]
    assert recipes.own_seeds(settings, "googlenet") == [0]


def test_a_variant_that_is_the_studys_recipe_is_left_out():
    plain = Settings(standardize=False, **dict.fromkeys(augmentations(), 0.0))
    left = set(recipes.variants(Settings())) - set(recipes.variants(plain))
    assert left == {"not_standardized", "not_augmented"}


def test_only_what_the_study_trains_can_be_trained_again(tmp_path):
    settings = Settings(**SMALL | {"choices_architectures": ("resnet18",)})
    with pytest.raises(InputError, match=r"choices_architectures: 'resnet18' is none of alexnet,"):
        recipes.check(Study("own", settings, tmp_path))
    with pytest.raises(InputError, match="plane: 'oblique'"):
        recipes.check(Study("own", Settings(**SMALL), tmp_path), "alexnet", "oblique")


def test_the_retraining_is_read_with_the_studys_own_first_seed(study):
    table = recipes.read(study)
    own = table[(table["variant"] == "as_is") & (table["seed"] == 0)]
    assert len(own) == 2 * sum(SPLITS.values())
    original = simulated(seeds=(0, 1)).query("seed == 0 and plane == 'axial'")
    read = own[own["plane"] == "axial"]["probability"].to_numpy()
    np.testing.assert_array_equal(read, original["probability"], "not rounded")
    unseen = table[table["variant"] == "out_of_fold"]
    assert (unseen.groupby(["seed", "plane"])["exam"].nunique() == SPLITS["train"]).all()
    assert set(unseen["split"]) == {"train"}


def test_all_seeds_of_the_study_are_read_and_none_that_was_trained_again(study):
    table = simulated(seeds=(0, 1))
    for plane in study.settings.planes:
        own = table[table["plane"] == plane]
        path = prediction_path(study.results, "alexnet", plane, "acl")
        write_csv(path, own[["exam", "split", "label", "probability", "seed"]])
    several = replace(study, settings=replace(study.settings, seeds=2))
    read = recipes.read(several)
    as_is = read[(read["variant"] == "as_is") & (read["plane"] == "axial")]
    assert as_is["seed"].tolist() == [0] * 100 + [1] * 100
    wanted = table.query("plane == 'axial'").sort_values("seed", kind="stable")["probability"]
    np.testing.assert_array_equal(as_is["probability"], wanted, "not those of the retraining")
    other = replace(study, settings=replace(study.settings, seeds=2, seed=1))
    damage(study, lambda t: pd.concat([t, t.query("seed == 1").assign(seed=2)]))
    path = recipes.path_of(study, "predictions", "alexnet", "sagittal")
    rows = pd.read_csv(path, dtype={"exam": str})
    write_csv(path, pd.concat([rows, rows.query("seed == 1").assign(seed=2)]))
    with pytest.raises(InputError, match="of alexnet are of the seeds 0, 1, expected 1, 2, as the"):
        recipes.read(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(label=1 - t["label"]), "stopped_on_test, seed 0, acl: does not hold"),
        (lambda t: t.assign(exam="x" + t["exam"]), "does not hold the same exams"),
        (lambda t: t[t["exam"] != "0099"], "exam 0099 split test"),
        (lambda t: t[t["seed"] == 0], "as_is, seed 1, acl: not in the file"),
        (lambda t: t[t["variant"] != "half"], "half, seed 0, acl: not in the file"),
        (lambda t: pd.concat([t, t.tail(1)]), "is listed twice"),
        (lambda t: t.assign(probability=2.0), r"exam 0000 has probability 2\.0"),
        (lambda t: t.drop(columns="seed"), "no column seed; columns are variant,task,exam"),
    ],
)
def test_predictions_of_another_study_are_refused(study, change, message):
    damage(study, change)
    with pytest.raises(InputError, match=message) as caught:
        recipes.read(study)
    assert "alexnet_axial.csv" in str(caught.value)


def test_missing_files_say_how_they_are_made(study):
    recipes.path_of(study, "predictions", "alexnet", "sagittal").unlink()
    with pytest.raises(InputError, match=r"alexnet_sagittal.csv: not found. Run 'make choices'"):
        recipes.read(study)
    with pytest.raises(InputError, match="networks"):
        recipes.read_networks(study)


def test_every_way_to_fuse_is_used_per_seed_and_task():
    table, planes = simulated(seeds=(0, 1), tasks=("acl", "meniscus")), ("axial", "sagittal")
    for how in set(fusion.WAYS) - {"out_of_fold"}:
        found = effects.fuse(table, how, planes)
        for key, group in table.groupby(effects.KEYS):
            known = fusion.fuse(fusion.by_plane(group, planes), how)["probability"]
            own = np.logical_and.reduce(
                [found[name] == value for name, value in zip(effects.KEYS, key, strict=True)]
            )
            np.testing.assert_array_equal(found.loc[own, "probability"], known)


def test_out_of_fold_fusion_is_fitted_elsewhere_and_applied_here():
    table, planes = simulated(seeds=(0, 1)), ("axial", "sagittal")
    unseen = table[table["split"] == "train"]
    np.testing.assert_allclose(
        effects.fuse(table, "out_of_fold", planes, unseen)["probability"],
        effects.fuse(table, "train", planes)["probability"],
    )
    turned = unseen.assign(probability=1 - unseen["probability"])
    found = effects.fuse(table, "out_of_fold", planes, turned)
    test = found[(found["split"] == "test") & (found["seed"] == 0)]
    assert auc(test["label"], test["probability"]) < 0.5
    with pytest.raises(InputError, match="seed 1, alexnet, acl: no out-of-fold"):
        effects.fuse(table, "out_of_fold", planes, unseen[unseen["seed"] == 0])
    with pytest.raises(InputError, match="fusion 'median'"):
        effects.fuse(table, "median", planes)


def test_the_best_plane_is_chosen_per_seed():
    table = simulated(seeds=(0, 1))
    swapped = {"axial": "sagittal", "sagittal": "axial"}
    other = table["seed"] == 1
    table.loc[other, "plane"] = table.loc[other, "plane"].map(swapped)
    chosen = effects.best_plane(table, "tune")
    assert chosen.groupby("seed")["plane"].unique().map(list).to_dict() == {
        0: ["sagittal"],
        1: ["axial"],
    }


def test_kept_epochs_include_the_studys_own_networks(tmp_path):
    about = {"architecture": "alexnet", "plane": "axial", "task": "acl"}
    rows = [("stopped_on_test", 7, 3), ("as_is", 9, 2), ("stopped_on_test", 9, 2), ("half", 9, 1)]
    rows += [("stopped_on_test", 8, 3)]
    networks = pd.DataFrame(rows, columns=["variant", "seed", "kept_epoch"]).assign(**about)
    history = pd.DataFrame(0.5, index=range(6), columns=HISTORY)
    history = history.assign(epoch=[1, 2, 3] * 2, best=[1, 0, 0, 0, 1, 0], seed=[7] * 3 + [8] * 3)
    write_csv(history_path(tmp_path, *about.values()), history)
    settings = Settings(seed=7, seeds=2, choices_seeds=3)
    found = effects.kept_epochs(tmp_path, networks, settings)
    assert found.to_numpy().tolist() == [[1, 3], [2, 3], [2, 2]]


def test_effects_have_a_row_per_task_and_their_average():
    table = simulated(seeds=(0, 1, 2, 3), tasks=("acl", "meniscus"))
    views = [table[table["plane"] == plane] for plane in ("sagittal", "axial")]
    found = effects.effects(*views).set_index("task")
    assert list(found.index) == ["acl", "meniscus", "average"]
    mean = found.loc[["acl", "meniscus"], "difference"].mean()
    assert found.loc["average", "difference"] == pytest.approx(mean)
    assert found.loc["acl", "difference"] == pytest.approx(np.mean(found.loc["acl", "each"]))
    assert found.loc["average", "low"] > 0, "the last plane was made the better one"
    assert list(effects.effects(*[v[v["task"] == "acl"] for v in views])["task"]) == ["acl"]


def test_thresholds_are_tuned_on_the_tuning_exams():
    fused = effects.fuse(simulated(tasks=("acl", "meniscus")), "mean", ("axial", "sagittal"))
    fused["probability"] = fused["probability"] ** 4  # the same order, seldom above one half
    found = effects.thresholds(fused).set_index(["task", "measure"])
    acl = fused[fused["task"] == "acl"]
    threshold = found.loc[("acl", "accuracy"), "threshold"]
    assert 0 < threshold < 0.5
    test = acl[acl["split"] == "test"]
    tuned, fixed = test["probability"] >= threshold, test["probability"] >= 0.5
    positive = test["label"] == 1
    row = found.loc[("acl", "sensitivity")]
    assert row["p"] == mcnemar(tuned[positive], fixed[positive])
    moved = tuned[positive].mean() - fixed[positive].mean()
    assert row["difference"] == pytest.approx(moved)
    assert row["difference"] > 0
    assert np.isnan(found.loc[("average", "accuracy"), "threshold"])
    changed = fused.copy()
    changed.loc[changed["split"] == "test", "probability"] = 0.5
    assert (
        effects.thresholds(changed)
        .set_index(["task", "measure"])["threshold"]
        .equals(found["threshold"])
    )


def test_thresholds_of_several_seeds_are_each_seeds_own():
    fused = effects.fuse(simulated(seeds=(0, 1)), "mean", ("axial", "sagittal"))
    fused["probability"] = fused["probability"] ** 4
    single = [effects.thresholds(fused[fused["seed"] == seed]).iloc[0] for seed in (0, 1)]
    both = effects.thresholds(fused).iloc[0]
    assert both["threshold"] == pytest.approx(np.mean([row["threshold"] for row in single]))
    assert both["difference"] == pytest.approx(np.mean([row["difference"] for row in single]))
    assert single[0]["method"] == "McNemar, exact" and both["method"] == "exams and 2 seeds"


def test_the_closing_table_is_corrected_for_its_length():
    rows = [
        ("a", "b", "AUC", Comparison(0.1, 0.05, 0.15, 0.01, "exams")),
        ("c", "d", "AUC", Comparison(0.1, -0.1, 0.3, 0.5, "exams")),
    ]
    table = wording.summary(rows)
    assert table["p_holm"].tolist() == [0.02, 0.5]
    text = wording.summary_text(table, "Title", "Note.")
    assert "| a | b | AUC | +0.100 | +0.050 to +0.150 | 0.010 | 0.020 |" in text.splitlines()
    assert "| 80% interval |" in wording.summary_text(table, "Title", "Note.", 0.8)


def test_small_p_values_are_counted_alone_and_corrected():
    table = pd.DataFrame(
        [("one", "a row", 0.1, 0.01), ("two", "a row", -0.1, 0.04), ("three", "a row", 0.0, 1.0)],
        columns=["panel", "row", "difference", "p"],
    )
    text = wording.counted(table)
    assert "2 of 3 differences have p < 0.05 on their own, 1 after" in text
    assert "one (a row, +0.100, p = 0.030)." in text
    assert "0 after Holm's correction." in wording.counted(table, 0.99)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((0.1, 0.05, 0.15, 0.001), "+0.100 (95% interval +0.050 to +0.150, p = 0.001): higher"),
        ((-0.1, -0.15, -0.05, 0.0001), "p < 0.001): lower"),
        ((0.1, -0.05, 0.25, 0.2), "p = 0.20): chance alone could do this"),
        ((0.0, 0.0, 0.0, 1.0), "does not move"),
    ],
)
def test_a_sentence_says_no_more_than_its_test(found, words):
    assert words in wording.in_words("Choosing", "AUC", Comparison(*found, "exams"))


def test_the_command_line_retrains_a_unit_or_prepares(monkeypatch, tmp_path, capsys):
    from mrnetlib.variants import retrain

    asked = []
    monkeypatch.setattr(retrain, "prepare", lambda study: asked.append("prepare"))
    monkeypatch.setattr(retrain, "retrain", lambda study, *unit: asked.append(unit))
    monkeypatch.setattr(provenance, "note_run", lambda study, run, *rest: asked.append(run))
    assert main(["retrain", "alexnet", "axial"]) == main(["retrain"]) == 0
    wanted = [("alexnet", "axial"), "choices_alexnet_axial", "prepare", "choices_preparation"]
    assert asked == wanted
    assert main(["retrain", "alexnet"]) == 1
    assert "give an architecture and a plane" in capsys.readouterr().err


def test_a_study_with_choices_asks_for_that_target(monkeypatch):
    asked = []
    monkeypatch.setattr(runner, "run_chain", lambda study, *words: asked.append(words) or 3)
    assert main(["study", "phantom", "--choices", "--cores", "2"]) == 3
    assert main(["study", "phantom"]) == 3
    assert asked == [(["choices"], 2, False, False, None), (["all"], None, False, False, None)]


def test_the_snakefile_makes_what_the_notebook_reads_and_nothing_of_it_by_default():
    study = studies.load("phantom", ROOT)
    jobs = {}
    for target in ("choices", "all"):
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--dry-run", "--printshellcmds", "--forceall", "--cores", "1", "--nolock"]
        done = subprocess.run(
            [*command, "--", target], cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"COLUMNS": "1000"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        jobs[target] = done.stdout + done.stderr
    assert "choices" not in jobs["all"].replace("choices_", "").replace("rule all", "")
    for plane in study.settings.planes:
        assert f"retrain alexnet {plane} --study phantom" in jobs["choices"]
    assert "notebook --study phantom 06_choices_that_move_the_number" in jobs["choices"]
    assert "choices/provenance.json" in jobs["choices"]


def test_the_notebook_files_what_the_chain_expects():
    path = ROOT / "notebooks" / "06_choices_that_move_the_number.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    made = steps.choices_notebook(studies.load("phantom", ROOT)).outputs
    figures = {Path(name).stem for name in made if name.endswith(".png")}
    assert len(figures) == 7
    for name in figures:
        assert f'"{name}.png"' in code


def test_what_is_noted_of_the_networks_is_read_by_column(study):
    noted = {"variant": "half", "seed": 1, "task": "acl", "fold": None, "train_exams": 20}
    noted |= {"epochs": 3, "kept_epoch": 2, "seconds": 0.5}
    for plane in study.settings.planes:
        path = recipes.path_of(study, "networks", "alexnet", plane)
        write_csv(path, pd.DataFrame([noted]))
    found = recipes.read_networks(study)
    assert list(found.columns) == ["architecture", "plane", *noted]
    assert found["plane"].tolist() == ["axial", "sagittal"] and set(found["kept_epoch"]) == {2}
    write_csv(path, pd.DataFrame([noted]).drop(columns="kept_epoch"))
    with pytest.raises(InputError, match="no column kept_epoch"):
        recipes.read_networks(study)


def test_a_rate_that_is_added_is_among_those_that_a_threshold_moves(monkeypatch):
    other = MEASURES["accuracy"]._replace(title="Other", exact=None)
    monkeypatch.setitem(MEASURES, "other", other)
    fused = effects.fuse(simulated(), "mean", ("axial", "sagittal"))
    fused["probability"] = fused["probability"] ** 4
    found = effects.thresholds(fused).set_index("measure")
    assert list(found.index) == ["sensitivity", "specificity", "accuracy", "other"]
    assert found.loc["other", "difference"] == found.loc["accuracy", "difference"]
    methods = found.loc[["accuracy", "other"], "method"].tolist()
    assert methods == ["McNemar, exact", "exams"]
