"""Several views against one, pretraining against scratch: planted gains are found and said."""

import json

import numpy as np
import pandas as pd
import pytest
from planted_predictions import PARTED, seeded_study

from mrnetlib.evaluation import gains, verdict
from mrnetlib.evaluation.rows import ALL
from mrnetlib.evaluation.table1 import table_1, table_1_comparisons
from mrnetlib.files import InputError
from mrnetlib.names import PLANES, TASKS

COUNTS = {"train": 40, "tune": 20, "test": 50}
SETTINGS = {
    "architectures": ("alexnet", "resnet18"), "planes": PLANES, "tasks": TASKS, "epochs": 3,
    "seeds": 2, "once": (),
}  # fmt: skip


def study(parted=PARTED, seeds=2, seed=0):
    return seeded_study(seed, seeds, COUNTS, SETTINGS["architectures"], parted)


@pytest.fixture(scope="module")
def planted():
    return study()


@pytest.fixture(scope="module")
def gained(planted):
    return gains.gains(*planted)


def test_gains_are_differences_of_table_1_and_its_comparisons(planted, gained):
    assert list(gained.columns) == gains.GAIN and len(gained) == 3 * 4 * 2
    table = table_1(*planted).set_index(["architecture", "views", "class"])["auc"]
    found = gained.set_index(["architecture", "class", "over"])
    for over in ("single-best", "single-mean"):
        expected = table["alexnet", "multi", "average"] - table["alexnet", over, "average"]
        assert found.loc[("alexnet", "average", over), "gain"] == pytest.approx(expected)
        parts = found.xs(("average", over), level=("class", "over"))["gain"]
        assert parts[ALL] == pytest.approx(parts.drop(ALL).mean())
    tests = table_1_comparisons(*planted).set_index(["first", "second"])
    row = tests.loc[(f"{ALL} multi", f"{ALL} single-best")]
    same = found.loc[(ALL, "average", "single-best")]
    assert tuple(row[["difference", "low", "high"]]) == tuple(same[["gain", "low", "high"]])
    assert same["covers"] == "exams, 2 seeds, choice of the plane"


def test_the_mean_over_architectures_is_surer_than_one(gained):
    width = gained.assign(width=gained["high"] - gained["low"])
    width = width.groupby("architecture")["width"].mean()
    assert width[ALL] < width.drop(ALL).min()


def test_what_the_tests_say_is_said(planted):
    words = verdict.several_views(table_1_comparisons(*planted))
    *lines, _, counted = words.splitlines()
    assert len(lines) == 2 * 3 and counted.startswith("Holm's correction counts 10 comparisons")
    assert "- Mean over the architectures: several views **beat** the mean single plane" in words
    assert "p = 0.000" not in words and "p < 0.001" in words


@pytest.mark.parametrize(
    ("low", "high", "p", "said"),
    [
        (0.01, 0.05, 0.01, "**beat** the chosen single plane (+0.030"),
        (
            0.01,
            0.05,
            0.2,
            "beat the chosen single plane by the interval alone, not after Holm's correction",
        ),
        (-0.01, 0.05, 0.2, "cannot be told from the chosen single plane ("),
        (-0.05, -0.01, 0.001, "**are worse than** the chosen single plane ("),
    ],
)
def test_a_verdict_says_no_more_than_its_test(low, high, p, said):
    row = {"first": "alexnet multi", "second": "alexnet single-best", "low": low, "high": high}
    table = pd.DataFrame([row | {"difference": (low + high) / 2, "p_holm": p}])
    assert f"AlexNet: several views {said}" in verdict.several_views(table)


def test_pretraining_against_scratch_is_paired_by_exam(planted):
    table = gains.scratch(planted, study(PARTED - 0.6))
    assert list(table.columns) == gains.SCRATCH
    assert table["architecture"].tolist() == [
        "alexnet",
        "alexnet",
        "resnet18",
        "resnet18",
        ALL,
        ALL,
    ]
    assert table["difference"].to_numpy() == pytest.approx(table["pretrained"] - table["scratch"])
    assert table.set_index(["architecture", "views"]).loc[(ALL, "multi"), "low"] > 0
    words = verdict.pretraining(table.assign(p_holm=0.01))
    for view in ("several views", "mean single plane"):
        assert f"Mean over the architectures, {view}: pretraining **beats** scratch" in words
    assert words.endswith("Holm's correction counts 6 comparisons.")
    same = gains.scratch(planted, planted)
    assert same["difference"].abs().max() < 1e-12 and (same["low"] < -0.001).all()
    with pytest.raises(InputError, match="does not hold the same exams"):
        gains.scratch(planted, study(seed=1))
    with pytest.raises(InputError, match="alexnet: 2 seeds, from scratch 3; expected as many"):
        gains.scratch(planted, study(seeds=3))


def test_a_sister_study_that_is_not_there_or_was_trained_otherwise_is_refused(tmp_path):
    folder = tmp_path / "phantom-scratch"
    with pytest.raises(InputError, match="phantom-scratch: has no finished results") as error:
        gains.read_scratch(folder, SETTINGS)
    for command in ("study", "keep"):
        assert f"'python -m mrnetlib {command} phantom-scratch'" in str(error.value)
    folder.mkdir()
    path = folder / "provenance.json"
    path.write_text(json.dumps({"settings": {"epochs": 5, "seeds": 2, "once": []}}))
    with pytest.raises(InputError, match="trained with epochs 5, this study with 3"):
        gains.read_scratch(folder, SETTINGS)
    for once in ([], ["googlenet"]):  # that of another architecture does not matter
        path.write_text(json.dumps({"settings": {"epochs": 3, "seeds": 2, "once": once}}))
        with pytest.raises(InputError, match=r"alexnet_axial_abnormal.csv: not found"):
            gains.read_scratch(folder, SETTINGS)
    path.write_text(json.dumps({"settings": {"epochs": 3, "seeds": 2, "once": ["alexnet"]}}))
    with pytest.raises(InputError, match=r"once \['alexnet'\], this study with \[\]"):
        gains.read_scratch(folder, SETTINGS)
    assert gains.none_from_scratch().columns.tolist() == gains.SCRATCH


def test_how_often_networks_were_trained_is_said(planted):
    predictions, _ = planted
    assert verdict.trained(predictions).startswith("Every network was trained with 2 seeds")
    once = predictions[(predictions["architecture"] == "alexnet") | (predictions["seed"] == 0)]
    assert "AlexNet 2, ResNet-18 1." in verdict.trained(once)
    assert "trained once" in verdict.trained(predictions.drop(columns="seed")[:10])


def test_a_row_that_calls_all_exams_alike_is_explained(planted):
    predictions, fused = planted
    assert verdict.low_rates(table_1(*planted), fused, ("train",)).startswith("No multi-view row")
    shifted = fused.assign(probability=0.5 + fused["probability"] / 2)
    words = verdict.low_rates(table_1(predictions, shifted), shifted, ("train",))
    first = words.splitlines()[0]
    assert first.startswith("- AlexNet, Abnormal: specificity 0.00; 100% of the test exams")
    train = fused[(fused["split"] == "train") & (fused["task"] == "abnormal")]
    there = f"fitted on it is 0.00, low already; {train['label'].mean():.0%} of them are positive"
    assert there in first
    why = words.splitlines()[-1]
    assert why.startswith("Low is below 0.20.") and "penalty" in why
    only = pd.concat([shifted[shifted["split"] == "test"], fused[fused["split"] != "test"]])
    assert ", not low; " in verdict.low_rates(table_1(predictions, only), only, ("train",))
    rules = verdict.low_rates(table_1(predictions, shifted), shifted, ()).splitlines()[0]
    assert "fitted" not in rules


def test_the_brightness_baseline_stands_below_the_networks():
    single = pd.DataFrame(
        [
            ("alexnet", plane, "acl", area)
            for plane, area in zip(PLANES, (0.9, 0.6, 0.8), strict=True)
        ],
        columns=["architecture", "plane", "class", "auc"],
    ).assign(sensitivity=0.5, n=60)
    baseline = pd.DataFrame({"plane": PLANES, "task": "acl", "auc": [0.7, 0.65, 0.8]})
    words = verdict.against_baseline(single, baseline)
    assert words.startswith("1 of 3 networks have a higher AUC")
    assert "AlexNet coronal ACL tear (0.60 against 0.65)" in words and "sagittal" in words
    both = verdict.with_baseline(single, pd.concat([baseline, baseline.assign(task="abnormal")]))
    assert both["architecture"].tolist() == ["alexnet"] * 3 + [verdict.BRIGHTNESS] * 3
    assert both["auc"].tolist()[3:] == [0.7, 0.65, 0.8] and np.isnan(both["sensitivity"].iloc[-1])
    assert verdict.against_baseline(single, baseline.assign(auc=0.5)).endswith("network.")
