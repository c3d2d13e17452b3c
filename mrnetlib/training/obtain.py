"""Where ImageNet weights come from: torchvision's files, and packages that pip can bring.

torchvision's files lie on a server that a closed network may not reach, where it often reaches a
package registry. Packages carry AlexNet's convolutions, which are torchvision's, and MobileNetV2's
(`mrnetlib.training.packaged`). They are kept in ``data/weights/``, where studies with
``weights: imagenet`` look first, torchvision's files in torch's cache.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torchvision

from mrnetlib.files import InputError, read_json, sha256, write_json, written_whole
from mrnetlib.names import ARCHITECTURES, known_architectures
from mrnetlib.study import find_root, imagenet_folder
from mrnetlib.training.checkpoints import save_tensors
from mrnetlib.training.download import OFFLINE_VARIABLE, FetchError, fetch, offline
from mrnetlib.training.packaged import PACKAGES, Package, never_saw_data, weights_in

#: In setuptools' place it tells pip which package a source archive is, and runs no setup.py.
BACKEND = """
from pathlib import Path

class __legacy__:
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        name = "{name}-{version}.dist-info"
        Path(folder, name).mkdir()
        text = "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
        Path(folder, name, "METADATA").write_text(text)
        return name
"""


def main(folder: Path | None = None) -> int:
    """``python -m mrnetlib weights``: get the files, say where they are, and give 0.

    Parameters
    ----------
    folder : with torchvision's files or the packages' archives; without, pip brings the archives.

    Raises
    ------
    InputError
        For what is not to be had, damaged, not as expected, or not trained.
    """
    target = imagenet_folder(find_root())
    lines = _from_pip(target) if folder is None else _from_folder(folder, target)
    for line in lines:
        print(line, flush=True)
    return 0


def _from_pip(target: Path) -> Iterator[str]:
    for package in PACKAGES:
        path = target / f"{package.architecture}.pt"
        if _is_there(package, path):
            yield f"{package.architecture}: {path} is there already"
            continue
        yield f"{package.architecture}: pip fetches {package.archive}"
        with tempfile.TemporaryDirectory() as temporary:
            yield _write(package, _download(package, Path(temporary)), path)


def _from_folder(folder: Path, target: Path) -> Iterator[str]:
    packages = [package for package in PACKAGES if (folder / package.archive).is_file()]
    hubs = [folder / name for name in _torchvisions() if (folder / name).is_file()]
    if not packages and not hubs:
        names = [*map(weight_file, ARCHITECTURES), *(package.archive for package in PACKAGES)]
        raise InputError(
            f"{folder}: holds no file of ImageNet weights, expected some of {', '.join(names)}. "
            "Give the folder that they are in, under these names."
        )
    for path in hubs:
        _check_name(path)
        _check_norms(path)
    for path in hubs:
        with written_whole(torch_cache() / path.name) as temporary:
            shutil.copyfile(path, temporary)
        yield f"{path.name}: {torch_cache() / path.name}, torchvision's own (BSD-3-Clause)"
    for package in packages:
        yield _write(package, folder / package.archive, target / f"{package.architecture}.pt")


def _is_there(package: Package, path: Path) -> bool:
    """Whether a package's weights were taken from this very archive, and are undamaged."""
    note = path.with_suffix(".json")
    if not (path.is_file() and note.is_file()):
        return False
    found = read_json(note)
    return found["archive_sha256"] == package.sha256 and found["sha256"] == sha256(path)


def _download(package: Package, folder: Path) -> Path:
    """Have pip fetch a package's archive into a folder; it checks the SHA-256 before all else.

    pip wants to know a source archive's name from its setup.py. `BACKEND` tells it instead.
    """
    if offline():
        raise InputError(
            f"{package.archive}: is not here, and {OFFLINE_VARIABLE} forbids the network. Bring "
            "the file from elsewhere and give its folder with --from."
        )
    backend = folder / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    text = BACKEND.format(name=package.name.replace("-", "_"), version=package.version)
    (backend / "build_meta.py").write_text(text, encoding="utf-8")
    wanted = folder / "wanted.txt"
    line = f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n"
    wanted.write_text(line, encoding="utf-8")
    kind = "--only-binary" if package.archive.endswith(".whl") else "--no-binary"
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--retries",
        "1",
        "--timeout",
        "30",
    ]
    options += ["--no-deps", "--require-hashes", "--no-build-isolation", "--use-pep517"]
    command = [sys.executable, "-m", "pip", "download", *options, kind, ":all:"]
    command += ["--dest", str(folder), "--requirement", str(wanted)]
    path = os.pathsep.join(filter(None, [str(backend.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InputError(
            f"{package.archive}: pip could not fetch it ({_reason(done.stderr)}). Run it again "
            "with a network, or bring the file from elsewhere and give its folder with --from."
        )
    return folder / package.archive


def _reason(errors: str) -> str:
    """The line of pip's errors that says most."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()] or ["it does not say"]
    first = next((line for line in lines if line.startswith("ERROR:")), lines[-1])
    return first.removeprefix("ERROR:").strip().partition(". ")[0].rstrip(".")


def _write(package: Package, archive: Path, path: Path) -> str:
    """Write a package's weights, and where they are from beside; say so in a line."""
    save_tensors(path, weights_in(package, archive))
    note = {
        "architecture": package.architecture,
        "source": f"{package.name} {package.version}, {package.archive}, {package.member}",
        "licence": package.licence,
        "archive_sha256": package.sha256,
        "sha256": sha256(path),
    }
    write_json(path.with_suffix(".json"), note)
    origin = f"{package.name} {package.version} ({package.licence})"
    return f"{package.architecture}: {path}, from {origin}"


def torch_cache() -> Path:
    """The folder where torchvision looks for its files of weights."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def weight_file(architecture: str) -> str:
    """Name of torchvision's ImageNet weight file, for example ``resnet18-f37072fd.pth``."""
    weights = torchvision.models.get_model_weights(architecture)
    return Path(weights.IMAGENET1K_V1.url).name


def _torchvisions() -> list[str]:
    """The names of all files of weights that networks of a study could start from."""
    of = torchvision.models.get_model_weights
    known = [name for name in known_architectures() if hasattr(of(name), "IMAGENET1K_V1")]
    return [weight_file(name) for name in known]


def _check_name(path: Path) -> None:
    """Refuse a file of torchvision's whose SHA-256 does not begin as its name ends."""
    expected = _digest_in(path)
    if not sha256(path).startswith(expected):
        raise InputError(
            f"{path}: damaged, its SHA-256 does not begin with {expected}. Delete it and fetch it "
            "again."
        )


def _check_norms(path: Path) -> None:
    """Refuse a file whose batch norms never saw data, whatever it is called."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        norm = never_saw_data(state)
    except Exception as error:
        raise InputError(
            f"{path}: not a file of weights alone ({type(error).__name__}). Fetch it again."
        ) from None
    if norm:
        raise InputError(
            f"{path}: the weights are not trained ({norm} is 1 throughout: this batch norm never "
            "saw data). Nothing was taken."
        )


def _digest_in(path: Path) -> str:
    """What the SHA-256 of a file of torchvision's begins with, as its name says."""
    return path.stem.rpartition("-")[2]


def fetch_torchvision(architecture: str) -> None:
    """Have torchvision's weight file in torch's cache, whole: its name ends in its SHA-256.

    Raises
    ------
    InputError
        When it is neither cached nor to be had, or is damaged.
    """
    url = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1.url
    path = torch_cache() / weight_file(architecture)
    if path.is_file():
        _check_name(path)
        return
    try:
        fetch(url, path, _digest_in(path))
    except FetchError as error:
        files = ", ".join(weight_file(name) for name in ARCHITECTURES)
        by_pip = " and ".join(package.architecture for package in PACKAGES)
        raise InputError(
            f"ImageNet weights of {architecture}: {path.name} is not here and could not "
            f"be fetched ({error}). 'python -m mrnetlib weights' gets those of {by_pip} by "
            f"pip; or fetch torchvision's files {files} on a machine with a network and "
            f"put them into {path.parent}, which 'python -m mrnetlib weights --from "
            "FOLDER' does; or set 'weights: none' in the study file."
        ) from None
