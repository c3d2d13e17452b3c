"""The lab of notebook 09: what is trained is kept, claims are measured, looks tell the truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import (
    planted_study,
    run_notebook,
    slices_of,
    tiny_network,
)

from benchmarks import backbones
from mrnetlib import files
from mrnetlib.evaluation.roc import auc
from mrnetlib.exams.banks import ExamBank
from mrnetlib.figures import lab as pictures
from mrnetlib.study import imagenet_folder
from mrnetlib.teaching import lab, looking, questions
from mrnetlib.training import predict, recipe
from mrnetlib.training.starting import starting_backbone

SMALL = "shufflenet_v2_x0_5"
FILE = f"""
data: phantom
architectures: [{SMALL}]
planes: [axial]
tasks: [acl]
weights: none
image_size: 64
batch_exams: 8
precision: fp32
device: cpu
threads: 1
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return planted_study(tmp_path_factory.mktemp("root"), FILE)


def case_of(way="all", exams=10, epochs=1, seed=0, **changes):
    return lab.Case(way, tuple(changes.items()), exams, epochs, seed, SMALL)


def test_every_number_of_exams_takes_about_as_many_steps():
    epochs = {exams: lab.epochs_of(exams, 40, 15) for exams in (5, 10, 40, 160, 1000)}
    assert epochs == {5: 30, 10: 30, 40: 15, 160: 4, 1000: 4}


def test_a_case_is_the_studys_recipe_with_the_ways_settings(study):
    own = case_of(exams=12, epochs=3, seed=7, freeze="early").settings(study)
    assert (own.exams, own.epochs, own.patience, own.seed) == (12, 3, 3, 7)
    assert own.freeze == "early" and own.batch_exams == study.settings.batch_exams


def test_what_is_trained_is_kept_and_only_what_is_new_is_trained(study, monkeypatch):
    cases = [case_of(), case_of("last", freeze="early"), case_of(seed=1)]
    curves, said = lab.run(study, cases[:2], workers=1)
    assert list(curves)[:3] == list(said)[:3] == ["way", "exams", "seed"]
    assert curves.groupby("way").size().to_dict() == {"all": 1, "last": 1}
    assert set(said["split"]) == {"tune", "test"} and said["probability"].between(0, 1).all()
    assert not list((study.data / "lab").glob("*.pt")), "a finished training keeps no state"
    trained, train = [], recipe.train
    monkeypatch.setattr(recipe, "train", lambda *a, **k: trained.append(a) or train(*a, **k))
    again = lab.run(study, cases, workers=1)
    assert len(trained) == 1, "the third alone"
    pd.testing.assert_frame_equal(again[1][again[1]["seed"] == 0].reset_index(drop=True), said)
    other = replace(study, settings=replace(study.settings, learning_rate=0.5))
    lab.train(other, cases[0])
    assert len(trained) == 2, "another rate is another training"


def test_exams_of_one_label_are_refused_with_the_case(study):
    with pytest.raises(files.InputError, match=r"all, 1 exams, seed 0: .* same label"):
        lab.train(study, case_of(exams=1))


def test_a_probe_on_cached_features_says_what_the_network_would(study):
    backbone = starting_backbone(SMALL, "none", 0)
    said = lab.probes(study, backbone, "axial", "acl", [20], [0])
    train = ExamBank.open(study.banks, "train", "axial")
    own = replace(study.settings, exams=20, head="probe")
    network = recipe.start(backbone, SMALL, "acl", train, own)
    test = ExamBank.open(study.banks, "test", "axial")
    wanted = predict.predict(network, test, "fp32")
    assert said.loc[said["split"] == "test", "probability"].to_numpy() == pytest.approx(wanted)


def predictions(better):
    """Two ways, five seeds, forty exams; the second way's scores are further apart by `better`."""
    rng, label = np.random.default_rng(0), np.arange(40) % 2
    parts = []
    for way, gap in (("plain", 0.5), ("good", 0.5 + better)):
        for seed in range(5):
            score = 1 / (1 + np.exp(-(label * gap + rng.normal(size=40))))
            words = {"way": way, "exams": 10, "seed": seed, "exam": range(40), "split": "test"}
            parts.append(pd.DataFrame(words | {"label": label, "probability": score}))
    return pd.concat(parts, ignore_index=True)


def test_claims_are_differences_of_what_was_measured():
    said = predictions(better=3.0)
    table = lab.measured(said).set_index("way")
    areas = said.groupby(["way", "seed"]).apply(
        lambda g: auc(g["label"], g["probability"]), include_groups=False
    )
    assert table.loc["good", "auc"] == pytest.approx(areas["good"].mean())
    assert (table["auc_low"] < table["auc"]).all() and (table["auc"] < table["auc_high"]).all()
    found = lab.compared(said, [(("good", 10), ("plain", 10))]).iloc[0]
    assert found["difference"] == pytest.approx(areas["good"].mean() - areas["plain"].mean())
    assert 0 < found["low"] < found["difference"] < found["high"] and found["p"] < 0.05
    same = lab.compared(said, [(("plain", 10), ("plain", 10))]).iloc[0]
    assert same["difference"] == 0 and same["p"] == 1


def test_every_question_is_answered_whichever_way_it_comes_out():
    asked = questions.asked([10, 40], 40)
    pairs = [pair for one in asked for pair in one.pairs]
    names = ["{} on {} exams - {} on {}".format(*first, *second) for first, second in pairs]
    claims = pd.DataFrame({"claim": names, "difference": 0.0, "low": -0.1, "high": 0.1, "p": 0.9})
    titles = dict.fromkeys(["probe", "last", "all", "rates"], "a way") | {"scratch": "from scratch"}
    columns = ["difference", "low", "high", "p"]
    claims.loc[0, columns] = 0.2, 0.1, 0.3, 0.0001  # all against scratch, on 10 exams
    claims.loc[1, columns] = -0.2, -0.3, -0.1, 0.0001
    claims.loc[2, columns] = 0.2, 0.001, 0.4, 0.04
    table = questions.judged(claims, asked, titles, 0.95)
    found = [questions.YES, questions.NO, questions.ALONE, questions.OPEN]
    assert table["found"].tolist()[:4] == found and set(table["found"][3:]) == {questions.OPEN}
    said = questions.answered(table)
    assert all(one.words in said for one in asked) and said.count("\n- ") == len(pairs)
    assert "a way against scratch, 10 exams each: yes, +0.200" in said
    assert "a way on 10 exams against scratch on 40: cannot be told apart" in said
    assert "borne out" in questions.most_gained(claims, [10, 40])
    claims.loc[1, "difference"] = 0.5
    assert "largest with 40" in questions.most_gained(claims, [10, 40])
    (axes,) = pictures.claims(table, title="claims").axes
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert len(rows) == len(pairs) + len(asked) and rows[0] == asked[0].words


def test_the_gradient_reaches_winners_alone():
    network, slices = tiny_network(), slices_of(5, 16)
    slices[1:] = slices[:1]  # one slice five times: the first of equals wins all
    slices[3] *= 0.5
    found = looking.winners(network, slices)
    assert found.won.sum() == 8 and found.mean == pytest.approx(np.full(5, 0.2))
    other = looking.winners(network, slices_of(5, 16))
    assert (other.maximum[other.won == 0] == 0).all() and other.maximum.sum() == pytest.approx(1)


def test_batch_norm_minds_its_company_and_is_put_back():
    exams = [one.squeeze(1) for one in slices_of(12, 16).split(4)]
    exams[1] = exams[1] * 0.2
    network = tiny_network(batch_norm=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    answers = looking.batch_norm_answers(network, exams, 0)
    assert len({round(value, 4) for value in answers.values()}) == 3
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())
    plain = looking.batch_norm_answers(tiny_network(), exams, 0)
    assert np.ptp(list(plain.values())) < 1e-5, "without it, company changes nothing"


def test_looks_have_the_shapes_that_are_drawn(tmp_path):
    network, slices = tiny_network(), slices_of(3, 16)
    filters = looking.first_filters(network.backbone)
    assert filters.shape == (8, 5, 5, 3) and filters.min() == 0 and filters.max() == 1
    maps = looking.feature_maps(network, slices, shown=4)
    assert [found.shape for found in maps.values()] == [(4, 12, 12)]
    assert maps["1"].min() >= 0 and (np.diff(maps["1"].mean(axis=(1, 2))) <= 1e-6).all()
    volume, share = slices[:, 0].numpy(), np.full(3, 1 / 3)
    drawn = [
        pictures.steps("a drawing"),
        pictures.filters({"one": filters, "other": filters}),
        pictures.maps(volume[0], maps, title="maps"),
        pictures.winners(volume, {"won": share, "reached": share}),
    ]
    lesion = np.zeros((3, 8, 8), bool)
    lesion[1, 2:5, 2:5] = True
    marked = pictures.winners(volume, {"won": share}, lesion=lesion)
    outlined = [axes.get_title() for axes in marked.axes[:3]]
    assert outlined == ["0", "1, lesion outlined", "2"]
    (outline,) = marked.axes[1].collections
    corners = outline.get_paths()[0].vertices
    assert corners.min() > 3 and corners.max() < 10, "at its place, on twice as many pixels"
    for place, figure in enumerate(drawn):
        figure.savefig(tmp_path / f"{place}.png")
        assert (tmp_path / f"{place}.png").stat().st_size > 5000


def test_a_way_looks_alike_in_every_figure_and_all_are_named():
    titles = {"scratch": "from scratch", "all": "all"}
    rows = [
        {"way": way, "seed": seed, "epoch": epoch, "train_loss": 1 / epoch, "tune_loss": 0.3}
        | {"tune_auc": 0.6}
        for way in titles
        for seed in range(2)
        for epoch in range(1, 4)
    ]
    figure = pictures.curves(pd.DataFrame(rows), titles)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [*titles.values(), "guessing"]
    rows[-1]["tune_loss"] = 9.0  # of one seed of two
    titled = [axes.get_title() for axes in pictures.curves(pd.DataFrame(rows), titles).axes]
    assert titled == [
        "training loss",
        "tuning loss\nsingle seeds reach 9.00, cut off",
        "tuning AUC",
    ]
    table = pd.DataFrame({"way": list(titles), "train_exams": [10, 10], "auc": [0.5, 0.7]})
    table = table.assign(auc_low=table["auc"] - 0.1, auc_high=table["auc"] + 0.1)
    axes = pictures.exams_needed(table, titles).axes[0]
    drawn = [container.lines[0].get_color() for container in axes.containers]
    assert drawn == [pictures.look_of(titles, way)["color"] for way in titles]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["10"]


def test_backbones_come_from_the_best_weights_that_are_there(study, monkeypatch):
    monkeypatch.setattr(backbones, "torch_cache", lambda: study.root / "nothing")
    assert [words for _, words, _ in backbones.sources(study, "resnet18")] == [
        "random, only the head learns"
    ]
    path = imagenet_folder(study.root) / "alexnet.pt"
    files.write_text(path, "weights")
    note = {"source": "a-package 1.0, its archive", "licence": "BSD"}
    files.write_json(path.with_suffix(".json"), note)
    best, *_, last = backbones.sources(study, "alexnet")
    assert best == (str(path), "ImageNet, by a-package 1.0", "BSD") and last[0] == "none"
    row = backbones.measure(study, SMALL, ("none", "random", "none"), "axial", "acl")
    assert row["draws"] == backbones.DRAWS and row["auc_low"] <= row["auc"] <= row["auc_high"]
    assert row["slices_per_second"] > 0 and row["parameters"] > 1e5


def test_the_notebook_runs_on_any_study_and_a_trial_files_nothing(study, monkeypatch, capsys):
    quick = {"sizes": "10", "few": 10, "epochs": 1, "seeds": 1, "workers": 1}
    names = run_notebook(study, "09_transfer_learning_lab", monkeypatch, **quick)
    assert names["architecture"] == SMALL and not names["usual"]
    assert set(names["predictions"]["way"]) == {"head", "last", "all", "rates", "scratch", "probe"}
    assert len(names["claims"]) == len(names["pairs"]) and "10 exams" in names["summary"]
    assert not (study.results / "lab").exists()
    assert "a trial: nothing is filed" in capsys.readouterr().out
