"""The network of one plane and task: a torchvision backbone over slices, a maximum over the exam.

Every slice goes through the backbone; its last feature map is averaged over the slice; the
maximum over the exam's slices is taken; one linear unit gives the logit. The paper does not say
this; it is the network of Bien et al. 2018 (MRNet), whose data it uses.
"""

import copy
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from mrnetlib.files import InputError, sha256, written_whole
from mrnetlib.names import ARCHITECTURES, known_architectures

#: Spatial side of the image on which a backbone's number of features is counted: all take it.
PROBE_SIZE = 96

#: Of the red, green and blue values (0..1) of ImageNet's training images.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

#: Name of `GreyConv2d`'s buffer.
AFFINE = "affine"


class GreyConv2d(nn.Conv2d):
    """A first convolution that takes one grey channel where its weights expect three.

    Three equal channels give the same sum as one channel under the weights' sum, at a third of
    the work. The parameter keeps its three channels, so that Adam's steps and the weight decay
    are those of the ordinary network.

    The ImageNet weights of GoogLeNet and Inception expect the channels scaled and shifted, each
    its own way. `expect` notes that in a buffer, which goes where the weights go; without it there
    is no buffer, and the channels are taken as they come.
    """

    def expect(self, affine: Tensor) -> None:
        """Take channel c as ``affine[0, c] * slices + affine[1, c]``; affine (2, 3)."""
        self.register_buffer(AFFINE, affine)

    def forward(self, slices: Tensor) -> Tensor:
        """(S, 1, H, W) -> (S, C, H', W')."""
        affine = getattr(self, AFFINE, None)
        if affine is None:
            weight = self.weight.sum(1, keepdim=True)  # (C, 3, k, k) -> (C, 1, k, k)
            return self._conv_forward(slices, weight, self.bias)
        scaled, shifted = (
            (self.weight * row.view(1, 3, 1, 1)).sum(1, keepdim=True) for row in affine
        )  # (C, 3, k, k) -> (C, 1, k, k), twice
        # The shift comes before the zeros around the image: at the borders it is no plain bias.
        constant = self._conv_forward(torch.ones_like(slices[:1]), shifted, None)
        return self._conv_forward(slices, scaled, self.bias) + constant

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest) -> None:
        if prefix + AFFINE in state_dict:
            self.expect(torch.empty_like(state_dict[prefix + AFFINE], device=self.weight.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _with_grey_input(backbone: nn.Module) -> nn.Module:
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels != 3:
                break
            grey = copy.copy(module)
            grey.__class__ = GreyConv2d
            parent, _, attribute = name.rpartition(".")
            setattr(backbone.get_submodule(parent), attribute, grey)
            return backbone
    raise InputError("the backbone does not begin with a convolution of three channels.")


def _average(backbone: nn.Module) -> nn.Sequential:
    return nn.Sequential(backbone.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _without_classifier(backbone: nn.Module, architecture: str) -> nn.Module:
    """Cut a torchvision classifier down to slices -> averaged features."""
    # GoogLeNet drops features before its classifier. Here a maximum over slices comes first: it
    # would take the kept features, scaled up by 1 / 0.8, and train on another scale than it tests.
    if isinstance(getattr(backbone, "dropout", None), nn.Dropout):
        backbone.dropout = nn.Identity()
    for name in ("fc", "classifier"):
        if isinstance(getattr(backbone, name, None), nn.Linear):
            setattr(backbone, name, nn.Identity())  # ResNet, GoogLeNet, DenseNet, ShuffleNet, ...
            return backbone
    # Swin transformers have `features` too, but with the channels last (`permute` mends that).
    if hasattr(backbone, "features") and not hasattr(backbone, "permute"):
        return _average(backbone)  # AlexNet, VGG, SqueezeNet, EfficientNet, ConvNeXt, ...
    raise InputError(
        f"architecture '{architecture}': torchvision's network has neither a linear classifier "
        "nor convolutional features that could be averaged over a slice. Choose another, for "
        "example alexnet, resnet18, googlenet, densenet121."
    )


def build_classifier(architecture: str) -> nn.Module:
    """torchvision's ImageNet classifier of that name with random weights."""
    if architecture not in known_architectures():
        raise InputError(
            f"architecture '{architecture}': not among torchvision's classifiers. The study uses "
            "alexnet, resnet18 and googlenet; others are named as in torchvision, for example "
            "densenet121."
        )
    # GoogLeNet's and Inception's auxiliary heads are no part of the feature extractor, and their
    # own slow random initialization would be overwritten anyway.
    special = {"googlenet", "inception_v3"}
    options = {"aux_logits": False, "init_weights": False} if architecture in special else {}
    return torchvision.models.get_model(architecture, weights=None, **options)


def build_backbone(architecture: str) -> nn.Module:
    """A slice encoder (S, 1, H, W) -> (S, F) with torchvision's random initialization.

    The weights keep torchvision's names below the classifier, so that ImageNet weights load.
    """
    backbone = _without_classifier(build_classifier(architecture), architecture)
    return _with_grey_input(backbone)


def check_image_size(architecture: str, size: int) -> None:
    """Refuse images on which an architecture has nothing left to pool, and name the smallest.

    Only shapes are computed (torch's meta device), so this takes no time to speak of.
    """
    with torch.device("meta"):
        backbone = build_backbone(architecture).eval()

    def takes(side: int) -> bool:
        try:
            with torch.no_grad():
                backbone(torch.zeros(1, 1, side, side, device="meta"))
        except RuntimeError:
            return False
        return True

    if not takes(size):
        smallest = next(filter(takes, range(1, PROBE_SIZE + 1)))
        raise InputError(
            f"image_size is {size}, and {architecture} takes {smallest} pixels or more. Set "
            "image_size in the study file to that, or choose another architecture."
        )


def count_features(backbone: nn.Module) -> int:
    """Number F of features a backbone gives for a slice."""
    training, device = backbone.training, next(backbone.parameters()).device
    with torch.no_grad():
        features = backbone.eval()(torch.zeros(1, 1, PROBE_SIZE, PROBE_SIZE, device=device))
    backbone.train(training)
    if features.ndim != 2:
        raise InputError(f"the backbone gives features of shape {tuple(features.shape)}, not flat.")
    return features.shape[1]


def initialize_kaiming(module: nn.Module) -> None:
    """He et al. 2015's initialization of every convolution, in place.

    torchvision's AlexNet and GoogLeNet (without its slow truncated normal) start from PyTorch's
    default, under which the signal shrinks from layer to layer and learning hardly starts.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class ExamNetwork(nn.Module):
    """Slices of several exams -> one logit per exam.

    Parameters
    ----------
    backbone : slice encoder (S, 1, H, W) -> (S, F), see `build_backbone`.
    mean, std : of the training slices' pixels in 0..255; they travel with the weights.
    """

    def __init__(self, backbone: nn.Module, mean: float, std: float):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(count_features(backbone), 1)
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("std", torch.tensor(float(std)))
        self.to(memory_format=torch.channels_last)  # the faster layout on every device

    def normalized(self, slices: Tensor) -> Tensor:
        """Slices (S, 1, H, W), 0..255 of any dtype, as the backbone wants them, float32."""
        values = (slices.float() - self.mean).div_(self.std)
        # One channel is in every memory format at once, and torch would take it for the slower
        # one; strides that say channels_last keep all layers in it.
        return values.squeeze(1).unsqueeze(-1).permute(0, 3, 1, 2)

    def features(self, slices: Tensor) -> Tensor:
        """Slices (S, 1, H, W), 0..255 of any dtype -> features (S, F)."""
        return self.backbone(self.normalized(slices))

    def pool(self, slices: Tensor, lengths: list[int]) -> Tensor:
        """Slices (S, 1, H, W) of exams with `lengths` slices -> their strongest features (E, F)."""
        features = self.features(slices)  # (S, F)
        exams = [exam.amax(0) for exam in features.split(lengths)]  # E times (F,)
        return torch.stack(exams).float()  # (E, F)

    def forward(self, slices: Tensor, lengths: list[int]) -> Tensor:
        """Slices (S, 1, H, W) of exams with `lengths` slices, end to end -> logits (E,)."""
        pooled = self.pool(slices, lengths)
        # In bf16 the logit would have three digits, and exams would tie that do not.
        with torch.autocast(pooled.device.type, enabled=False):
            return self.head(pooled).squeeze(1)  # (E, F) -> (E, 1) -> (E,)


def weight_file(architecture: str) -> str:
    """Name of torchvision's ImageNet weight file, for example ``resnet18-f37072fd.pth``."""
    weights = torchvision.models.get_model_weights(architecture)
    return Path(weights.IMAGENET1K_V1.url).name


def _fetch_imagenet(architecture: str) -> None:
    """Have torchvision's weight file in torch's cache, whole: its name ends in its SHA-256."""
    url = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / weight_file(architecture)
    if not path.is_file():
        with written_whole(path) as temporary:
            try:
                torch.hub.download_url_to_file(url, str(temporary), progress=False)
            except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
                files = ", ".join(weight_file(name) for name in ARCHITECTURES)
                raise InputError(
                    f"ImageNet weights of {architecture}: {path.name} is not here and could not "
                    f"be fetched ({error}). Fetch torchvision's files {files} on a machine with a "
                    f"network and put them into {path.parent}, or set 'weights: none' in the study "
                    "file."
                ) from None
    expected = path.stem.rpartition("-")[2]
    if not sha256(path).startswith(expected):
        raise InputError(
            f"{path}: damaged, its SHA-256 does not begin with {expected}. Delete it and fetch it "
            "again."
        )


def load_imagenet(backbone: nn.Module, architecture: str) -> None:
    """Load torchvision's ImageNet weights into a backbone, in place.

    The file is downloaded once, hash-checked at every use, and kept in torch's cache.

    Raises
    ------
    InputError
        When the file is neither cached nor to be had; the message names the files of the paper's
        three architectures and the folder they go to.
    """
    _fetch_imagenet(architecture)
    # torchvision knows the old names inside some of its files; what it loads fits the backbone.
    classifier = torchvision.models.get_model(architecture, weights="IMAGENET1K_V1")
    state = _without_classifier(classifier, architecture).state_dict()
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
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"weights: {path} not found. Give a file, 'imagenet' or 'none'.") from None
    except Exception as error:
        raise InputError(
            f"{path}: not a file of weights alone ({type(error).__name__}). Save a state_dict "
            "with torch.save."
        ) from None
    if not isinstance(state, dict):
        raise InputError(
            f"{path}: holds a {type(state).__name__}, expected a state_dict. Save one with "
            "torch.save."
        )
    load_state(backbone, state, str(path))


def load_state(backbone: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dictionary; classifier and auxiliary heads in it are left aside."""
    if isinstance(backbone, nn.Sequential):  # `_average` moved the features to place 0
        state = {name.replace("features.", "0.", 1): value for name, value in state.items()}
    # Batch norm's counter is absent from old files and no part of the function.
    own = {k: v for k, v in backbone.state_dict().items() if not k.endswith("_tracked")}
    missing = [name for name in own if name not in state]
    wrong = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or wrong:
        raise InputError(
            f"{source}: does not fit the architecture ({len(missing)} tensors missing, "
            f"{len(wrong)} of another shape, first {(missing + wrong)[0]}). Use the file of the "
            "same architecture."
        )
    kept = [*own, *(name for name in state if name.endswith(f".{AFFINE}"))]
    backbone.load_state_dict({name: state[name] for name in kept}, strict=False)
