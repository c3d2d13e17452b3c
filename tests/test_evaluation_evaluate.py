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
    with pytest.raises(InputError, match="400 of the 400 test exams"):
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


def refused(capsys, *words):
    """The sentence with which the command refuses its files."""
    assert main(["evaluate", *map(str, words)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "Traceback" not in said
    return said


def test_the_exams_of_the_fit_are_found_in_any_order(files, capsys):
    shuffled = predictions(1, 120).sample(frac=1, random_state=0)
    both = pd.concat([predictions(0, 400), shuffled])
    both.to_csv(files / "both.csv", index=False, float_format="%.9f")
    said = refused(capsys, files / "test.csv", "--fit-on", files / "both.csv")
    assert "of the 120 test exams are by their label and probabilities among those" in said


def test_the_exams_of_the_fit_are_found_by_their_numbers(tmp_path, capsys):
    for name, first in (("train", 0), ("test", 39)):
        exams = [str(first + n) if first else f"{n:04d}" for n in range(40)]
        predictions(first, 40).assign(exam=exams).to_csv(tmp_path / f"{name}.csv", index=False)
    said = refused(capsys, tmp_path / "test.csv", "--fit-on", tmp_path / "train.csv")
    assert "1 of the 40 test exams are by their numbers among those" in said


def test_a_few_rows_may_agree_by_chance(tmp_path):
    rounded = [predictions(seed, 40).round(1) for seed in (0, 1)]
    rounded[1].loc[0] = rounded[0].loc[3]
    for name, table in zip(("train", "test"), rounded, strict=True):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    test, train = (evaluate.read(tmp_path / f"{name}.csv") for name in ("test", "train"))
    assert "fusion" in set(evaluate.measured(test, train)["model"])


COLUMNS = ["label", *PLANES]


def as_people_have_it(table, path, kind):
    """Write a table of predictions in one of the ways of `KINDS`; gives the options it needs."""
    named = ["--columns", ",".join(COLUMNS)]
    if kind == "no header":
        table.to_csv(path, header=False, index=False)
    elif kind == "an array":
        np.save(path.with_suffix(".npy"), table.to_numpy(float))
    elif kind == "decimal commas":
        table.to_csv(path, sep=";", decimal=",", index=False)
        named = []
    elif kind == "UTF-16":
        table.to_csv(path, sep="\t", index=False, encoding="utf-16")
        named = []
    elif kind == "other names":
        table.set_axis(["y", "pred_a", "pred_c", "pred_s"], axis=1).to_csv(path, index=False)
    else:
        table.drop(columns="label").to_csv(path, index=False)
        labels = path.with_name("labels.csv")
        lines = [f"{1130 + n},{label}\n" for n, label in enumerate(table["label"])]
        if kind == "labels apart, by exam":
            exams = [f"{1130 + n:05d}" for n in range(len(table))]
            table.drop(columns="label").assign(exam=exams).to_csv(path, index=False)
            lines = lines[::-1]
        if kind == "labels alone":
            lines = ["label\n", *(line.partition(",")[2] for line in lines)]
        labels.write_text("".join(lines))
        named = ["--labels", str(labels)]
    return named


KINDS = ("no header", "an array", "decimal commas", "UTF-16", "other names")
KINDS += ("labels apart", "labels apart, by exam", "labels alone")


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_taken_as_people_have_them(tmp_path, capsys, kind):
    table = predictions(1, 60)[COLUMNS]
    table.to_csv(tmp_path / "plain.csv", index=False)
    assert main(["evaluate", str(tmp_path / "plain.csv")]) == 0
    wanted = capsys.readouterr().out
    options = as_people_have_it(table, tmp_path / "odd.csv", kind)
    odd = next(tmp_path.glob("odd.*"))
    assert main(["evaluate", str(odd), *options]) == 0
    assert capsys.readouterr().out == wanted
    if "--columns" in options:
        said = refused(capsys, odd)
        assert "--columns" in said or "no column label" in said
        assert "expected" in refused(capsys, odd, "--columns", "label,axial")


def test_arrays_of_one_plane_are_told_how_to_be_joined(tmp_path, capsys, monkeypatch):
    table = predictions(1, 60)[COLUMNS]
    for name in COLUMNS:
        np.save(tmp_path / f"{name}.npy", table[name].to_numpy())
    said = refused(capsys, tmp_path / "axial.npy")
    assert "an array of shape (60,), expected exams x columns" in said
    lines = [line.strip() for line in said.splitlines() if line.startswith("    ")]
    monkeypatch.chdir(tmp_path)
    exec("\n".join(lines))
    assert main(["evaluate", "test.csv"]) == 0


def test_what_is_no_table_is_told_in_a_sentence(tmp_path, capsys):
    assert f"{tmp_path}: a folder. Give a CSV" in refused(capsys, tmp_path)
    (tmp_path / "a.csv").write_bytes(b"PK\x03\x04rest")
    assert "is an Excel workbook or a zip, not a CSV" in refused(capsys, tmp_path / "a.csv")
    (tmp_path / "b.npy").write_bytes(b"no array")
    assert "not a whole .npy file" in refused(capsys, tmp_path / "b.npy")
    predictions(0, 9).to_csv(tmp_path / "c.csv", index=False)
    np.save(tmp_path / "labels.npy", np.zeros(9))
    options = tmp_path / "c.csv", "--labels", tmp_path / "labels.npy"
    assert "has labels of its own" in refused(capsys, *options)
    predictions(0, 9)[list(PLANES)].to_csv(tmp_path / "c.csv", index=False)
    np.save(tmp_path / "labels.npy", np.zeros(8))
    assert "has 8 labels, expected one for each of the 9 rows" in refused(capsys, *options)
    (tmp_path / "labels.csv").write_text("0001,1\n")
    predictions(0, 9).drop(columns="label").assign(exam=range(9)).to_csv(tmp_path / "c.csv")
    options = tmp_path / "c.csv", "--labels", tmp_path / "labels.csv"
    assert "labels.csv: has no label for exam 0 of c.csv" in refused(capsys, *options)
