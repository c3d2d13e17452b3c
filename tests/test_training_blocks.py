"""What is frozen stays as it is, what learns slowly does, and without a wish nothing changes."""

import copy
from dataclasses import replace

import pytest
import torch
from conftest import slices_of, tiny_network

from mrnetlib import settings as settings_of
from mrnetlib.files import InputError
from mrnetlib.settings import Settings
from mrnetlib.training import finetune, recipe
from mrnetlib.training.blocks import BLOCKS, blocks, freeze, groups
from mrnetlib.training.networks import ExamNetwork, build_backbone

SETTINGS = Settings(
    epochs=2, learning_rate=0.01, batch_exams=4, precision="fp32", device="cpu", threads=1
)


def network_of(architecture):
    return ExamNetwork(build_backbone(architecture), mean=100, std=50)


def learning(network):
    return {name for name, value in network.named_parameters() if value.requires_grad}


@pytest.mark.parametrize(
    ("architecture", "last"),
    [
        ("alexnet", "backbone.0.10."),
        ("resnet18", "backbone.layer4."),
        ("googlenet", "backbone.inception5"),
        ("densenet121", "backbone.features.denseblock4."),
        ("shufflenet_v2_x0_5", "backbone.conv5."),
    ],
)
def test_the_last_block_is_that_of_the_architecture(architecture, last):
    with torch.device("meta"):
        backbone = build_backbone(architecture)
    found = blocks(backbone)
    names = {id(value): f"backbone.{name}" for name, value in backbone.named_parameters()}
    assert [id(one) for part in found for one in part] == list(names), "none left out, in order"
    assert len(found) >= 4 and all(found)
    own = [names[id(one)] for one in found[-1]]
    assert own[0].startswith(last) and all(n.startswith((last, "backbone.features.n")) for n in own)


@pytest.mark.parametrize("architecture", BLOCKS)
def test_blocks_begin_where_the_architecture_has_parts_of_these_names(architecture):
    with torch.device("meta"):
        backbone = build_backbone(architecture)
    assert len(blocks(backbone)) == len(BLOCKS[architecture])
    assert all(blocks(backbone)), "a name that no part has would leave its block empty"


def test_without_a_wish_the_optimizer_and_the_network_are_the_usual_ones():
    network = network_of("alexnet")
    freeze(network, SETTINGS.freeze)
    (group,) = groups(network, SETTINGS.block_rate)
    assert list(group) == ["params"]
    assert all(a is b for a, b in zip(group["params"], network.parameters(), strict=True))
    assert all(part.training for part in network.train().modules())
    assert not any(part.training for part in network.eval().modules())


def test_what_is_frozen_stays_to_the_bit_and_the_rest_learns(planted):
    for how, still in (("none", 0), ("early", 1), ("backbone", 2)):
        network = tiny_network()
        network.backbone.insert(1, torch.nn.Conv2d(8, 8, 1))  # a second block
        before = {name: value.clone() for name, value in network.state_dict().items()}
        own = replace(SETTINGS, freeze=how, epochs=1)
        finetune.fit(network, planted["train"], planted["tune"], "acl", own, progress=False)
        moved = [n for n, v in network.named_parameters() if not torch.equal(v, before[n])]
        assert {name.rpartition(".")[0] for name in moved} == {
            *["backbone.0", "backbone.1"][still:],
            "head",
        }


def test_a_frozen_batch_norm_keeps_its_statistics():
    network = tiny_network(batch_norm=True)
    before = network.backbone[1].running_mean.clone()
    freeze(network, "backbone")
    network.train()(slices_of(3, 16), [3])
    assert torch.equal(network.backbone[1].running_mean, before)
    freeze(network, "none")
    network.train()(slices_of(3, 16), [3])
    assert not torch.equal(network.backbone[1].running_mean, before)


@pytest.mark.parametrize(
    ("how", "saw_data", "kept"),
    [("kept", True, True), ("batch", True, False), ("kept", False, False)],
)
def test_batch_norms_keep_the_statistics_they_start_with(planted, how, saw_data, kept):
    """And learn their factors all the same; whatever the settings call them, random weights have
    nothing to keep."""
    network = tiny_network(batch_norm=True)
    norm = network.backbone[1]
    if saw_data:
        norm.running_var.fill_(0.5)
    before = copy.deepcopy(norm)
    own = replace(SETTINGS, batch_norm=how, weights="pretrained")
    finetune.fit(network, planted["train"], planted["tune"], "acl", own, progress=False)
    assert torch.equal(norm.running_mean, before.running_mean) == kept
    assert torch.equal(norm.running_var, before.running_var) == kept
    assert not torch.equal(norm.weight, before.weight)
    network.train()
    alone, together = slices_of(3, 16), torch.cat([slices_of(3, 16), 255 - slices_of(3, 16)])
    company = network(together, [3, 3])[0]
    assert torch.allclose(network(alone, [3])[0], company) == kept, "an exam's company matters"


def test_each_block_learns_at_its_rate():
    network = network_of("alexnet")
    found = groups(network, 0.5)
    assert [group["times"] for group in found] == [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    assert sum(len(group["params"]) for group in found) == len(list(network.parameters()))
    freeze(network, "early")
    assert [group["times"] for group in groups(network, 0.5)] == [1 / 2, 1]


def test_a_step_of_adam_is_as_long_as_the_blocks_rate(planted):
    network = tiny_network()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    own = replace(SETTINGS, block_rate=0.1, weight_decay=0.0)
    optimizer = finetune.new_optimizer(network, own)
    finetune.train_epoch(network, optimizer, planted["train"].select([0, 1]), "acl", own, 1)
    moved = {n: (v - before[n]).abs().max().item() for n, v in network.named_parameters()}
    assert moved["head.bias"] == pytest.approx(0.01, rel=1e-3)  # Adam's first step is the rate
    assert moved["backbone.0.bias"] == pytest.approx(0.001, rel=1e-2)


def test_exams_are_drawn_by_the_seed_and_the_rest_is_not_learned_from(planted):
    few = replace(SETTINGS, exams=10, epochs=1)
    chosen = recipe.chosen(planted["train"], few)
    assert len(chosen) == 10 and set(chosen) != set(
        recipe.chosen(planted["train"], replace(few, seed=1))
    )
    assert len(recipe.chosen(planted["train"], SETTINGS)) == len(planted["train"])
    results = []
    for bank in (planted["train"], planted["train"].select(chosen)):
        banks = {"train": bank, "tune": planted["tune"]}
        tuning = {"tune": planted["tune"]}
        network = tiny_network()
        results.append(recipe.train(network, "acl", banks, few, tuning, progress=False)[0])
    assert results[0]["train_loss"].tolist() == results[1]["train_loss"].tolist()


def test_a_wrong_wish_names_what_is_known():
    with pytest.raises(InputError, match="freeze is 'all', expected one of none, backbone, early"):
        settings_of.changed(SETTINGS, freeze="all")
    with pytest.raises(InputError, match="block_rate is 2"):
        settings_of.changed(SETTINGS, block_rate=2.0)
