import copy

import pytest
import torch
from conftest import slices_of, tiny_network
from torch import nn

from mrnetlib.files import InputError
from mrnetlib.names import ARCHITECTURES
from mrnetlib.training import networks, weights
from mrnetlib.training.checkpoints import save_tensors
from mrnetlib.training.networks import ExamNetwork, build_backbone
from mrnetlib.training.starting import starting_backbone

FEATURES = {"alexnet": 256, "resnet18": 512, "googlenet": 1024, "densenet121": 1024}


@pytest.mark.parametrize("architecture", FEATURES)
def test_slices_become_one_logit_per_exam(architecture):
    torch.manual_seed(0)
    network = ExamNetwork(build_backbone(architecture), 100, 50)
    assert network.head.in_features == FEATURES[architecture]
    logits = network(slices_of(5), [3, 2])
    assert logits.shape == (2,)
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters()), "all parameters are trained"


def with_torchvisions_own(architecture, imagenet=True):
    """A backbone, and torchvision's network of the same weights for three channels.

    Random weights stand in for ImageNet's, whose input torchvision transforms.
    """
    torch.manual_seed(0)
    backbone = build_backbone(architecture).eval()
    networks.initialize_kaiming(backbone)
    original = networks.build_classifier(architecture).eval()
    names = backbone.state_dict()
    if isinstance(backbone, nn.Sequential):
        names = {name.replace("0.", "features.", 1): value for name, value in names.items()}
    original.load_state_dict(names, strict=False)
    if hasattr(original, "fc"):
        original.fc = nn.Identity()
    else:
        original.avgpool, original.classifier = nn.AdaptiveAvgPool2d(1), nn.Identity()
    if imagenet:
        weights.expect_imagenet_channels(backbone)
        original.transform_input = hasattr(original, "transform_input")
    return backbone, original


@pytest.mark.parametrize("imagenet", [True, False])
@pytest.mark.parametrize(
    "architecture", ["alexnet", "resnet18", "googlenet", "inception_v3", "densenet121"]
)
def test_one_channel_is_three_equal_channels(architecture, imagenet):
    """The grey first convolution against torchvision's own classifier fed grey as RGB."""
    backbone, original = with_torchvisions_own(architecture, imagenet)
    x = slices_of(2, 96) / 50 - 2.5
    grey, colour = backbone(x), original(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(grey, colour, rtol=1e-4, atol=1e-5 * colour.abs().max().item())


@pytest.mark.parametrize(
    ("architecture", "first"),
    [("googlenet", "conv1.conv"), ("inception_v3", "Conv2d_1a_3x3.conv")],
)
def test_transformed_channels_have_their_own_gradients(architecture, first):
    """So Adam's steps and the weight decay are those of torchvision's network."""
    backbone, original = with_torchvisions_own(architecture)
    x = slices_of(2, 32) / 50 - 2.5
    ours, theirs = backbone.get_submodule(first), original.get_submodule(first)
    ours(x).square().mean().backward()
    theirs(original._transform_input(x.expand(-1, 3, -1, -1))).square().mean().backward()
    assert not torch.allclose(ours.weight.grad[:, 0], ours.weight.grad[:, 1], rtol=1e-2)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-3, atol=1e-5)


def test_what_the_channels_are_goes_where_the_weights_go(tmp_path):
    backbone, _ = with_torchvisions_own("googlenet")
    x = slices_of(2, 32) / 50 - 2.5
    wanted, plain = backbone(x), build_backbone("googlenet").eval()
    assert torch.equal(copy.deepcopy(backbone)(x), wanted)
    plain.load_state_dict(backbone.state_dict())
    assert torch.equal(plain(x), wanted)
    save_tensors(tmp_path / "own.pt", backbone.state_dict())
    assert torch.equal(starting_backbone("googlenet", str(tmp_path / "own.pt")).eval()(x), wanted)
    network = ExamNetwork(backbone, 100, 50)
    again = ExamNetwork(build_backbone("googlenet"), 0, 1)
    again.load_state_dict(network.state_dict())
    exam = slices_of(2, 32)
    with torch.no_grad():
        logit = network.eval()(exam, [2])
        assert torch.equal(again.eval()(exam, [2]), logit)
        first, fast = network.backbone.conv1.conv, network.normalized(exam)
        with torch.autocast("cpu", torch.bfloat16):
            short = first(fast)
    assert short.dtype == torch.bfloat16
    torch.testing.assert_close(short.float(), first(fast), rtol=0.02, atol=0.05)


def test_without_imagenet_weights_nothing_is_kept_of_the_channels():
    for architecture in ("googlenet", "inception_v3", "alexnet"):
        state = build_backbone(architecture).state_dict()
        assert not [name for name in state if name.endswith(networks.AFFINE)]


def test_the_first_convolution_keeps_its_three_channel_weights():
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 4, 3)
    grey = copy.deepcopy(plain)
    grey.__class__ = networks.GreyConv2d
    x = torch.rand(2, 1, 8, 8)
    assert grey.weight.shape == (4, 3, 3, 3)
    plain(x.expand(-1, 3, -1, -1)).square().sum().backward()
    grey(x).square().sum().backward()
    assert (plain.weight.grad - grey.weight.grad).abs().max() < 1e-5


def test_packed_exams_are_as_one_by_one():
    network = tiny_network().eval()
    slices = slices_of(9, 16)
    together = network(slices, [2, 4, 3])
    apart = torch.cat([network(part, [len(part)]) for part in slices.split([2, 4, 3])])
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)


def test_packed_alexnet_has_the_gradient_of_its_exams():
    torch.manual_seed(0)
    network = ExamNetwork(build_backbone("alexnet"), 100, 50)
    slices = slices_of(5)
    network(slices, [2, 3]).sum().backward()
    together = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    for part in slices.split([2, 3]):
        network(part, [len(part)]).sum().backward()
    for one, parameter in zip(together, network.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-3, atol=1e-6)


def test_an_exam_is_the_maximum_over_its_slices():
    network = tiny_network().eval()
    slices = slices_of(6, 16)
    with torch.no_grad():
        features = network.features(slices)
        by_hand = network.head(features.amax(0))
        assert torch.allclose(network(slices, [6]), by_hand)
        order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
        assert torch.equal(network(slices[order], [6]), network(slices, [6]))


def test_mean_and_std_travel_with_the_weights():
    network = ExamNetwork(tiny_network().backbone, mean=12.5, std=3)
    other = ExamNetwork(tiny_network().backbone, mean=0, std=1)
    other.load_state_dict(network.state_dict())
    assert (other.mean.item(), other.std.item()) == (12.5, 3)


@pytest.mark.parametrize("architecture", ["googlenet", "resnet18"])
def test_features_have_no_dropout(architecture):
    """A maximum over slices after dropout would train on another scale than it tests."""
    layers = build_backbone(architecture).modules()
    assert not any(isinstance(layer, nn.Dropout) for layer in layers)


def test_the_smallest_image_of_an_architecture_is_named():
    networks.check_image_size("alexnet", 63)
    with pytest.raises(InputError, match="image_size is 64, and inception_v3 takes 75 pixels"):
        networks.check_image_size("inception_v3", 64)


@pytest.mark.parametrize("architecture", ["resnet81", "AlexNet", "swin_t", "raft_large"])
def test_unknown_and_unfit_architectures_are_refused(architecture):
    with pytest.raises(InputError, match=f"architecture '{architecture}'.*alexnet"):
        build_backbone(architecture)
    with pytest.raises(InputError, match="neither a linear classifier nor"):
        networks.without_classifier(nn.Sequential(), architecture)


def test_kaiming_is_seeded_and_keeps_the_signal_up():
    first, again, other = (starting_backbone("resnet18", "none", seed) for seed in (0, 0, 1))
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    first = starting_backbone("alexnet", "none")
    torch.manual_seed(0)
    default = build_backbone("alexnet")
    x = (slices_of(4, 128) - 127) / 74
    with torch.no_grad():
        assert first.eval()(x).std() > 5 * default.eval()(x).std()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_layer_works_in_the_fast_memory_format(architecture):
    """One grey channel fits every format, and torch falls back to the slow one by itself."""
    backbone = build_backbone(architecture)
    weights.expect_imagenet_channels(backbone)
    network = ExamNetwork(backbone, 100, 50)
    slow = []

    def look(name):
        def hook(module, inputs, output):
            if output.ndim == 4 and not output.is_contiguous(memory_format=torch.channels_last):
                slow.append(name)

        return hook

    for name, module in network.backbone.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d | nn.ReLU):
            module.register_forward_hook(look(name))
    network(torch.zeros(2, 1, 64, 64, dtype=torch.uint8), [2])
    assert slow == []
