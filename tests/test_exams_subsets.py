"""Some of the training exams: nested, stratified, the same for all tasks."""

import numpy as np
from conftest import planted_labels

from mrnetlib.exams.subsets import folds, subset


def test_subsets_are_nested_stratified_and_the_same_for_all_tasks():
    labels = planted_labels(80)
    chosen = {count: subset(labels, count, 0) for count in (40, 20, 10)}
    assert [len(indices) for indices in chosen.values()] == [40, 20, 10]
    assert set(chosen[10]) < set(chosen[20]) < set(chosen[40])
    for indices in chosen.values():
        counts = labels.iloc[indices].value_counts()
        assert len(counts) == 5 and counts.nunique() == 1, "each combination has its share"
    assert set(subset(labels, 40, 1)) != set(chosen[40])
    np.testing.assert_array_equal(subset(labels, 40, 0), chosen[40])


def test_folds_part_the_exams_evenly():
    labels = planted_labels(60)
    fold_of = folds(labels, 3, 0)
    assert sorted(np.unique(fold_of)) == [0, 1, 2]
    for fold in range(3):
        assert (labels[fold_of == fold].value_counts() == 4).all()
    assert (folds(labels, 3, 1) != fold_of).any()
