"""The rows of Table I over seeds, and what the choice of their planes could have been."""

import numpy as np
import pandas as pd
import pytest
from planted_predictions import ordered_study, seeded_study

from mrnetlib.evaluation.rows import ALL, every_row, plane_draws, rows, together
from mrnetlib.files import InputError
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS

FEW = {"tune": 30, "test": 30}


def study(**changes):
    return seeded_study(**{"seeds": 2, "counts": FEW, "architectures": ["alexnet"]} | changes)


def test_rows_beyond_table_1_are_the_single_views_per_class():
    predictions, fused = ordered_study()
    every = every_row(predictions, fused)
    kept = [row[:3] for row in every if row.views == "multi" or row.kind == "average"]
    assert [row[:3] for row in rows(predictions, fused)] == kept
    counts = {(row.views, row.kind): len(row.models) for row in every[:12]}
    assert [counts["single-best", kind] for kind in (*TASKS, "average")] == [1, 1, 1, 3]
    assert [counts["single-mean", kind] for kind in (*TASKS, "average")] == [3, 3, 3, 9]
    means = together(every)
    assert {row.architecture for row in means} == {ALL} and len(means) == 12
    assert len(means[3].models) == 9 and not together(every[:12])


def test_a_row_holds_the_seeds_side_by_side_whatever_their_order():
    predictions, fused = study(seeds=3)
    shuffled = [table.sample(frac=1, random_state=1) for table in (predictions, fused)]
    by_exam = fused[(fused["task"] == "acl") & (fused["split"] == "test")]
    wide = by_exam.pivot(index="exam", columns="seed", values="probability")
    found = next(row for row in rows(*shuffled) if row.kind == "acl")
    (model,) = found.models
    assert model.probability.shape == (30, 3) and model.architecture == "alexnet"
    np.testing.assert_array_equal(np.sort(model.probability, axis=0), np.sort(wide, axis=0))
    expected = wide[wide[0] == model.probability[0, 0]].iloc[0]
    np.testing.assert_array_equal(model.probability[0], expected)


def test_the_plane_is_chosen_by_the_mean_over_seeds():
    predictions, fused = study()
    tune = predictions["split"] == "tune"
    one = tune & (predictions["seed"] == 0) & (predictions["plane"] == "axial")
    two = tune & (predictions["plane"] == "sagittal")
    predictions.loc[tune, "probability"] = 0.5
    predictions.loc[one, "probability"] = predictions.loc[one, "label"]  # perfect, one seed of two
    label = predictions.loc[two, "label"]
    predictions.loc[two, "probability"] = np.where(np.arange(len(label)) % 6, label, 1 - label)
    best = next(row for row in rows(predictions, fused) if row.views == "single-best")
    for model in best.models:
        np.testing.assert_array_equal(model.probability, model.planes[PLANES.index("sagittal")])
        assert model.picks.shape == (500,) and (model.picks == 2).mean() > 0.5


def test_draws_of_a_plane_are_sure_where_planes_are_and_repeat():
    predictions, _ = ordered_study()  # on the tuning exams axial is perfect
    draws = plane_draws(predictions, draws=50)
    assert set(draws) == {(a, t) for a in ARCHITECTURES for t in TASKS}
    assert all((picks == 0).all() for picks in draws.values())
    assert all((picks == 2).mean() > 0.5 for picks in plane_draws(predictions, "test", 50).values())
    tied = plane_draws(predictions.assign(probability=0.5), draws=50)
    assert all((picks == 0).all() for picks in tied.values()), "the first of equals"
    noisy, _ = study()
    first, second = (plane_draws(noisy, draws=80) for _ in range(2))
    assert all((first[key] == second[key]).all() for key in first)
    assert any(len(set(picks)) > 1 for picks in first.values())


def test_models_of_other_seeds_are_named():
    predictions, fused = study()
    lacking = fused[(fused["task"] != "acl") | (fused["seed"] == 0)]
    with pytest.raises(InputError, match=r"alexnet acl: has the seeds \[0\], alexnet abnormal has"):
        rows(predictions, lacking)
    with pytest.raises(InputError, match=r"seed 1: exam 00.. is listed twice"):
        rows(predictions, pd.concat([fused, fused[(fused["seed"] == 1)].tail(1)]))
