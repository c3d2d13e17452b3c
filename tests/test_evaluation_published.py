"""The paper's table as data, and what its digits give away."""

from itertools import product

import pytest

from mrnetlib.evaluation import published
from mrnetlib.evaluation.metrics import MEASURES, rates
from mrnetlib.exams import mrnet


def test_table_1_has_the_papers_rows_and_checksums():
    table = published.TABLE_1
    assert len(table) == 15
    assert table.groupby("views").size().to_dict() == {"multi": 12, "single": 3}
    # sums over all rows, added up from the paper's text by another program (awk)
    sums = table[published.MEASURES].sum().round(4).to_dict()
    assert sums == {
        "auc": 12.762,
        "sensitivity": 11.415,
        "specificity": 10.2649,
        "accuracy": 11.8776,
    }


def test_class_sizes_are_mrnets_and_the_only_ones_that_fit():
    assert published.CLASS_SIZES == {"abnormal": (95, 25), "acl": (54, 66), "meniscus": (52, 68)}
    for name, (positives, _) in published.CLASS_SIZES.items():
        assert published.fitting_sizes(name) == [positives]
        for architecture in ("alexnet", "resnet18", "googlenet"):
            assert published.fitting_sizes(name, architecture) == [positives]


def test_fewer_digits_leave_more_sizes():
    row = published.TABLE_1.iloc[2].to_dict()
    sizes = [n for n in range(1, 120) if published.decisions_behind(row, n, tolerance=0.005)]
    assert sizes == [48, 52, 56]


def test_confusion_matrices_are_unique_by_brute_force():
    # every matrix of 120 exams, printed to four digits, against the row: one is left
    found = published.confusion_matrices().set_index(["architecture", "class"])
    row = published.TABLE_1.iloc[0]
    printed = [f"{row[name]:.4f}" for name in ("sensitivity", "specificity", "accuracy")]
    fitting = [
        (tp, size - tp, tn, 120 - size - tn)
        for size in range(1, 120)
        for tp, tn in product(range(size + 1), range(121 - size))
        if [f"{tp / size:.4f}", f"{tn / (120 - size):.4f}", f"{(tp + tn) / 120:.4f}"] == printed
    ]
    assert fitting == [tuple(found.loc[("alexnet", "abnormal"), ["tp", "fn", "tn", "fp"]])]
    assert (found["solutions"] == 1).all()
    assert fitting == [(93, 2, 10, 15)]


def test_confusion_matrices_print_as_the_paper_does():
    matrices = published.confusion_matrices()
    assert len(matrices) == 9
    assert (matrices[["tp", "fn", "tn", "fp"]].sum(axis=1) == 120).all()
    table = published.TABLE_1.set_index(["architecture", "views", "class"])
    for row in matrices.to_dict("records"):
        printed = table.loc[(row["architecture"], "multi", row["class"])]
        rates = {
            "sensitivity": row["tp"] / (row["tp"] + row["fn"]),
            "specificity": row["tn"] / (row["tn"] + row["fp"]),
            "accuracy": (row["tp"] + row["tn"]) / 120,
        }
        for name, rate in rates.items():
            assert round(rate, 4) == pytest.approx(printed[name], abs=1e-9)
    right = (matrices["tp"] + matrices["tn"]).groupby(matrices["architecture"]).sum().to_dict()
    assert right == {"alexnet": 294, "googlenet": 281, "resnet18": 294}


def test_decisions_measured_anew_print_as_the_paper_does():
    table = published.TABLE_1.set_index(["architecture", "views", "class"])
    for (architecture, task), own in published.decisions().groupby(["architecture", "task"]):
        for name in rates():
            value = MEASURES[name].estimate(own["label"], own["probability"])
            assert round(value, 4) == pytest.approx(table.loc[(architecture, "multi", task), name])


@pytest.mark.parametrize(
    "rate, n, counts",
    [
        (0.4, 25, [10]),
        (0.5, 3, []),
        (0.0, 7, [0]),
        (1.0, 7, [7]),
        (0.3333, 20000, [6665, 6666, 6667]),
    ],
)
def test_counts_behind_a_printed_rate(rate, n, counts):
    assert published.counts_behind(rate, n) == counts


def test_averages_agree_to_the_last_digit_or_one_off():
    table = published.averages()
    assert len(table) == 12
    assert (abs(table["printed"] - table["from_rows"]) < 1.01e-4).all()
    accuracy = table[table["measure"] == "accuracy"].set_index("architecture")
    # the two printed differently are one and the same number
    same = accuracy.loc[["alexnet", "resnet18"], "from_counts"]
    assert same.tolist() == pytest.approx([294 / 360] * 2)


def test_only_a_mean_of_nine_networks_fits_all_single_view_accuracies():
    fits = {k: published.granularity(k)["fits"].tolist() for k in range(1, 13)}
    assert [k for k, row in fits.items() if all(row)] == [9]
    assert fits[3] == [True, False, False]
    nine = published.granularity(9)
    assert nine["count"].tolist() == [825, 814, 761]
    # half a digit to either side of every multiple of 1/1080
    assert nine["chance"].iloc[0] == pytest.approx(1080 / 10000, abs=0.003)
    assert published.granularity(3, 1e-4)["fits"].tolist() == [True, False, False]


def test_claims_are_held_against_the_table():
    claims = published.claims().set_index("claim")["holds"]
    false = {
        "ResNet-18 has the highest mean AUC",
        "ResNet-18 has the highest mean accuracy",
        "multi-view beats single-view in specificity",
        "meniscus tears have the lowest sensitivity",
        "the single-view row shows the best plane of each class",
    }
    assert set(claims[~claims].index) == false
    assert claims.dtype == bool
    assert len(claims) == 13


def test_the_hidden_exams_are_as_many_as_the_public_validation_exams():
    hidden = mrnet.COUNTS["hidden"]
    assert hidden == {"exams": 120, "abnormal": 96, "acl": 57, "meniscus": 59}
    assert set(published.REFERENCE_AUC["exams"]) <= set(mrnet.COUNTS)
