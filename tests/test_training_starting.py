import pytest
import torch
from conftest import needs_gpu, tiny_network

from mrnetlib.evaluation.roc import auc
from mrnetlib.training import networks, predict, starting
from mrnetlib.training.checkpoints import fingerprint


@pytest.mark.parametrize("task", ["abnormal", "acl", "meniscus"])
def test_a_probed_head_starts_from_what_the_features_know(planted, task):
    network = tiny_network()
    backbone = fingerprint(network.backbone)
    bank = planted["train"]
    labels = bank.labels[task].to_numpy()
    starting.probe_head(network, predict.exam_features(network, bank), labels)
    assert fingerprint(network.backbone) == backbone, "only the head is set"
    probability = predict.predict(network, bank)
    assert auc(bank.labels[task], probability) > 0.8
    assert (
        probability[bank.labels[task] == 1].mean()
        > 0.5
        > probability[bank.labels[task] == 0].mean()
    )
    again = tiny_network()
    starting.probe_head(again, predict.exam_features(again, bank), labels)
    assert fingerprint(again) == fingerprint(network)


def test_other_architectures_start_from_other_random_numbers():
    first, second = (starting.starting_backbone(name, "none") for name in ("resnet18", "resnet34"))
    assert not torch.equal(first.conv1.weight, second.conv1.weight)


def test_networks_of_one_backbone_differ_in_their_heads_alone(planted):
    backbone = tiny_network().backbone
    first, again, other = (
        starting.starting_network(backbone, planted["train"], seed) for seed in (1, 1, 2)
    )
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)
    assert fingerprint(first.backbone) == fingerprint(other.backbone) == fingerprint(backbone)
    assert first.mean.item() == pytest.approx(planted["train"].mean)
    assert first.backbone is not backbone


@needs_gpu
def test_a_network_starts_where_its_backbone_is(planted):
    backbone = starting.starting_backbone("alexnet", "none").to("cuda")
    network = starting.starting_network(backbone, planted["train"], 0)
    assert {parameter.device.type for parameter in network.parameters()} == {"cuda"}
    assert predict.predict(network, planted["test"].select([0, 1])).shape == (2,)


def test_features_are_counted_on_the_backbones_device():
    """Without a GPU, too: on the device that only keeps shapes, a CPU image would be refused."""
    assert networks.count_features(tiny_network().backbone.to("meta")) == 8
