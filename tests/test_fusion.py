import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mrnetlib import fusion
from mrnetlib.evaluation.metrics import auc
from mrnetlib.files import InputError
from mrnetlib.names import PLANES


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
    table = fusion.by_plane(shuffled)
    assert table.columns.tolist() == ["exam", "split", "label", *PLANES]
    assert table["exam"].tolist() == shuffled["exam"].drop_duplicates().tolist()
    one = long[(long["exam"] == "0007") & (long["plane"] == "coronal")]
    assert table.set_index("exam").loc["0007", "coronal"] == one["probability"].item()


def test_a_missing_plane_or_exam_is_named():
    long = predictions(exams=30)
    with pytest.raises(InputError, match="no prediction of coronal"):
        fusion.by_plane(long[long["plane"] != "coronal"])
    with pytest.raises(InputError, match="no prediction of axial for some exams"):
        fusion.by_plane(long.drop(index=3))


def test_labels_that_differ_between_planes_are_refused():
    long = predictions(exams=30)
    long.loc[2, "label"] = 1 - long.loc[2, "label"]
    with pytest.raises(InputError, match="fusion"):
        fusion.by_plane(long)


def test_the_plane_that_knows_gets_the_weight_and_the_fusion_its_area():
    table = fusion.by_plane(predictions())
    regression = fusion.fit(table)
    weights = fusion.coefficients(regression)
    assert weights["axial"] > 2 * max(abs(weights["coronal"]), abs(weights["sagittal"]))
    test = fusion.apply(regression, table).query("split == 'test'")
    alone = table.query("split == 'test'")
    assert auc(test["label"], test["probability"]) > 0.9 * auc(alone["label"], alone["axial"])
    assert auc(test["label"], test["probability"]) > 0.8


def test_the_fused_probability_is_the_logistic_of_the_weighted_planes():
    table = fusion.by_plane(predictions())
    regression = fusion.fit(table)
    w = fusion.coefficients(regression)
    by_hand = expit(w["intercept"] + sum(w[plane] * table[plane] for plane in PLANES))
    fused = fusion.apply(regression, table)
    assert fused.columns.tolist() == ["exam", "split", "label", "probability"]
    np.testing.assert_allclose(fused["probability"], by_hand, rtol=1e-12)
    assert fused[["exam", "split", "label"]].equals(table[["exam", "split", "label"]])


@pytest.mark.parametrize("fuse_on", list(fusion.FUSE_ON))
def test_only_the_chosen_exams_are_fitted_on(fuse_on):
    long = predictions()
    first = fusion.coefficients(fusion.fit(fusion.by_plane(long), fuse_on))
    others = ~long["split"].isin(fusion.FUSE_ON[fuse_on])
    long.loc[others, "probability"] = 0.5
    assert fusion.coefficients(fusion.fit(fusion.by_plane(long), fuse_on)) == first


def test_two_planes_can_be_fused():
    table = fusion.by_plane(predictions(), PLANES[:2])
    regression = fusion.fit(table, planes=PLANES[:2])
    weights = fusion.coefficients(regression, PLANES[:2])
    assert list(weights) == ["intercept", "axial", "coronal"]
    assert fusion.apply(regression, table, PLANES[:2])["probability"].between(0, 1).all()


def test_bad_choices_are_refused():
    table = fusion.by_plane(predictions())
    with pytest.raises(InputError, match="fuse_on 'test': expected one of train, tune"):
        fusion.fit(table, "test")
    with pytest.raises(InputError, match="one label only"):
        fusion.fit(table[table["label"] == 1])
