"""The exercises: as their sources say, and their checks tell right from wrong."""

import json

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import script_of_docs, write_planted, write_planted_banks
from planted_predictions import seeded_study

from mrnetlib import files, fusion, names
from mrnetlib import study as studies
from mrnetlib.evaluation.roc import wilson_interval
from mrnetlib.exams import intake, intensity, layout
from mrnetlib.files import InputError
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS
from mrnetlib.phantom.lesions import LESIONS
from mrnetlib.settings import Settings
from mrnetlib.study import Study
from mrnetlib.teaching import answers, exercises, transfer

#: Of the architectures that the exercises compare.
SMALL = ARCHITECTURES[:2]

docs = script_of_docs("exercises")
SOURCES = sorted(docs.SOURCES.glob("*.md"))
KNOWN = [(path, one) for path in SOURCES for one in docs.read(path)[1]]
by_name = pytest.mark.parametrize(("path", "one"), KNOWN, ids=[one.name for _, one in KNOWN])


def write_results(study):
    """Predictions, histories and fusions as notebooks 02 to 04 write them."""
    predictions, _ = seeded_study(1, seeds=2, architectures=SMALL)
    generator, rows = np.random.default_rng(0), []
    for key, table in predictions.groupby(["architecture", "plane", "task"]):
        files.write_csv(
            names.prediction_path(study.results, *key),
            table.drop(columns=["architecture", "plane", "task"]),
        )
        losses = generator.uniform(0.2, 0.7, (2 * 4, 3))
        own = pd.DataFrame(losses, columns=["train_loss", "tune_loss", "tune_auc"]).assign(
            epoch=[1, 2, 3, 4] * 2, seed=np.repeat([0, 1], 4), seconds=1.0, best=0
        )
        files.write_csv(names.history_path(study.results, *key), own)
    for (architecture, task), table in predictions.groupby(["architecture", "task"]):
        parts = []
        for seed, one in table.groupby("seed"):
            wide = fusion.by_plane(one, PLANES)
            fitted = fusion.fit(wide, "train")
            parts.append(fusion.apply(fitted, wide).assign(seed=seed))
            model = {"architecture": architecture, "task": task, "seed": seed}
            rows.append(model | fusion.coefficients(fitted, PLANES))
        files.write_csv(names.fused_path(study.results, architecture, task), pd.concat(parts))
    order = pd.DataFrame(rows).sort_values(
        "architecture", key=lambda c: c.map(ARCHITECTURES.index), kind="stable"
    )
    order = order.sort_values(
        ["architecture", "task"], key=lambda c: c.map([*ARCHITECTURES, *TASKS].index), kind="stable"
    )
    files.write_csv(study.results / "fusion.csv", order)
    choices = pd.DataFrame(
        {
            "choice": ["stopping", "grey scale", "fusion"],
            "number": ["AUC", "AUC", "sensitivity"],
            "difference": [0.01, -0.05, 0.3],
            "p": [0.9, 0.1, 0.15],
        }
    )
    files.write_csv(study.results / "choices" / "summary.csv", choices)


def write_looks(study):
    """What notebooks 07 to 09 file, as far as exercises read it."""
    keys = {"plane": "all", "architecture": "all"}
    shares = {"abnormal": (0.3, 0.2), "acl": (0.1, 0.02), "meniscus": (0.05, 0.04)}
    rows = [
        {"task": task, "measure": "inside", "source": source, "estimate": value} | keys
        for task, values in shares.items()
        for source, value in zip(("evidence", "chance"), values, strict=True)
    ]
    rows += [row | {"plane": "axial", "estimate": 1 - row["estimate"]} for row in rows]
    files.write_csv(study.results / "looks.csv", pd.DataFrame(rows))
    changes = {"ACL tear": (0.5, 0.02), "meniscus tear": (0.05, 0.4), "effusion": (-0.1, 0.01)}
    rows = [
        {"kind": kind, "task": task, "change": change, "view": "multi"}
        for kind, values in changes.items()
        for task, change in zip(("acl", "meniscus"), values, strict=True)
    ]
    table = pd.DataFrame(rows).assign(architecture="all", severity="all")
    files.write_csv(study.results / "looks_removed.csv", table)
    slices = {plane: [0.25, place - 1.5, 0.5] for place, plane in enumerate(PLANES)}
    evidence = {
        plane: {"bias": -0.5, "slices": shares, "logit": sum(shares) - 0.5}
        for plane, shares in slices.items()
    }
    path = study.data / "own_exam" / "reading" / "reading.json"
    files.write_json(path, {"evidence": {"acl": evidence}})
    areas = {"all": [0.6, 0.82, 0.9], "scratch": [0.5, 0.7, 0.8]}
    rows = [
        (way, exams, area)
        for way, found in areas.items()
        for exams, area in zip([10, 40, 160], found, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["way", "train_exams", "auc"])
    files.write_csv(study.results / "lab" / "summary.csv", table)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small study that has been run from its exams to what its choices move."""
    own = {"architectures": SMALL, "weights": "none", "image_size": 64, "batch_exams": 8}
    settings = Settings(data="phantom", device="cpu", threads=1, **own)
    study = Study("own", settings, tmp_path_factory.mktemp("root"))
    inventory = write_planted_banks(study.banks, write_planted(study.exams, 32, 10, size=64))
    intake.write_inventory(study.data / "exams.csv", inventory)
    generator, landmarks = np.random.default_rng(0), {}
    for plane in PLANES:
        paths = [
            layout.volume_path(study.exams, "train", plane, e)
            for e in inventory.query("split == 'train'")["exam"]
        ]
        landmarks[plane] = intensity.learn(map(layout.read_volume, paths))
        for exam in inventory["exam"]:
            mask = generator.choice([0, 0, 0, LESIONS["ACL tear"]], (5, 1, 1)) * np.ones((5, 2, 2))
            files.write_array(study.data / "lesions" / plane / f"{exam}.npy", mask.astype(np.uint8))
    intensity.save(study.data / "landmarks.json", landmarks)
    write_results(study)
    write_looks(study)
    return study


def test_the_notebooks_hold_the_exercises_of_their_sources():
    assert list(docs.differing()) == [], "run: python docs/exercises.py --write"


def test_every_exercise_has_a_source_and_every_notebook_exercises():
    known = [name for number in exercises.MODULES for name in exercises.exercises_of(number)]
    assert [one.name for _, one in KNOWN] == known
    notebooks = {path.stem for path in docs.NOTEBOOKS.glob("*.ipynb")}
    assert notebooks == {path.stem for path in SOURCES}


def run_cell(notebook, place, space):
    """Run a notebook's cell; gives the verdict where its last line is a check."""
    (cell,) = [cell for cell in notebook.cells if cell["id"] == place]
    *lines, last = cell.source.splitlines()
    checks = last.startswith("exercises.check(")
    exec("\n".join([*lines, f"verdict = {last}" if checks else last]), space)
    return space.get("verdict")


@by_name
def test_an_exercise_is_false_unsolved_right_solved_and_wrong_wrong(path, one, study, monkeypatch):
    number, _, place = one.name.partition("-")
    unsolved = nbformat.read(docs.NOTEBOOKS / f"{path.stem}.ipynb", 4)
    verdict = run_cell(unsolved, f"{number}-ex-{place}-answer", {"this": study})
    assert not verdict.right and "no answer yet" in verdict.reason

    solved = nbformat.read(docs.NOTEBOOKS / "solutions" / f"{path.stem}.ipynb", 4)
    monkeypatch.setattr(studies, "load", lambda name: study)
    space = {"study": study.name}
    run_cell(solved, f"{number}-setup", space)
    verdict = run_cell(solved, f"{number}-sol-{place}-code", space)
    assert str(verdict) == f"✓ {one.name}: right."

    wrong = eval(one.wrong, space)
    verdict = exercises.check(one.name, wrong, study)
    assert not verdict.right and len(verdict.reason) > 20
    if isinstance(space["answer"], str | int | float):
        assert str(space["answer"]) not in verdict.reason.replace(str(wrong), "")
    assert not exercises.check(one.name, object(), study).right


def test_a_probe_on_the_first_rows_is_told_so_and_two_decimals_are_enough(study, monkeypatch):
    assert 0 <= transfer._of_first(study, 20) <= 1 and np.isnan(transfer._of_first(study, 1))
    monkeypatch.setattr(transfer, "_of_first", lambda study, count: 0.4)
    assert "recipe.chosen(train" in exercises.check("09-2", 0.4, study).reason
    assert "recipe.chosen(train" not in exercises.check("09-2", 0.3, study).reason
    assert exercises.check("09-3", 0.88, study).right
    assert exercises.check("09-3", 0.87, study).right


def test_answers_to_the_questions_between_cells_stand_in_the_solutions_alone(tmp_path):
    path = next(path for path in SOURCES if path.stem.startswith("09"))
    notebook = nbformat.read(docs.NOTEBOOKS / f"{path.stem}.ipynb", 4)
    text = "Short answers to what the notebook asks"
    assert text in docs.solutions(notebook, path).cells[-1].source
    assert not any(text in cell.source for cell in docs.with_exercises(notebook, path).cells)


def test_a_study_without_the_files_says_so_and_is_no_error(tmp_path):
    verdict = exercises.check(
        "00-1", (0, 1, 0.5), Study("none", Settings(data="phantom"), tmp_path)
    )
    assert not verdict.right and "exams.csv" in verdict.reason
    assert "❌" in verdict._repr_markdown_()
    with pytest.raises(InputError, match="exercise 00-9: there is none"):
        exercises.check("00-9")
    with pytest.raises(InputError, match="notebook xx"):
        exercises.check("xx-1")


def test_reasons_say_what_was_found_and_where_a_function_fails():
    assert "expected a number" in answers.number(True, 1, 0, "")
    assert "no number" in answers.number(float("nan"), 1, 0, "")
    assert answers.number(2, 1, 0.5, "Why?") == "too large. Why?"
    assert all(answers.number(one, 1.341, 0.001, "") is None for one in (1.3, 1.34, 1.341))
    assert answers.number(0.88, 0.875, 1e-6, "") is None
    assert "two significant" not in answers.number(2, 1.341, 0.001, "")
    assert answers.number(1, 1.341, 0.001, "").startswith("near, but")
    assert answers.number(120, 123, 0, "").startswith("too small"), "a count is exact"
    assert "raised ZeroDivisionError" in answers.function(lambda x: 1 / 0, abs, [(1,)], "")
    assert "expected the shape" in answers.function(lambda x: [1, 2], abs, [(1,)], "")
    assert answers.names(["a", "c"], {"a", "b"}, "abc", "Look.") == (
        "some of the list do not belong to it and some are missing. Look."
    )


def test_what_is_said_of_an_interval_is_so():
    fifteen, more, none = (wilson_interval(*of) for of in ((15, 20), (60, 80), (0, 20)))
    assert (f"{fifteen.low:.0%}", f"{fifteen.high:.0%}") == ("53%", "89%")
    assert (more.high - more.low) / (fifteen.high - fifteen.low) == pytest.approx(0.5, abs=0.05)
    assert none.high == pytest.approx(1 / 6, abs=0.01)


@pytest.mark.parametrize(
    ("name", "answer", "made_by"),
    [
        ("07-2", ("acl", 1.0), "make looks"),
        ("07-4", ("effusion", "acl"), "make looks"),
        ("08-1", {}, "Run this notebook"),
        ("09-5", ("with", "with"), "Train the case"),
        ("09-6", 10, "make lab-results"),
    ],
)
def test_what_was_not_run_yet_is_told_with_what_runs_it(name, answer, made_by, tmp_path):
    empty = Study("none", Settings(data="phantom"), tmp_path)
    assert made_by in exercises.check(name, answer, empty).reason


def test_an_answer_in_a_notebook_runs_no_step_again(tmp_path):
    path = tmp_path / "toy.ipynb"
    cells = [{"cell_type": "code", "metadata": {}, "source": ["x = 1"]}]
    digests = []
    for answer in ("answer = ...", "answer = 3"):
        tagged = {"cell_type": "code", "metadata": {"tags": [docs.TAG]}, "source": [answer]}
        path.write_text(json.dumps({"cells": [*cells, tagged]}), encoding="utf-8")
        digests.append(files.code_digest(path))
    path.write_text(json.dumps({"cells": cells * 2}), encoding="utf-8")
    assert digests[0] == digests[1] != files.code_digest(path)


def test_a_source_without_a_solution_is_refused(tmp_path):
    path = tmp_path / "00_toy.md"
    path.write_text("Intro.\n\n## 00-1\nText.\n```python\nanswer = ...\n```\n", encoding="utf-8")
    with pytest.raises(InputError, match="00-1: expected one block"):
        docs.read(path)
