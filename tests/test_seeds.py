"""A study of several seeds, from its predictions to the comparison of its choices."""

import pandas as pd
import pytest
from conftest import run_notebook
from test_variants_effects import simulated

from mrnetlib import fusion
from mrnetlib.evaluation.predictions import COLUMNS, HISTORY, read_fused, read_predictions
from mrnetlib.files import InputError, write_csv, write_json
from mrnetlib.names import fused_path, history_path, prediction_path
from mrnetlib.study import load
from mrnetlib.variants import recipes

PLANES = ("axial", "sagittal")
FILE = """
description: synthetic knees
data: phantom
architectures: [alexnet, resnet18]
choices_architectures: [alexnet]
planes: [axial, sagittal]
tasks: [acl]
choices_tasks: [acl]
choices_seeds: 2
choices_folds: 2
seed: 4
seeds: 2
once: [resnet18]
"""


@pytest.fixture
def study(tmp_path):
    """A study with simulated predictions and histories; ResNet-18 was trained once."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "Snakefile").touch()
    (tmp_path / "studies" / "own.yaml").write_text(FILE)
    study = load("own", tmp_path)
    for architecture in study.settings.architectures:
        seeds = study.settings.seeds_of(architecture)
        table = simulated(seeds=seeds, planes=PLANES)
        for plane in PLANES:
            where = study.results, architecture, plane, "acl"
            write_csv(prediction_path(*where), table.loc[table["plane"] == plane, COLUMNS])
            history = pd.DataFrame(0.5, index=range(2 * len(seeds)), columns=HISTORY)
            epochs = {"epoch": [1, 2] * len(seeds), "best": [0, 1] * len(seeds)}
            history = history.assign(**epochs, seed=[seed for seed in seeds for _ in range(2)])
            write_csv(history_path(*where), history)
    return study


def test_each_seeds_planes_are_fused_by_themselves(study, monkeypatch):
    names = run_notebook(study, "03_fusion", monkeypatch)
    table = pd.read_csv(study.results / "fusion.csv")
    models = [("alexnet", "acl", 4), ("alexnet", "acl", 5), ("resnet18", "acl", 4)]
    assert list(table[["architecture", "task", "seed"]].itertuples(index=False)) == models
    assert list(names["rivals"].index) == models, "every seed is a case"
    assert list(pd.read_csv(fused_path(study.results, "alexnet", "acl")).columns) == COLUMNS
    single = read_predictions(study.results, ["alexnet"], PLANES, ["acl"])
    fused = read_fused(study.results, ["alexnet"], ["acl"])
    for seed, own in fused.groupby("seed"):
        alone = fusion.by_plane(single[single["seed"] == seed], PLANES)
        known = fusion.apply(fusion.fit(alone), alone)["probability"]
        assert own["probability"].tolist() == known.tolist()
    assert names["figures"] and (study.results / "figures" / "training_alexnet.png").is_file()


def test_notebook_06_refuses_predictions_of_another_machine(study, monkeypatch):
    settings = study.settings
    table = simulated(seeds=(4, 5), planes=PLANES)
    fused = table[table["plane"] == "axial"]
    write_csv(fused_path(study.results, "alexnet", "acl"), fused[COLUMNS])
    write_csv(fused_path(study.results, "resnet18", "acl"), fused.loc[fused["seed"] == 4, COLUMNS])
    for place, plane in enumerate(PLANES):
        own = table[table["plane"] == plane]
        parts = []
        for run in recipes.runs(settings, "alexnet"):
            part = own[own["seed"] == run.seed].assign(variant=run.variant)
            if run.fold is not None:
                part = part[part["split"] == "train"].iloc[run.fold :: 2]
            parts.append(part)
        recipes.write(recipes.path_of(study, "predictions", "alexnet", plane), pd.concat(parts))
        machine = {"processor": f"the processor {place}", "device": "cpu", "precision": "fp32"}
        note = {"machine": machine, "versions": {"torch": "2"}}
        write_json(study.data / "runs" / f"02_per_plane_training_alexnet_{plane}.json", note)
        write_json(study.data / "runs" / f"choices_alexnet_{plane}.json", note)
    with pytest.raises(InputError, match=r"sagittal was trained with processor the processor 1"):
        run_notebook(study, "06_choices_that_move_the_number", monkeypatch)
