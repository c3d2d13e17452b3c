"""Files of starting weights are loaded: torchvision's for ImageNet, and a user's own."""

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from mrnetlib.files import InputError
from mrnetlib.training.checkpoints import read_tensors
from mrnetlib.training.networks import AFFINE, GreyConv2d, without_classifier
from mrnetlib.training.obtain import fetch_torchvision

#: Of the red, green and blue values (0..1) of ImageNet's training images.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def load_imagenet(backbone: nn.Module, architecture: str) -> None:
    """Load torchvision's ImageNet weights into a backbone, in place.

    The file is downloaded once, hash-checked at every use, and kept in torch's cache.

    Raises
    ------
    InputError
        When the file is neither cached nor to be had; the message names the files of the paper's
        three architectures and the folder they go to.
    """
    fetch_torchvision(architecture)
    # torchvision knows the old names inside some of its files; what it loads fits the backbone.
    classifier = torchvision.models.get_model(architecture, weights="IMAGENET1K_V1")
    state = without_classifier(classifier, architecture).state_dict()
    load_state(backbone, state, f"ImageNet weights of {architecture}")
    expect_imagenet_channels(backbone)


def expect_imagenet_channels(backbone: nn.Module) -> None:
    """Have a backbone take its channels as torchvision's ImageNet weights expect them, in place.

    Those of GoogLeNet and Inception were trained on (pixel - 0.5) / 0.5. torchvision, with
    ``transform_input``, has them take pixels normalized by ImageNet's mean and deviation all the
    same, and so turns each channel x into ``x * deviation / 0.5 + (mean - 0.5) / 0.5``.
    """
    if not hasattr(backbone, "transform_input"):
        return
    mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
    first = next(part for part in backbone.modules() if isinstance(part, GreyConv2d))
    first.expect(torch.stack([deviation / 0.5, (mean - 0.5) / 0.5]))


def load_file(backbone: nn.Module, path: Path) -> None:
    """Load a backbone's weights from a file, in place: torchvision's, or this study's own."""
    remedy = (
        "Give a file of weights alone, a state_dict saved with torch.save, 'imagenet' or 'none'."
    )
    state = read_tensors(path, remedy)
    load_state(backbone, state, str(path))


def load_state(backbone: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dictionary; classifier and auxiliary heads in it are left aside."""
    if isinstance(backbone, nn.Sequential):  # `_average` moved the features to place 0
        state = {name.replace("features.", "0.", 1): value for name, value in state.items()}
    # Batch norm's counter is absent from old files and no part of the function.
    own = {k: v for k, v in backbone.state_dict().items() if not k.endswith("_tracked")}
    missing = [name for name in own if name not in state]
    shapes = {name: getattr(value, "shape", None) for name, value in state.items()}
    wrong = [name for name in own if name in state and own[name].shape != shapes[name]]
    if missing or wrong:
        raise InputError(
            f"{source}: does not fit the architecture ({len(missing)} tensors missing, "
            f"{len(wrong)} of another shape, first {(missing + wrong)[0]}). Use the file of the "
            "same architecture."
        )
    kept = [*own, *(name for name in state if name.endswith(f".{AFFINE}"))]
    backbone.load_state_dict({name: state[name] for name in kept}, strict=False)
