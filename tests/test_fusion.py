import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mrnetlib import fusion
from mrnetlib.evaluation.roc import auc
from mrnetlib.files import InputError
from mrnetlib.names import PLANES
from mrnetlib.settings import KEYS
from mrnetlib.variants import effects

ROOT = Path(__file__).resolve().parent.parent


def predictions(seed=0, exams=300):
    """Long predictions of three planes: axial knows the label, the others are luck."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, exams)
    split = np.repeat(["train", "tune", "test"], exams // 3)
    tables = [
        pd.DataFrame(
            {
                "plane": plane,
                "exam": [f"{i:04d}" for i in range(exams)],
                "split": split,
                "label": label,
                "probability": expit(rng.normal(0, 1, exams) + knows * (label - 0.5)),
            }
        )
        for plane, knows in zip(PLANES, (3, 0, 0), strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def test_planes_stand_side_by_side_in_the_exams_order():
    long = predictions(exams=30)
    shuffled = long.sample(frac=1, random_state=0)
    table = fusion.by_plane(shuffled, PLANES)
    assert table.columns.tolist() == ["exam", "split", "label", *PLANES]
    assert table["exam"].tolist() == shuffled["exam"].drop_duplicates().tolist()
    one = long[(long["exam"] == "0007") & (long["plane"] == "coronal")]
    assert table.set_index("exam").loc["0007", "coronal"] == one["probability"].item()


def test_a_missing_plane_or_exam_is_named():
    long = predictions(exams=30)
    with pytest.raises(InputError, match="no prediction of coronal"):
        fusion.by_plane(long[long["plane"] != "coronal"], PLANES)
    with pytest.raises(InputError, match="no prediction of axial for some exams"):
        fusion.by_plane(long.drop(index=3), PLANES)


def test_labels_that_differ_between_planes_are_refused():
    long = predictions(exams=30)
    long.loc[2, "label"] = 1 - long.loc[2, "label"]
    with pytest.raises(InputError, match="fusion"):
        fusion.by_plane(long, PLANES)


def test_planes_of_different_seeds_are_not_fused():
    several = pd.concat(predictions(seed, 30).assign(seed=seed) for seed in (4, 5))
    with pytest.raises(InputError, match=r"of the seeds 4, 5\. Fuse each seed by itself"):
        fusion.by_plane(several, PLANES)
    one = several[several["seed"] == 5]
    pd.testing.assert_frame_equal(
        fusion.by_plane(one, PLANES), fusion.by_plane(predictions(5, 30), PLANES)
    )


def test_the_plane_that_knows_gets_the_weight_and_the_fusion_its_area():
    table = fusion.by_plane(predictions(), PLANES)
    regression = fusion.fit(table)
    weights = fusion.coefficients(regression, PLANES)
    assert weights["axial"] > 2 * max(abs(weights["coronal"]), abs(weights["sagittal"]))
    test = fusion.apply(regression, table).query("split == 'test'")
    alone = table.query("split == 'test'")
    assert auc(test["label"], test["probability"]) > 0.9 * auc(alone["label"], alone["axial"])
    assert auc(test["label"], test["probability"]) > 0.8


def test_the_fused_probability_is_the_logistic_of_the_weighted_planes():
    table = fusion.by_plane(predictions(), PLANES)
    regression = fusion.fit(table)
    w = fusion.coefficients(regression, PLANES)
    by_hand = expit(w["intercept"] + sum(w[plane] * table[plane] for plane in PLANES))
    fused = fusion.apply(regression, table)
    assert fused.columns.tolist() == ["exam", "split", "label", "probability"]
    np.testing.assert_allclose(fused["probability"], by_hand, rtol=1e-12)
    assert fused[["exam", "split", "label"]].equals(table[["exam", "split", "label"]])


@pytest.mark.parametrize("fuse_on", fusion.FITTED_ON)
def test_only_the_chosen_exams_are_fitted_on(fuse_on):
    long = predictions()
    first = fusion.fit(fusion.by_plane(long, PLANES), fuse_on).coef_.tolist()
    others = ~long["split"].isin(fusion.WAYS[fuse_on].fitted_on)
    long.loc[others, "probability"] = 0.5
    assert fusion.fit(fusion.by_plane(long, PLANES), fuse_on).coef_.tolist() == first


@pytest.mark.parametrize("planes", [PLANES[:2], PLANES[2:]])
def test_fewer_planes_can_be_fused(planes):
    table = fusion.by_plane(predictions(), planes)
    weights = fusion.coefficients(fusion.fit(table), planes)
    assert list(weights) == ["intercept", *planes]
    for how in set(fusion.WAYS) - {"out_of_fold"}:
        assert fusion.fuse(table, how)["probability"].between(0, 1).all()


def test_every_way_by_hand():
    table = fusion.by_plane(predictions(), PLANES)
    planes = table[list(PLANES)]
    for how, known in (("mean", planes.mean(axis=1)), ("max", planes.max(axis=1))):
        np.testing.assert_allclose(fusion.fuse(table, how)["probability"], known)
    for how in fusion.FITTED_ON:
        known = fusion.apply(fusion.fit(table, how), table)
        pd.testing.assert_frame_equal(fusion.fuse(table, how), known)
    unseen = table[table["split"] == "train"]
    turned = unseen.assign(**{plane: 1 - unseen[plane] for plane in PLANES})
    fused = fusion.fuse(table, "out_of_fold", turned).query("split == 'test'")
    assert auc(fused["label"], fused["probability"]) < 0.2


def test_a_way_is_added_in_one_place(monkeypatch):
    median = fusion.Way(
        "by the median of the planes", rule=lambda planes: np.median(planes, axis=1)
    )
    monkeypatch.setitem(fusion.WAYS, "median", median)
    long = predictions()
    table = fusion.by_plane(long, PLANES)
    known = table[list(PLANES)].median(axis=1)
    np.testing.assert_allclose(fusion.fuse(table, "median")["probability"], known)
    own = long.assign(seed=0, architecture="alexnet", task="acl")
    found = effects.fuse(own, "median", PLANES)
    np.testing.assert_allclose(found["probability"], known)


def test_settings_offer_the_ways_without_loading_scikit_learn():
    assert KEYS["fuse_on"].metadata["of"] == fusion.FITTED_ON == ("train", "tune", "train+tune")
    code = "import sys, mrnetlib.fusion, mrnetlib.settings; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_bad_choices_are_refused():
    table = fusion.by_plane(predictions(), PLANES)
    with pytest.raises(InputError, match="fusion 'test': expected one of train, out_of_fold, tune"):
        fusion.fit(table, "test")
    with pytest.raises(InputError, match="fusion 'mean' fits nothing: expected one of train, tune"):
        fusion.fit(table, "mean")
    with pytest.raises(InputError, match="needs the out-of-fold predictions"):
        fusion.fuse(table, "out_of_fold")
    with pytest.raises(InputError, match="one label only"):
        fusion.fit(table[table["label"] == 1])
