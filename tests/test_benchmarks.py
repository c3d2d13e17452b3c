"""The benchmarks measure what they say: the loops learn alike, the ratios are those of a round."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks import alternate, flip, full_size, probes, recipe, reference, scaling, step
from mrnetlib import study
from mrnetlib.exams import mrnet
from mrnetlib.exams.banks import ExamBank
from mrnetlib.training.convolutions import MapConv2d
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.starting import starting_backbone


def counting(slices):
    """A loop for `take_turns` that works on so many slices; each call takes no time."""

    def loop():
        return slices

    return loop


class Making:
    """Makes `counting` loops, in whatever process it is called."""

    def __init__(self, slices):
        self.slices = slices

    def __call__(self):
        return counting(self.slices)


def test_loops_take_turns_in_processes_of_their_own():
    rates, memory = alternate.take_turns({"one": Making(1), "many": Making(10**6)}, 3, "test")
    assert rates.shape == (3, 2)
    assert (rates["many"] > rates["one"]).all()
    assert (memory > 1).all() or sys.platform == "win32"


def test_a_loop_that_cannot_be_made_is_an_error():
    with pytest.raises(EOFError):
        alternate.take_turns({"none": Making}, 1, "test")  # gives an object that needs a number


def test_ratios_are_medians_over_the_rounds():
    """The machine may slow down between rounds; within one, both loops meet the same."""
    rates = pd.DataFrame({"ours": [9.0, 1.8, 0.9], "limit": [10.0, 2.0, 1.0]})
    assert alternate.ratio(rates, "ours", "limit") == pytest.approx(0.9)
    assert alternate.spread(rates["ours"]) == [0.9, 9.0]


def test_the_generated_plane_is_as_large_as_mrnets(tmp_path):
    counts = full_size.slice_counts()
    least, median, most, total = mrnet.SLICES["train"][full_size.PLANE]
    assert len(counts) == mrnet.COUNTS["train"]["exams"]
    assert (counts.min(), np.median(counts), counts.max()) == (least, median, most)
    assert counts.sum() == pytest.approx(total, rel=0.1)
    chosen = full_size.choose(3)
    paths = full_size.write(tmp_path, chosen)
    bank = ExamBank.open(tmp_path, "train", full_size.PLANE, checked=False)
    assert bank.lengths.tolist() == counts.tolist()
    for index, path in zip(chosen, paths, strict=True):
        assert np.array_equal(bank.exam(index).numpy(), np.load(path))
    assert bank.select(chosen).labels["acl"].nunique() == 2


@pytest.mark.parametrize("architecture", ["alexnet", "resnet18"])
def test_the_reference_is_the_same_network(architecture):
    """Three equal channels, another layout, one exam: the same logit from the same weights."""
    torch.manual_seed(0)
    ours = ExamNetwork(starting_backbone(architecture, "none"), mean=50, std=50).eval()
    theirs = reference.Network(architecture).eval()
    theirs.backbone.load_state_dict(ours.backbone.state_dict())
    theirs.classifier.load_state_dict(ours.head.state_dict())
    exam = torch.randint(0, 256, (3, 1, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        wanted = ours(exam, [3])
        logit = theirs(((exam.float() - 50) / 50).repeat(1, 3, 1, 1).unsqueeze(0))
    assert logit.item() == pytest.approx(wanted.item(), rel=1e-3, abs=1e-4)


def test_the_reference_trains(tmp_path):
    paths = []
    for index in range(2):
        paths.append(tmp_path / f"{index}.npy")
        np.save(paths[-1], np.full((3, 64, 64), 40 + 100 * index, np.uint8))
    network = reference.Network("alexnet")
    before = network.classifier.weight.detach().clone()
    optimizer = torch.optim.Adam(network.parameters())
    exams = reference.loader(paths, torch.device("cpu"), augment=True)
    assert reference.train_epoch(network, optimizer, exams, torch.device("cpu")) == 6
    assert not torch.equal(before, network.classifier.weight)
    assert reference.predict(network, exams, torch.device("cpu")) == 6


def test_recipes_are_compared_in_pairs():
    rows = [
        case | {"tune_auc": 0.7 + 0.02 * case["seed"], "tune_loss": 0.2, "seconds": 10}
        for case in recipe.all_cases(recipe.VARIED, ["acl", "meniscus"], 5)
    ]
    for row in rows:
        if row["value"] == "bf16":
            row |= {"tune_auc": row["tune_auc"] + 0.01, "seconds": 5}
    table = recipe.compared(pd.DataFrame(rows)).set_index(["setting", "value", "architecture"])
    found = table.loc["precision", "bf16", "alexnet"]
    assert found["pairs"] == 10
    assert found["tune_auc difference"] == pytest.approx(0.01)
    assert found["tune_auc low"] == pytest.approx(found["tune_auc high"])
    assert found["times as fast"] == 2
    assert table.loc["batch_exams", 1, "googlenet"]["tune_auc difference"] == pytest.approx(0)


def test_every_case_is_trained_with_its_own_value_and_seed(monkeypatch):
    def train(this, architecture, plane, task, **changes):
        return {"tune_auc": 0.5, "told": (this.name, architecture, plane, task, changes)}

    monkeypatch.setattr(recipe, "train", train)
    cases = recipe.all_cases({"flip": (0.0, 0.5)}, ["acl"], 2, ["axial"], ["alexnet"])
    table = recipe.trained(study.load("phantom"), cases, workers=1)
    assert sorted(zip(table["value"], table["seed"], strict=True)) == [
        (0.0, 0), (0.0, 1), (0.5, 0), (0.5, 1),
    ]  # fmt: skip
    for row in table.itertuples():
        changes = {"flip": row.value, "seed": row.seed}
        assert row.told == ("phantom", "alexnet", "axial", "acl", changes)


def test_the_flip_is_compared_plane_by_plane():
    planes, flips = ["axial", "sagittal"], flip.VARIED["flip"]
    cases = flip.all_cases(planes, ["acl"], 3, "alexnet")
    assert len(cases) == len(planes) * len(flips) * 3
    assert {(case["plane"], case["setting"]) for case in cases} == {
        ("axial", "flip"), ("sagittal", "flip_sagittal"),
    }  # fmt: skip
    cost = {("sagittal", 0.5): 0.15}
    rows = [
        case
        | {"tune_auc": 0.8 + 0.01 * case["seed"] - cost.get((case["plane"], case["value"]), 0)}
        | {"tune_loss": 0.2, "seconds": 1}
        for case in cases
    ]
    table = recipe.compared(pd.DataFrame(rows), flip.VARIED, of="plane").set_index("plane")
    assert table["value"].tolist() == [0.5, 0.5]
    assert table["tune_auc difference"].to_dict() == pytest.approx({"axial": 0, "sagittal": -0.15})


def test_a_network_is_compared_with_the_probe_that_it_starts_from():
    """Exams in another order, several seeds, and a network that fine-tuning made worse."""
    rng = np.random.default_rng(0)
    exams, label = [f"{number:04d}" for number in range(60)], np.arange(60) % 2

    def said(strength):
        return pd.DataFrame(
            {"exam": exams, "split": "test", "label": label}
            | {"probability": 1 / (1 + np.exp(-strength * (label - 0.5) - rng.normal(size=60)))}
        )

    before, tuned = [], []
    for task, after in {"acl": 4.0, "meniscus": 0.2}.items():
        key = {"architecture": "alexnet", "plane": "axial", "task": task}
        before.append(said(1.5).assign(**key))
        tuned += [said(after).assign(**key, seed=seed).sample(frac=1, random_state=seed)
                  for seed in (7, 8)]  # fmt: skip
    pairs = probes.paired(pd.concat(tuned), pd.concat(before))
    table = probes.per_network(pairs).set_index("task")
    for place, task in enumerate(("acl", "meniscus")):
        after = [roc_auc_score(one["label"], one["probability"])
                 for one in tuned[2 * place : 2 * place + 2]]  # fmt: skip
        start = roc_auc_score(before[place]["label"], before[place]["probability"])
        assert table.loc[task, "probe"] == pytest.approx(start)
        assert table.loc[task, "difference"] == pytest.approx(np.mean(after) - start)
    assert (table["difference"] > 0).to_dict() == {"acl": True, "meniscus": False}
    (mean,) = probes.on_average(pairs)
    assert mean["networks"] == 2 and mean["low"] < mean["difference"] < mean["high"]
    assert mean["difference"] == pytest.approx(table["difference"].mean())


def test_a_linear_cost_is_told_from_a_square_one():
    slices = np.array([10, 20, 40, 80])
    costs = {"linear": 0.1 * slices, "square": 0.1 * slices**2}
    rows = [
        {"architecture": name, "grows": "exams", "slices": count, "seconds": seconds}
        for name, cost in costs.items()
        for count, seconds in zip(slices, cost, strict=True)
    ]
    power = scaling.lines(pd.DataFrame(rows))["seconds grow as slices to the power of"]
    assert power.tolist() == pytest.approx([1, 2])


def test_a_step_is_measured_with_and_without_matrix_products(monkeypatch):
    """All loops make steps; where slices vary, they vary about the same number."""
    monkeypatch.setattr(step, "EXAMS", {64: [4, 4]})
    row = step.measure("alexnet", 64, "fp32", rounds=1)
    assert row["times as fast"] == pytest.approx(row["ours"] / row["ordinary"])
    assert min(row["ours"], row["ordinary"], row["ours, slices vary"]) > 0
    several = [next(counts) for counts in [iter(step.counts(64, vary=True))] for _ in step.VARIES]
    assert {len(exams) for exams in several} == {2}
    assert len({sum(exams) for exams in several}) == len(several)
    assert np.mean([sum(exams) for exams in several]) == 8
    backbone = step.with_ordinary_convolutions(starting_backbone("alexnet", "none"))
    assert not [part for part in backbone.modules() if isinstance(part, MapConv2d)]
