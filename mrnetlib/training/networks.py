"""The network of one plane and task: a torchvision backbone over slices, a maximum over the exam.

Every slice goes through the backbone; its last feature map is averaged over the slice; the
maximum over the exam's slices is taken; one linear unit gives the logit. The paper does not say
this; it is the network of Bien et al. 2018 (MRNet), whose data it uses.
"""

import copy

import torch
import torchvision
from torch import Tensor, nn

from mrnetlib.files import InputError
from mrnetlib.names import known_architectures
from mrnetlib.training.convolutions import with_map_convolutions

#: Spatial side of the image on which a backbone's number of features is counted: all take it.
PROBE_SIZE = 96

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


def without_classifier(backbone: nn.Module, architecture: str) -> nn.Module:
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
    backbone = without_classifier(build_classifier(architecture), architecture)
    backbone.architecture = architecture  # by which `mrnetlib.training.blocks` knows its blocks
    return with_map_convolutions(_with_grey_input(backbone))


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

    Attributes
    ----------
    keep_statistics : whether batch norms use their running means and variances in training, too,
        and leave them as they are. The slices of a step come from a few exams, so that their own
        mean and spread hide some of what tells one exam from another, and differ from step to step
        and from those of a test. Their factors and offsets learn in either case.
    """

    keep_statistics = False

    def __init__(self, backbone: nn.Module, mean: float, std: float):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(count_features(backbone), 1)
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("std", torch.tensor(float(std)))
        self.to(memory_format=torch.channels_last)  # the faster layout on every device

    def train(self, mode: bool = True) -> "ExamNetwork":
        """As `nn.Module.train`, but parts that are frozen stay as in a test.

        A batch norm that went on averaging would change what a frozen part does.
        """
        super().train(mode)
        for part in self.backbone.modules():
            own = list(part.parameters())
            frozen = own and not any(one.requires_grad for one in own)
            if frozen or (self.keep_statistics and isinstance(part, nn.BatchNorm2d)):
                part.eval()
        return self

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
