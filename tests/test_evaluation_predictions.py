"""Reading a study's predictions: what comes back, and what is refused by name."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mrnetlib.evaluation.predictions import (
    COLUMNS,
    Form,
    paired,
    read_file,
    read_fused,
    read_history,
    read_predictions,
    same_exams,
)
from mrnetlib.files import InputError, write_csv
from mrnetlib.names import PLANES, TASKS, fused_path, history_path, prediction_path

EXAMS = ["0000", "0007", "0012", "1130", "1131", "1132"]
SPLIT = ["train", "train", "tune", "test", "test", "test"]
LABEL = {"abnormal": [1, 1, 0, 1, 1, 0], "acl": [0, 1, 0, 0, 1, 0], "meniscus": [1, 0, 0, 0, 1, 0]}


def table(task="acl", seed=0):
    probability = np.random.default_rng(seed).random(len(EXAMS))
    return pd.DataFrame(
        {"exam": EXAMS, "split": SPLIT, "label": LABEL[task], "probability": probability}
    )


@pytest.fixture
def results(tmp_path):
    for task in TASKS:
        for number, plane in enumerate(PLANES):
            write_csv(prediction_path(tmp_path, "alexnet", plane, task), table(task, number))
        write_csv(fused_path(tmp_path, "alexnet", task), table(task, 9))
    return tmp_path


def test_predictions_come_back_long_with_exam_numbers_as_text(results):
    found = read_predictions(results, ["alexnet"])
    columns = ["architecture", "plane", "task", "exam", "split", "label", "probability", "seed"]
    assert set(found["seed"]) == {0}, "these files do not say"
    assert list(found.columns) == columns
    assert len(found) == 9 * len(EXAMS)
    own = found[(found["plane"] == "coronal") & (found["task"] == "acl")]
    assert own["exam"].tolist() == EXAMS
    assert own["label"].tolist() == LABEL["acl"]
    np.testing.assert_array_equal(own["probability"], table("acl", 1)["probability"])
    fused = read_fused(results, ["alexnet"])
    assert list(fused.columns) == [column for column in columns if column != "plane"]


def test_another_order_of_exams_is_put_in_the_first_files_order(results):
    path = prediction_path(results, "alexnet", "sagittal", "meniscus")
    write_csv(path, table("meniscus", 2).iloc[::-1])
    found = read_predictions(results, ["alexnet"])
    own = found[(found["plane"] == "sagittal") & (found["task"] == "meniscus")]
    assert own["exam"].tolist() == EXAMS
    np.testing.assert_array_equal(own["probability"], table("meniscus", 2)["probability"])


def spoil(column, value):
    def change(good):
        good = good.astype({column: object})
        good.loc[3, column] = value
        return good

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda good: good.drop(columns="split"), "columns are exam,label,probability"),
        (lambda good: good.iloc[:0], "holds no row"),
        (spoil("label", 2), "exam 1130 has label 2"),
        (spoil("label", ""), "exam 1130 has label nan"),
        (spoil("label", "yes"), "exam 1130 has label yes"),
        (spoil("probability", ""), "exam 1130 has probability nan"),
        (spoil("probability", 1.5), "exam 1130 has probability 1.5"),
        (spoil("probability", "high"), "exam 1130 has probability high"),
        (spoil("split", "valid"), "exam 1130 has split valid"),
        (spoil("exam", "0007"), "exam 0007 is listed twice"),
        (spoil("label", 1), "exam 1130 split test label"),
        (spoil("split", "tune"), "exam 1130 split"),
        (spoil("exam", "1133"), "exam 1130 split test is missing here|exam 1133 split test"),
        (lambda good: good.iloc[:-1], "exam 1132 split test is missing here"),
    ],
)
def test_a_spoilt_file_is_refused_by_its_name(results, change, message):
    path = prediction_path(results, "alexnet", "coronal", "acl")
    write_csv(path, change(table("acl", 1)))
    with pytest.raises(InputError, match=message) as caught:
        read_predictions(results, ["alexnet"])
    assert str(path) in str(caught.value)


def test_a_missing_or_unreadable_file_names_the_notebook_that_makes_it(results):
    path = fused_path(results, "alexnet", "acl")
    path.unlink()
    with pytest.raises(InputError, match=r"alexnet_acl\.csv: not found\. Run notebook 03_fusion"):
        read_fused(results, ["alexnet"])
    with pytest.raises(InputError, match="02_per_plane_training"):
        read_predictions(results, ["resnet18"])
    for damaged in (b"", b"\xff\xfe\x00\x01", b"exam,split,label,probability\n1,2,3,4,5,6\n1,2\n"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"alexnet_acl\.csv"):
            read_fused(results, ["alexnet"])
    with pytest.raises(InputError, match="no predictions asked for"):
        read_fused(results, [])


def test_columns_may_stand_in_any_order_among_others(results):
    path = fused_path(results, "alexnet", "acl")
    before = read_fused(results, ["alexnet"])
    turned = table("acl", 9)[["probability", "label", "split", "exam"]].assign(note="x")
    write_csv(path, turned.rename(columns={"exam": " Exam"}))
    pd.testing.assert_frame_equal(read_fused(results, ["alexnet"]), before)


def test_a_form_says_what_tells_rows_apart_and_what_else_is_read(tmp_path):
    path = tmp_path / "two.csv"
    rows = pd.concat([table().assign(seed=seed, other=0.5) for seed in (0, 1)])
    write_csv(path, rows.rename(columns={"probability": "p"}))
    form = Form(COLUMNS, "Mend it.", keys=["seed", "exam"], aliases={"p": "probability"})
    assert len(read_file(path, form)) == 2 * len(EXAMS)
    assert "other" in read_file(path, replace(form, optional=["other", "missing"]))
    with pytest.raises(InputError, match=r"exam 0000 is listed twice.*Mend it\."):
        read_file(path, replace(form, keys=["exam"]))
    write_csv(path, rows.assign(label=1))
    with pytest.raises(InputError, match="all labels are 1, expected both classes"):
        read_file(path, replace(form, both_classes=True))
    write_csv(path, rows.drop(columns=["exam"]).assign(label=3))
    with pytest.raises(InputError, match="row 0 has label 3"):
        read_file(path, Form(["label", "probability"], "Mend it.", keys=["exam"]))


@pytest.fixture
def seeded(results):
    """The same study, each network trained with the seeds 5 and 6."""
    paths = sorted(results.rglob("*.csv"))
    for number, path in enumerate(paths):
        task = path.stem.split("_")[-1]
        parts = [table(task, 10 * seed + number).assign(seed=seed) for seed in (5, 6)]
        write_csv(path, pd.concat(parts).sample(frac=1, random_state=number))
    return results


def test_seeds_lie_below_one_another_each_with_all_exams(seeded):
    found = read_predictions(seeded, ["alexnet"])
    assert found["seed"].dtype == int and len(found) == 2 * 9 * len(EXAMS)
    own = found[(found["plane"] == "coronal") & (found["task"] == "acl")]
    assert own["seed"].tolist() == [5] * len(EXAMS) + [6] * len(EXAMS)
    rows = [group for _, group in found.groupby(["plane", "task", "seed"])]
    assert all(group["exam"].tolist() == rows[0]["exam"].tolist() for group in rows)
    path = prediction_path(seeded, "alexnet", "coronal", "acl")
    filed = pd.read_csv(path, dtype={"exam": str}).set_index(["seed", "exam"])["probability"]
    for row in own.itertuples():
        assert row.probability == filed[row.seed, row.exam]


def of_seed(seed, change):
    """Change the rows of one seed."""

    def changed(good):
        own = good["seed"] == seed
        return pd.concat([good[~own], change(good[own].sort_values("exam", ignore_index=True))])

    return changed


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda good: good[good["seed"] == 5], "holds the seeds 5, another file of alexnet 5, 6;"),
        (lambda good: good.assign(seed=good["seed"] + 1), "holds the seeds 6, 7, another file"),
        (of_seed(6, lambda own: own.iloc[:-1]), "seed 6: .* exam 1132 split test is missing here"),
        (of_seed(6, spoil("split", "tune")), "seed 6: .* exam 1130 split"),
        (of_seed(6, spoil("label", 1)), "seed 6: .* exam 1130 split test label"),
        (of_seed(6, spoil("seed", 5)), "seed 5, exam 1130 is listed twice"),
        (of_seed(6, spoil("seed", 6.5)), r"exam 1130 has seed 6\.5, expected a whole number"),
        (of_seed(6, spoil("seed", "")), "exam 1130 has seed nan, expected a whole number"),
    ],
)
def test_seeds_without_the_same_exams_are_refused(seeded, change, message):
    path = prediction_path(seeded, "alexnet", "coronal", "acl")
    write_csv(path, change(pd.read_csv(path, dtype={"exam": str})))
    with pytest.raises(InputError, match=message) as caught:
        read_predictions(seeded, ["alexnet"])
    assert str(path) in str(caught.value)


def test_architectures_may_have_other_numbers_of_seeds(seeded):
    for task in TASKS:
        write_csv(fused_path(seeded, "resnet18", task), table(task).assign(seed=5))
    found = read_fused(seeded, ["alexnet", "resnet18"])
    seeds = found.groupby("architecture")["seed"].unique().map(list).to_dict()
    assert seeds == {"alexnet": [5, 6], "resnet18": [5]}


def test_a_history_has_rows_per_seed_and_epoch(tmp_path):
    path = history_path(tmp_path, "alexnet", "axial", "acl")
    row = {
        "epoch": 1,
        "train_loss": 0.5,
        "tune_loss": 0.4,
        "tune_auc": 0.7,
        "seconds": 2,
        "best": 1,
    }
    write_csv(path, pd.DataFrame([row]))
    assert read_history(tmp_path, "alexnet", "axial", "acl")["seed"].tolist() == [0]
    write_csv(path, pd.DataFrame([row | {"seed": 5}, row | {"seed": 6}]))
    assert read_history(tmp_path, "alexnet", "axial", "acl")["seed"].tolist() == [5, 6]
    write_csv(path, pd.DataFrame([row]).drop(columns="best"))
    with pytest.raises(InputError, match=r"no column best;.*Run notebook 02_per_plane_training"):
        read_history(tmp_path, "alexnet", "axial", "acl")


def test_two_models_are_paired_by_exam_not_by_row():
    first, second = table("acl", 1), table("acl", 2)
    label, one, other = paired(first, second.iloc[::-1], "second.csv")
    assert label.tolist() == LABEL["acl"][3:]
    np.testing.assert_array_equal(one, first["probability"][3:])
    np.testing.assert_array_equal(other, second["probability"][3:])
    with pytest.raises(InputError, match=r"second\.csv: does not hold the same exams"):
        paired(first, second.iloc[:-1], "second.csv")
    with pytest.raises(InputError, match="same exams"):
        paired(first, table("abnormal"), "other task")
    same_exams(first, table("abnormal"), "other task", labels=False)
    with pytest.raises(InputError, match="hold no test exam"):
        paired(first[:3], second, "second.csv")
