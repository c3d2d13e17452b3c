import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mrnetlib.__main__ import main
from mrnetlib.evaluation import evaluate
from mrnetlib.evaluation.metrics import MEASURES
from mrnetlib.files import InputError
from mrnetlib.names import PLANES


def predictions(seed, exams):
    """Labels, and three planes that know something of them."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(exams) < 0.4 * exams).astype(int)
    table = pd.DataFrame({"label": label})
    for plane in PLANES:
        table[plane] = 1 / (1 + np.exp(-rng.normal(1.2 * label - 0.6, 1)))
    return table


@pytest.fixture
def files(tmp_path):
    """Files of training and test predictions; other people order and name columns differently."""
    predictions(0, 400).to_csv(tmp_path / "train.csv", index=False)
    test = predictions(1, 120)[["sagittal", "coronal", "axial", "label"]]
    test.rename(columns={"coronal": " Coronal"}).to_csv(tmp_path / "test.csv")
    return tmp_path


def test_areas_and_fusion_are_scikit_learns(files):
    train, test = (evaluate.read(files / f"{split}.csv") for split in ("train", "test"))
    table = evaluate.measured(test, train).set_index("model")
    for plane in PLANES:
        wanted = roc_auc_score(test["label"], test[plane])
        assert table.loc[plane, "auc"] == pytest.approx(wanted, abs=1e-12)
    columns = list(PLANES)
    regression = LogisticRegression().fit(train[columns].to_numpy(), train["label"])
    fused = regression.predict_proba(test[columns].to_numpy())[:, 1]
    row = table.loc["fusion"]
    assert row["auc"] == pytest.approx(roc_auc_score(test["label"], fused), abs=1e-12)
    assert row["accuracy"] == pytest.approx(((fused >= 0.5) == test["label"]).mean())
    assert row["auc_low"] < row["auc"] < row["auc_high"]
    assert row["n"] == 120


def test_the_command_prints_every_model(files, capsys):
    assert main(["evaluate", str(files / "test.csv"), "--fit-on", str(files / "train.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["model", *PLANES, "mean", "fusion"]
    assert main(["evaluate", str(files / "test.csv")]) == 0
    assert "fusion" not in capsys.readouterr().out


def test_a_measure_that_is_added_has_its_column(files, monkeypatch):
    before = evaluate.measured(evaluate.read(files / "test.csv"))
    monkeypatch.setitem(MEASURES, "other", MEASURES["accuracy"])
    table = evaluate.measured(evaluate.read(files / "test.csv"))
    assert (table["other"] == table["accuracy"]).all()
    assert table.drop(columns="other").equals(before)


def test_other_names_and_a_fusion_of_their_own_are_read(tmp_path):
    table = predictions(3, 60).rename(columns={"label": "labels"})
    table["preds"] = table[list(PLANES)].max(axis=1)
    table.to_csv(tmp_path / "published.csv", index=False)
    found = evaluate.measured(evaluate.read(tmp_path / "published.csv")).set_index("model")
    wanted = roc_auc_score(table["labels"], table["preds"])
    assert found.loc["fused", "auc"] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axial": None}, "no column axial; columns are label,coronal,sagittal"),
        ({"label": 2}, "label"),
        ({"coronal": 1.2}, "1.2"),
        ({"coronal": float("nan")}, "nan"),
        ({"exam": "0007"}, "exam 0007 is listed twice"),
        ({"label": 0}, "all labels are 0, expected both classes"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, change, message):
    table = predictions(0, 30).assign(**change).dropna(axis=1, how="all")
    if "coronal" not in table:
        table["coronal"] = [0.5] * 29 + [None]
    table.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(InputError, match=rf"bad\.csv: .*{message}"):
        evaluate.read(tmp_path / "bad.csv")


def test_a_fusion_is_not_measured_on_its_own_exams(files, tmp_path):
    train = evaluate.read(files / "train.csv")
    with pytest.raises(InputError, match="400 of the 400 test exams are among those"):
        evaluate.measured(train, train)
    doubled = predictions(0, 20).assign(labels=1)
    doubled.to_csv(tmp_path / "doubled.csv", index=False)
    with pytest.raises(InputError, match=r"doubled\.csv: two columns for label"):
        evaluate.read(tmp_path / "doubled.csv")


def test_a_missing_or_empty_file_is_refused(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "none.csv")]) == 1
    assert "none.csv: not found" in capsys.readouterr().err
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match=r"empty\.csv: not a readable CSV"):
        evaluate.read(tmp_path / "empty.csv")
