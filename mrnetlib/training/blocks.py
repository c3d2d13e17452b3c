"""The blocks of a backbone: which of them stay as they are, and how fast the others learn.

A block is what works on maps of one size, between two steps that make them smaller; of AlexNet,
whose last maps one block of three convolutions would share, it is a convolution. Early blocks see
edges and textures, which most pictures have in common, late ones what their training was about:
so the last ones are the first to be trained anew (Yosinski et al. 2014), and where all are, the
early ones more slowly (Howard and Ruder 2018).
"""

from collections.abc import Iterator
from typing import Any

from torch import nn

#: The part with which each block begins, in torchvision's names. Of other architectures each part
#: that has parameters is a block.
BLOCKS = {
    "alexnet": tuple(f"features.{place}" for place in (0, 3, 6, 8, 10)),
    "resnet18": ("conv1", "layer1", "layer2", "layer3", "layer4"),
    "googlenet": ("conv1", "inception3a", "inception4a", "inception5a"),
    "mobilenet_v2": tuple(f"features.{place}" for place in (0, 2, 4, 7, 14)),
    "squeezenet1_1": tuple(f"features.{place}" for place in (0, 3, 6, 9)),
    "densenet121": ("features.conv0", *(f"features.denseblock{place}" for place in range(1, 5))),
    "efficientnet_b0": tuple(f"features.{place}" for place in (0, 2, 3, 4, 6)),
    "convnext_tiny": tuple(f"features.{place}" for place in (0, 2, 4, 6)),
}


def _known(backbone: nn.Module) -> list[str]:
    """The first parts of a backbone's blocks under its own names."""
    known = BLOCKS.get(getattr(backbone, "architecture", None), ())
    if isinstance(backbone, nn.Sequential):  # its features moved to place 0
        known = tuple(name.replace("features.", "0.", 1) for name in known)
    return list(known)


def _parts(module: nn.Module, prefix: str = "") -> Iterator[str]:
    """The parts of a module that have parameters; those of a lone one are looked into."""
    children = [(n, c) for n, c in module.named_children() if any(True for _ in c.parameters())]
    if len(children) == 1 and any(True for _ in children[0][1].children()):
        yield from _parts(children[0][1], f"{prefix}{children[0][0]}.")
        return
    yield from (prefix + name for name, _ in children)


def blocks(backbone: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of a backbone by block, from the slices' side on; none is left out."""
    firsts = _known(backbone) or list(_parts(backbone)) or [""]
    found: list[list[nn.Parameter]] = [[] for _ in firsts]
    place = 0
    for name, parameter in backbone.named_parameters():
        for later in range(place + 1, len(firsts)):
            if name.startswith(f"{firsts[later]}."):
                place = later
        found[place].append(parameter)
    return found


def freeze(network: nn.Module, how: str) -> None:
    """Say which parameters of an `ExamNetwork` learn, in place; the head always does.

    A frozen part with batch norm keeps its statistics, too: see `ExamNetwork.train`.

    Parameters
    ----------
    how : ``none``, ``early`` (all blocks but the last stay as they are) or ``backbone`` (all do).
    """
    parts = blocks(network.backbone)
    still = {"none": 0, "early": len(parts) - 1, "backbone": len(parts)}[how]
    for place, part in enumerate(parts):
        for parameter in part:
            parameter.requires_grad_(place >= still)


def groups(network: nn.Module, block_rate: float) -> list[dict[str, Any]]:
    """What learns, for an optimizer: ``params``, and with several rates each one's ``times``.

    Parameters
    ----------
    block_rate : 0..1; the head learns at the rate itself, the last block at so many times it,
        the block before at that times as much again.
    """
    if block_rate == 1:
        return [{"params": [one for one in network.parameters() if one.requires_grad]}]
    parts = [*blocks(network.backbone), list(network.head.parameters())]
    found = []
    for depth, part in enumerate(reversed(parts)):
        learned = [one for one in part if one.requires_grad]
        if learned:
            found.append({"params": learned, "times": block_rate**depth})
    return found[::-1]
