"""Evidence adds up to the logit, lies where the features lie, and goes through the fusion."""

import numpy as np
import pytest
import torch

from mrnetlib.names import ARCHITECTURES
from mrnetlib.reading.evidence import evidence, mean, through_fusion, watched_module
from mrnetlib.reading.gradcam import grad_cam, occlusion
from mrnetlib.training.networks import ExamNetwork, build_backbone, initialize_kaiming

SIZE = 64


def network_of(architecture: str) -> ExamNetwork:
    torch.manual_seed(0)
    backbone = build_backbone(architecture)
    initialize_kaiming(backbone)
    return ExamNetwork(backbone, 60.0, 50.0).eval()


@pytest.fixture(scope="module")
def networks() -> dict[str, ExamNetwork]:
    return {name: network_of(name) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def slices() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE), dtype=np.uint8)


def logit_of(network: ExamNetwork, slices: np.ndarray) -> float:
    with torch.inference_mode():
        return float(network(torch.from_numpy(slices)[:, None], [len(slices)])[0])


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "shufflenet_v2_x0_5"])
def test_shares_add_up_to_the_logit(architecture, networks, slices):
    network = networks.get(architecture) or network_of(architecture)
    found = evidence(network, slices)
    assert found.logit == pytest.approx(logit_of(network, slices), rel=1e-5)
    assert found.bias + found.shares.sum(dtype=float) == pytest.approx(found.logit, rel=1e-5)
    assert found.bias + found.of_slices().sum() == pytest.approx(found.logit, rel=1e-5)
    assert found.on_pixels().sum(dtype=float) == pytest.approx(found.shares.sum(), rel=1e-4)
    assert found.shares.dtype == np.float32 and found.on_pixels().shape == slices.shape


@pytest.mark.parametrize(
    ("architecture", "count", "start", "step"),
    [("alexnet", 3, 15, 16), ("resnet18", 2, 0, 32), ("googlenet", 2, 22, 32)],
)
def test_the_grid_is_where_the_layers_put_it(architecture, count, start, step, networks, slices):
    found = evidence(networks[architecture], slices)
    assert found.shares.shape == (len(slices), count, count)
    assert (found.start, found.step) == (start, step)


def test_equal_slices_share_nothing_twice(networks, slices):
    doubled = np.concatenate([slices[:1], slices[:1]])
    for network in networks.values():
        found = evidence(network, doubled)
        assert not found.shares[1].any() and found.shares[0].any()
        assert found.bias + found.shares.sum() == pytest.approx(found.logit, rel=1e-5)


def test_a_share_lies_where_what_it_stands_for_is(networks):
    """A bright spot in a dark exam has the largest share, in its own slice and place."""
    spot = np.zeros((3, 256, 256), np.uint8)
    spot[2, 160:200, 40:80] = 255
    found = evidence(networks["alexnet"], spot)
    assert found.shares.shape == (3, 15, 15)
    places = np.abs(found.shares[2])
    row, column = np.unravel_index(places.argmax(), places.shape)
    assert abs(found.start + row * found.step - 180) <= 32
    assert abs(found.start + column * found.step - 60) <= 32
    assert places.max() > np.abs(found.shares[:2]).max()


def test_means_add_up_over_other_grids(networks, slices):
    several = [evidence(network, slices) for network in networks.values()]
    found = mean(several)
    assert found.shares.shape == several[0].shares.shape  # AlexNet's, the finest
    assert found.bias + found.shares.sum() == pytest.approx(found.logit, rel=1e-5)
    by_slice = np.mean([one.of_slices() for one in several], axis=0)
    np.testing.assert_allclose(found.of_slices(), by_slice, rtol=1e-4, atol=1e-5)


def test_shares_go_through_the_fusion(networks, slices):
    planes = {"axial": evidence(networks["alexnet"], slices)}
    planes["coronal"] = evidence(networks["resnet18"], slices)
    found = through_fusion(planes, {"intercept": -2.0, "axial": 3.0, "coronal": 0.5})
    probabilities = {plane: 1 / (1 + np.exp(-one.logit)) for plane, one in planes.items()}
    whole = -2 + 3 * probabilities["axial"] + 0.5 * probabilities["coronal"]
    assert found.logit == pytest.approx(whole)
    for plane, share in found.planes.items():
        inside = found.bases[plane] + found.shares[plane].sum()
        assert inside == pytest.approx(share, rel=1e-4)


def test_nothing_is_left_hooked(networks, slices):
    for network in networks.values():
        evidence(network, slices)
        parts = network.modules()
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in parts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_grad_cam_is_captums(architecture, networks, slices):
    attr = pytest.importorskip("captum.attr")
    network = networks[architecture]
    layer = watched_module(network.backbone)
    theirs = attr.LayerGradCam(lambda given: network(given, [len(given)]), layer)
    given = torch.from_numpy(slices)[:, None].float()
    for rectified in (True, False):
        expected = theirs.attribute(
            given, relu_attributions=rectified, attribute_to_layer_input=True
        )[:, 0].detach()
        found = grad_cam(network, slices, rectified)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert found.any()


def test_grad_cam_before_its_rectifier_is_the_evidence(networks, slices):
    for name in ("resnet18", "googlenet"):
        shares = evidence(networks[name], slices).shares
        np.testing.assert_allclose(
            grad_cam(networks[name], slices, rectified=False), shares, rtol=1e-3, atol=1e-5
        )


def test_occlusion_is_the_fall_of_the_logit(networks, slices):
    network = networks["alexnet"]
    found = occlusion(network, slices, patch=32, step=16, grey=7)
    assert found.shape == (len(slices), 3, 3)
    hidden = slices.copy()
    hidden[1, 32:64, 16:48] = 7
    fall = logit_of(network, slices) - logit_of(network, hidden)
    assert found[1, 2, 1] == pytest.approx(fall, abs=1e-4)
    alone = slices[:1].copy()
    alone[0, :32, :32] = 7
    fall = logit_of(network, slices[:1]) - logit_of(network, alone)
    assert occlusion(network, slices[:1], 32, 32, 7)[0, 0, 0] == pytest.approx(fall, abs=1e-4)
