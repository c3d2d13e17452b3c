"""A run against the kept results, on a tiny folder of made-up ones, and what keeps a run."""

import json
import os
import shutil
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from conftest import files_in

from mrnetlib import files, runner
from mrnetlib import study as studies
from mrnetlib.__main__ import main
from mrnetlib.chain import keep
from mrnetlib.evaluation import verify
from mrnetlib.evaluation.agreement import limit
from mrnetlib.settings import Settings

PREDICTIONS, HISTORY = "predictions/a_axial_acl.csv", "history/a_axial_acl.csv"
TEXT = ["table1.md", "table1.html", "figures/roc.png", "00_exams.html"]


def predictions():
    """Three splits of ten exams and two seeds, half of them positive, all AUCs 0.8."""
    label = np.tile([0, 1], 5)
    tables = [
        pd.DataFrame({"label": label}).assign(
            exam=[f"{number:04d}" for number in range(place, place + 10)],
            split=split,
            probability=[0.3, 0.9] * 4 + [0.3, 0.1],
            seed=seed,
        )
        for seed in (0, 1)
        for place, split in ((0, "train"), (10, "tune"), (20, "test"))
    ]
    return pd.concat(tables)[["exam", "split", "label", "probability", "seed"]]


def tables():
    """A run's tables by their names."""
    rows = {"architecture": ["a", "b"], "views": "multi", "class": "acl"}
    table = pd.DataFrame(rows | {"auc": [0.8, 0.75], "sensitivity": [0.5, 0.6], "n": 10})
    interval = table.assign(auc_low=0.7, auc_high=[0.9, 0.85])
    epochs = {"epoch": [1, 2], "train_loss": [0.3, 0.2], "tune_auc": [0.7, 0.8], "best": [0, 1]}
    return {
        PREDICTIONS: predictions(),
        HISTORY: pd.DataFrame(epochs | {"seconds": [1.5, 1.4], "seed": 0}),
        "table1.csv": table,
        "table1_intervals.csv": interval,
        "fusion.csv": pd.DataFrame({"architecture": ["a"], "axial": [3.0], "exams": [10]}),
        "baseline.csv": pd.DataFrame({"plane": ["axial"], "task": ["acl"], "auc": [0.6]}),
        "pretraining/a.csv": pd.DataFrame({"slices": [64, 128], "plane": [1.1, 0.9]}),
    }


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A finished run and the same results kept, in a folder into which we change."""
    files.write_text(tmp_path / "studies" / "own.yaml", "description: a toy\ndata: phantom\n")
    files.write_text(tmp_path / "Snakefile", "")
    study = studies.load("own", tmp_path)
    for name, table in tables().items():
        files.write_csv(study.results / name, table)
    for name in TEXT:
        files.write_text(study.results / name, "a page")
    run = {"run": "00_exams", "seconds": 1.5}
    files.write_json(study.data / "runs" / "00_exams.json", run)
    about = {"machine": {"processor": "one"}, "commit": "abc", "changed_since": False}
    note = {"study": "own", "settings": asdict(study.settings), **about, "runs": [run]}
    files.write_json(study.results / "provenance.json", note)
    shutil.copytree(study.results, study.reference)
    (study.reference / "00_exams.html").unlink()
    monkeypatch.chdir(tmp_path)
    return study


@pytest.fixture
def change(study):
    """Change a table of the run."""

    def apply(name, **columns):
        path = study.results / name
        table = pd.read_csv(path, dtype={"exam": str})
        files.write_csv(path, table.assign(**columns))

    return apply


def verdicts(study):
    """What each file came to."""
    return {name: verdict for verdict, name, _ in verify.report(study).rows}


def verified(capsys):
    """The exit status of the command, and what it prints to both sides."""
    status = main(["verify", "own"])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_same_results_are_identical(study, capsys):
    status, said, _ = verified(capsys)
    assert status == 0
    lines = said.splitlines()
    assert lines[-1] == (
        "study own agrees, within its tolerances, with results/own: 11 identical, 1 apart"
    )
    assert sum(line.startswith("identical  ") for line in lines) == 11
    assert "not kept" in next(line for line in lines if "00_exams.html" in line)


def test_numbers_within_their_tolerances_agree(study, change, capsys):
    change("table1.csv", auc=[0.829, 0.75], sensitivity=[0.41, 0.69])
    change("table1_intervals.csv", auc_low=0.645)
    change("baseline.csv", auc=[0.609])
    change(HISTORY, tune_auc=[0.1, 0.9], seconds=[70, 80], train_loss=[9, 9])
    change("fusion.csv", axial=[-3.0])
    change("pretraining/a.csv", plane=[7, 5])
    note = json.loads((study.results / "provenance.json").read_text())
    note |= {"machine": {"processor": "another"}, "commit": "def"}
    files.write_json(study.results / "provenance.json", note)
    for name in TEXT:
        files.write_text(study.results / name, "another page")
    status, said, _ = verified(capsys)
    assert status == 0
    assert "processor: another here, one in the kept run" in said
    assert "commit: def here, abc in the kept run" in said
    assert "auc differs by 0.029 (a multi acl), tolerance 0.03" in said
    found = verdicts(study)
    assert [name for name, verdict in found.items() if verdict == "identical"] == [PREDICTIONS]
    assert [found[name] for name in TEXT] == ["exists"] * 3 + ["apart"]


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("table1.csv", {"auc": [0.8, 0.711]}, "auc differs by 0.039 (b multi acl), tolerance 0.03"),
        ("table1.csv", {"sensitivity": [0.39, 0.6]}, "sensitivity differs by 0.11"),
        ("table1.csv", {"auc": [0.8, np.nan]}, "auc is not a number"),
        ("table1.csv", {"auc": [0.8, np.inf]}, "auc differs by inf"),
        ("table1.csv", {"auc": ["0.8", "good"]}, "auc is not a number"),
        ("table1.csv", {"n": 11}, "n differs by 1"),
        ("table1.csv", {"views": "single-best"}, "rows missing, first: a multi acl"),
        ("table1.csv", {"more": 1}, "columns architecture"),
        ("table1_intervals.csv", {"auc_low": 0.63}, "auc_low differs by 0.07"),
        ("baseline.csv", {"auc": [0.62]}, "auc differs by 0.02 (axial acl), tolerance 0.01"),
        ("fusion.csv", {"axial": [np.nan]}, "axial is not a number"),
        ("fusion.csv", {"exams": [11]}, "exams differs by 1"),
        ("pretraining/a.csv", {"slices": [64, 256]}, "1 of the rows missing, first: 128"),
        (HISTORY, {"tune_auc": [0.7, 0.54]}, "kept epoch differs by 0.260"),
        (HISTORY, {"train_loss": [0.3, np.nan]}, "train_loss is not a number"),
        (HISTORY, {"best": 1}, "not the same seeds"),
        (HISTORY, {"seed": 1}, "not the same seeds"),
        (PREDICTIONS, {"label": 1}, "rows missing"),
        (PREDICTIONS, {"seed": 1}, "rows missing"),
        (PREDICTIONS, {"split": "test"}, "rows missing"),
        (PREDICTIONS, {"probability": np.nan}, "no number from 0 to 1"),
        (PREDICTIONS, {"probability": 1.5}, "no number from 0 to 1"),
        (PREDICTIONS, {"probability": 0.5}, "AUC differs by 0.3"),
    ],
)
def test_what_is_outside_is_told(study, change, capsys, name, columns, message):
    change(name, **columns)
    status, said, _ = verified(capsys)
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("outside")]
    assert name in line and message in line
    assert said.splitlines()[-1].startswith("study own DIFFERS from results/own: 10 identical")
    assert said.endswith(f"1 outside ({name})\n")


def test_probabilities_may_differ_where_the_auc_does_not(study, capsys):
    path = study.results / PREDICTIONS
    table = pd.read_csv(path, dtype={"exam": str}).sample(frac=1, random_state=0)
    files.write_csv(path, table.assign(probability=table["probability"] / 2))
    status, said, _ = verified(capsys)
    assert status == 0
    assert "AUC differs by 0.000" in said and "at most" in said


def test_a_row_less_or_more_is_outside(study):
    for name in ("table1.csv", PREDICTIONS):
        path = study.results / name
        lines = path.read_text().splitlines(keepends=True)
        files.write_text(path, lines[0])
        assert verdicts(study)[name] == "outside"
        files.write_text(path, "".join(lines[:-1]))
        assert verdicts(study)[name] == "outside"
        files.write_text(path, "".join([*lines, lines[-1]]))
        assert verdicts(study)[name] == "outside"


def test_missing_and_extra_files_are_outside(study, capsys):
    (study.results / "table1.csv").rename(study.results / "single_view.csv")
    files.write_text(study.results / ".hidden", "of the system")
    status, said, _ = verified(capsys)
    assert status == 1
    assert {"extra", "missing"} <= set(verdicts(study).values())
    assert said.endswith("1 missing, 1 extra (single_view.csv, table1.csv)\n")


def test_another_study_file_is_outside(study, capsys):
    path = study.reference / "provenance.json"
    note = json.loads(path.read_text())
    quiet = {"tolerance_table": 0.5, "description": "same", "choices_seeds": 9}
    files.write_json(path, note | {"settings": note["settings"] | quiet})
    assert verdicts(study)["provenance.json"] == "within"
    del note["settings"]["patience"]
    files.write_json(path, note)
    assert verdicts(study)["provenance.json"] == "within", "it had the default before it was known"
    files.write_json(path, note | {"settings": note["settings"] | {"epochs": 3}})
    status, said, _ = verified(capsys)
    assert status == 1
    assert "another study file: epochs 50 instead of 3" in said


def test_what_cannot_be_compared_has_a_status_of_its_own(study, capsys):
    assert main(["verify", "owm"]) == 2
    assert "Did you mean 'own'" in capsys.readouterr().err
    files.write_text(study.results / "surprise.txt", "?")
    status, said, error = verified(capsys)
    assert (status, said) == (2, "")
    assert "surprise.txt: nothing says how this file is compared" in error
    (study.results / "surprise.txt").unlink()
    (study.results / "table1.csv").write_bytes(b"\xff\xfe\x00")
    assert verified(capsys)[0] == 2
    files.write_text(study.results / "table1.csv", "")
    assert "table1.csv: not a readable CSV" in verified(capsys)[2]
    files.write_json(study.reference / "provenance.json", [])
    assert "no settings in it" in verified(capsys)[2]
    shutil.rmtree(study.reference)
    status, _, error = verified(capsys)
    assert status == 2
    assert "no results of study own were kept" in error and "mrnetlib keep own" in error


def test_a_run_that_is_not_finished_is_not_compared(study, capsys):
    note = study.data / "runs" / "00_exams.json"
    files.write_json(note, {"run": "00_exams", "seconds": 2})
    status, _, error = verified(capsys)
    assert status == 2
    assert "is not the run that" in error and "make study STUDY=own" in error
    note.unlink()
    assert verified(capsys)[0] == 2
    files.write_text(study.root / "studies" / "own.yaml", "data: phantom\nepochs: 7\n")
    assert "has changed since that run: epochs 7 instead of 50" in verified(capsys)[2]
    shutil.rmtree(study.results)
    assert "no run of study own is finished" in verified(capsys)[2]


def test_choices_are_compared_where_both_sides_have_them(study):
    name = "choices/summary.csv"
    row = pd.DataFrame({"choice": ["one"], "difference": [0.1], "method": ["exams"]})
    files.write_csv(study.results / name, row)
    files.write_csv(study.reference / name, row.assign(difference=0.9, method="none"))
    assert verdicts(study)[name] == "apart"
    for folder in (study.results, study.reference):
        shutil.copy(folder / "provenance.json", folder / "choices")
    assert verdicts(study)[name] == "outside"
    files.write_csv(study.reference / name, row.assign(difference=0.2, method="none"))
    assert verdicts(study)[name] == "within", "a method's name is a remark"
    os.utime(study.results / "choices" / "provenance.json", (1, 1))
    assert verdicts(study)[name] == "apart", "they are of a run before this one"


def test_every_file_of_a_study_has_a_rule_and_every_column_a_tolerance():
    root = studies.find_root()
    kept = root / "results" / "phantom"
    names = verify.names_in(kept)
    assert len(names) > 50
    for name in names:
        rule = verify.rule_of(name, kept)
        found = rule.compare(kept / name, kept / name, Settings())
        assert found.verdict in ("within", "exists"), (name, found)
    assert limit("auc", "table", Settings()) == pytest.approx(0.03)
    assert limit("auc_high", "single", Settings()) == pytest.approx(0.24)
    assert limit("gain", "table", Settings()) == pytest.approx(0.06)
    assert limit("difference", "choices", Settings()) == pytest.approx(0.6)
    assert limit("colour", "table", Settings()) is None
    assert limit("accuracy", "baseline", Settings()) is None


@pytest.fixture
def finished(monkeypatch):
    """What Snakemake finds finished."""
    parts = {"study"}
    monkeypatch.setattr(
        keep,
        "is_finished",
        lambda study, extra=None: (extra or "study") in parts,
    )
    return parts


def test_a_kept_run_is_what_later_ones_are_compared_with(study, change, finished, capsys):
    change("table1.csv", auc=[0.1, 0.2])
    (study.results / "fusion.csv").rename(study.results / "single_view.csv")
    mine = ["choices/summary.md", "starting_weights.csv", "01_preprocessing.html"]
    for name in mine:
        files.write_text(study.reference / name, "not of this run")
    before = files_in(study.results)
    assert main(["keep", "own"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == ["new      single_view.csv", "changed  table1.csv", "removed  fusion.csv"]
    assert said[-1] == "kept in results/own: 1 new, 1 changed, 1 removed, 9 as before"
    assert all((study.reference / name).read_text() == "not of this run" for name in mine)
    assert not (study.reference / "00_exams.html").exists()
    assert files_in(study.results) == before
    assert [path.name for path in study.reference.parent.iterdir()] == ["own"]
    assert main(["verify", "own"]) == 0


def test_the_choices_are_kept_where_they_are_finished(study, finished, capsys):
    for folder, text in ((study.results, "ours"), (study.reference, "theirs")):
        files.write_text(folder / "choices" / "summary.md", text)
    shutil.copy(study.results / "provenance.json", study.results / "choices")
    summary = study.reference / "choices" / "summary.md"
    assert main(["keep", "own"]) == 0
    assert summary.read_text() == "theirs"
    assert "choices: this run has no finished ones" in capsys.readouterr().out
    finished.add("choices")
    assert main(["keep", "own"]) == 0
    assert summary.read_text() == "ours"


def test_code_that_was_not_committed_is_mentioned(study, finished, capsys):
    assert main(["keep", "own"]) == 0
    assert "not committed" not in capsys.readouterr().out
    path = study.results / "provenance.json"
    files.write_json(path, json.loads(path.read_text()) | {"changed_since": True})
    assert main(["keep", "own"]) == 0
    assert "changed and not committed when this run was made" in capsys.readouterr().out


def test_only_a_finished_run_is_kept(study, change, finished, capsys):
    change("table1.csv", auc=[0.1, 0.2])
    finished.clear()
    assert main(["keep", "own"]) == 1
    assert "code of a step has changed since. Run 'make study" in capsys.readouterr().err
    finished.add("study")
    (study.results / "provenance.json").unlink()
    assert main(["keep", "own"]) == 1
    assert "no run of study own is finished" in capsys.readouterr().err
    assert kept_aucs(study) == [0.8, 0.75]


def kept_aucs(study):
    """The AUCs of the kept Table I."""
    return pd.read_csv(study.reference / "table1.csv")["auc"].tolist()


def test_what_was_kept_stays_where_keeping_fails(study, change, monkeypatch):
    change("table1.csv", auc=[0.1, 0.2])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keep.shutil, "copyfile", full)
    before = files_in(study.root)
    with pytest.raises(files.InputError, match=r"No space left on device.*it is as it was"):
        keep.keep(study)
    assert files_in(study.root) == before
    assert kept_aucs(study) == [0.8, 0.75]


def test_a_study_ends_with_the_verdict(study, change, monkeypatch, capsys):
    monkeypatch.setattr(runner, "run_chain", lambda *_: 0)
    change("table1.csv", auc=[0.1, 0.2])
    assert main(["study", "own"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("study own DIFFERS from results/own")
    shutil.rmtree(study.reference)
    assert main(["study", "own"]) == 0
    assert "not compared" in capsys.readouterr().out.splitlines()[-1]
