"""Evidence held against lesions, and exams without them, with a planted truth."""

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_network

from mrnetlib import files, phantom
from mrnetlib import study as studies
from mrnetlib.exams import banks, intensity
from mrnetlib.figures import looks as pictures
from mrnetlib.names import PLANES, TASK_TITLES, TASKS
from mrnetlib.phantom.lesions import LESIONS
from mrnetlib.reading import looks, removed, scores
from mrnetlib.reading.evidence import Evidence
from mrnetlib.settings import Settings
from mrnetlib.study import Study


def planted_evidence(shares):
    """Evidence of 2 x 2 places on slices of 8 pixels."""
    shares = np.array(shares, np.float32)
    return Evidence(float(shares.sum()), 0.0, shares, start=1.5, step=4.0, size=8)


@pytest.fixture
def lesion():
    """Half of the first place of the second of three slices."""
    mask = np.zeros((3, 8, 8), bool)
    mask[1, :4, :2] = True
    return mask


def test_evidence_in_the_lesions_place_scores_what_the_lesion_covers_of_it(lesion):
    nothing = [[0, 0], [0, 0]]
    found = planted_evidence([nothing, [[3, 0], [0, -9]], [[0, 1], [0, 0]]])
    assert scores.score(found, lesion) == pytest.approx((3 / 4 / 2, 1, 0))
    shifted = planted_evidence([[[0, 0.5], [0, 0]], [[0, 0], [2, 0]], nothing])
    assert scores.score(shifted, lesion) == pytest.approx((0, 0, 1))
    assert scores.score(planted_evidence([nothing] * 3), lesion) == (0, 0, 0)
    assert scores.by_chance(found, lesion) == pytest.approx((8 / 192, 1 / 12, 1 / 3))


def test_a_task_is_about_its_own_lesion():
    mask = np.array(list(LESIONS.values()), np.uint8)
    assert scores.lesion_of(mask, "acl").tolist() == [kind == "ACL tear" for kind in LESIONS]
    assert scores.lesion_of(mask, "abnormal").all()


def planted_scores(exams=12, seeds=(0, 1)):
    """Scores of two architectures whose evidence is better than all controls but Grad-CAM."""
    rng, rows = np.random.default_rng(0), []
    means = {"evidence": 0.6, "chance": 0.2, "untrained": 0.25, "shuffled": 0.3, "grad_cam": 0.6}
    for exam in range(exams):
        easy = rng.normal(0, 0.05)
        for architecture in ("alexnet", "resnet18"):
            for seed in seeds:
                for source, mean in means.items():
                    if source == "shuffled" and architecture != "alexnet":
                        continue
                    if source in ("untrained", "shuffled") and seed:
                        continue
                    keys = {"exam": str(exam), "task": "acl", "plane": "axial"}
                    keys |= {"architecture": architecture, "seed": seed, "source": source}
                    noise = 0 if source in ("evidence", "grad_cam") else rng.normal(0, 0.05)
                    rows.append(keys | dict.fromkeys(scores.MEASURES, mean + easy + noise))
    return pd.DataFrame(rows)


def test_controls_are_compared_exam_by_exam():
    summary = scores.summary(planted_scores())
    own = summary[(summary["architecture"] == "all") & (summary["plane"] == "all")]
    own = own[own["measure"] == "inside"].set_index("source")
    assert own.loc["evidence", "estimate"] == pytest.approx(0.6, abs=0.03)
    assert own.loc["evidence", "low"] < 0.6 < own.loc["evidence", "high"]
    assert own.loc["chance", "above"] == pytest.approx(0.4, abs=0.03)
    assert (own.loc[["chance", "untrained", "shuffled"], "above_low"] > 0.2).all()
    assert own.loc["grad_cam", ["above", "above_low", "above_high"]].tolist() == [0, 0, 0]
    assert own["networks"].to_dict() == {
        "evidence": 4, "chance": 4, "untrained": 2, "shuffled": 1, "grad_cam": 4,
    }  # fmt: skip
    said = scores.verdict(own.reset_index())
    assert "clearly above chance, an untrained network and a network trained on" in said
    assert "not told apart from Grad-CAM of the same network." in said
    answer = scores.answer(summary)
    assert "clearly above all controls in none of the measures" in answer
    assert "That Grad-CAM is not beaten has a reason" in answer
    summary.loc[(summary["measure"] == "slice"), "above_low"] += 0.1  # NaN of the evidence stays
    assert "clearly above all controls in *slice*; in *inside*" in scores.answer(summary)


WANTED = [removed.Without("7", {"acl": 1}, "ACL tear", 0.9)]


def said(probabilities, seed=0):
    """What three planes' networks said of an exam and of the same one without its lesion."""
    rows = []
    for name, values in zip(("7", WANTED[0].name), probabilities, strict=True):
        for plane, value in zip(PLANES, values, strict=True):
            keys = {"exam": name, "architecture": "alexnet", "plane": plane, "task": "acl"}
            rows.append(keys | {"seed": seed, "probability": value})
    return pd.DataFrame(rows)


def test_what_a_lesion_adds_is_the_difference_of_two_probabilities():
    weights = {"intercept": -1.0, "axial": 2.0, "coronal": 0.0, "sagittal": 1.0}
    models = pd.DataFrame([{"architecture": "alexnet", "task": "acl", "seed": 0} | weights])
    pairs = removed.pairs(said([(0.9, 0.5, 0.8), (0.4, 0.5, 0.6)]), WANTED, models)
    change = pairs.set_index("view")["change"]
    assert change["axial"] == pytest.approx(0.5) and change["coronal"] == 0
    fused = [1 / (1 + np.exp(-x)) for x in (-1 + 1.8 + 0.8, -1 + 0.8 + 0.6)]
    assert change["multi"] == pytest.approx(fused[0] - fused[1])


@pytest.fixture
def many_pairs():
    """The change grows with the severity, in 20 exams and two architectures."""
    rows = []
    for exam in range(20):
        for architecture in ("alexnet", "resnet18"):
            change = 0.02 * exam
            keys = {"exam": str(exam), "kind": "ACL tear", "severity": exam / 20, "seed": 0}
            keys |= {"architecture": architecture, "task": "acl", "view": "multi"}
            rows.append(keys | {"before": 0.5 + change, "after": 0.5, "change": change})
    return pd.DataFrame(rows)


def test_severer_lesions_are_told_from_milder_ones(many_pairs):
    table = removed.summary(many_pairs)
    own = table[table["architecture"] == "all"].set_index("severity")
    assert own["exams"].to_dict() == {"all": 20, "milder": 10, "severer": 10}
    assert own.loc["severer", "low"] > own.loc["milder", "high"] > own.loc["milder", "low"] > 0
    words = removed.in_words(own.reset_index(), TASK_TITLES)
    assert words.startswith("- ACL tear, without its own lesion: +0.19 (")
    assert "Others whose interval leaves out zero: none." in words


def test_pictures_are_drawn(many_pairs):
    summary = scores.summary(planted_scores(4))
    look = {"measures": scores.MEASURES, "sources": scores.CONTROLS}
    figure = pictures.controls(summary, "architecture", **look)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["ACL tear: all architectures", "ACL tear: AlexNet", "ACL tear: ResNet-18"]
    assert len(pictures.controls(summary, "plane", **look).axes) == 3
    figure = pictures.removed(removed.summary(many_pairs))
    assert [axes.get_title() for axes in figure.axes] == ["ACL tear"]
    figure = pictures.severity(many_pairs, {"ACL tear": "acl"})
    assert figure.axes[0].get_title() == "ACL tear (n = 20)"
    sheet, grey = np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8), np.uint8)
    case = pictures.Case("0001", (grey, grey), (sheet, sheet), (grey > 0, grey > 0), (3, 4))
    figure = pictures.cases({"hits": [case, case], "misses": [case]})
    drawn = [axes.get_xlabel() for axes in figure.axes if axes.get_images()]
    assert drawn == ["points at slice 3", "lesion in slice 4"] * 3


@pytest.fixture(scope="module")
def knees(tmp_path_factory):
    """A study of one test exam of the digital knee, with an ACL tear, its banks and masks."""
    how = {"data": "phantom", "phantom_format": "dicom", "phantom_protocol": "small", "seed": 4}
    settings = Settings(**how, image_size=64, threads=1, architectures=("alexnet",), device="cpu")
    study = Study("own", settings, tmp_path_factory.mktemp("knees"))
    labels = dict.fromkeys(TASKS, 0) | {"abnormal": 1, "acl": 1}
    exam = phantom.make_exam("0009", labels, phantom.protocol_of(settings), settings.seed)
    scale = {plane: intensity.learn([exam.volumes[plane]]) for plane in PLANES}
    intensity.save(study.data / "landmarks.json", scale)
    row = {"exam": "0009", "split": "test", **labels}
    row |= {f"slices_{plane}": len(exam.volumes[plane]) for plane in PLANES}
    inventory = pd.DataFrame([row])
    for plane in PLANES:
        files.write_array(study.data / "lesions" / plane / "0009.npy", exam.lesions[plane])
        volume = intensity.apply(exam.volumes[plane], scale[plane])
        banks.write_bank(study.banks, "test", plane, inventory, [volume])
        banks.write_bank(study.banks, "train", plane, inventory, [volume])
    return study, inventory


def test_an_exam_without_its_lesion_differs_where_the_lesion_was(knees):
    study, inventory = knees
    wanted = removed.lesions_to_remove(inventory, study.settings)
    assert "ACL tear" in [one.kind for one in wanted]
    wanted = [one for one in wanted if one.kind == "ACL tear"]
    folder = removed.image_again(study, wanted, workers=1)
    bank = banks.ExamBank.open(folder, removed.REMOVED, "sagittal")
    assert bank.exams == ["0009 without ACL tear"]
    before = banks.ExamBank.open(study.banks, "test", "sagittal").exam(0).numpy().astype(int)
    apart = np.abs(bank.exam(0).numpy() - before)
    lesion = scores.lesion_of(looks.lesions(study, "sagittal", "0009"), "acl")
    assert apart[lesion].mean() > 5 * apart[~lesion].mean()
    written = files.sha256(folder / "removed_sagittal.npy")
    removed.image_again(study, wanted, workers=1)
    assert files.sha256(folder / "removed_sagittal.npy") == written


def test_exams_of_another_phantom_are_refused(knees, monkeypatch):
    study, inventory = knees
    wanted = removed.lesions_to_remove(inventory, study.settings)
    real = removed.make_exam

    def another(exam, labels, protocol, seed, kind):
        return real(exam, labels, protocol, seed + 1)

    monkeypatch.setattr(removed, "make_exam", another)
    with pytest.raises(files.InputError, match="exam 0009, axial: imaged again"):
        removed.image_again(study, wanted, workers=1)


def test_networks_are_scored_with_all_their_controls(knees, monkeypatch):
    study, inventory = knees
    removed.image_again(study, removed.lesions_to_remove(inventory, study.settings)[:1], workers=1)
    monkeypatch.setattr(looks, "trained", lambda *_: tiny_network())
    monkeypatch.setattr(looks, "shuffled", lambda *_: tiny_network(2))
    monkeypatch.setattr(looks.recipe, "starting_point", lambda *_: None)
    monkeypatch.setattr(looks.recipe, "start", lambda *_: tiny_network(1))
    found = looks.look(study, ("alexnet",), workers=1)
    assert set(found.scores["source"]) == {scores.EVIDENCE, *scores.CONTROLS}
    assert set(found.scores["task"]) == {"abnormal", "acl"}
    assert found.scores[list(scores.MEASURES)].stack().between(0, 1).all()
    assert set(found.said["exam"]) == {"0009", "0009 without ACL tear"}
    assert found.said["probability"].between(0, 1).all()
    sizes = looks.sizes(study)
    assert sizes["places a slice"].tolist() == [60 * 60]
    shown = looks.case(study, "alexnet", "sagittal", "acl", "0009", "words")
    assert shown.lesion[1].any() and shown.evidence[0].shape == (64, 64, 4)
    assert looks.extents(study, inventory).query("task == 'acl'")["shown"].max() == 1


def test_a_study_without_known_lesions_is_refused():
    root = studies.find_root()
    looks.check(studies.load("phantom", root))
    with pytest.raises(files.InputError, match="Notebook 07 needs a phantom's exams"):
        looks.check(studies.load("mrnet", root))
