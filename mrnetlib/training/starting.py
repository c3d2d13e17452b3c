"""What a network starts from: a backbone's weights, and a head, random or from a linear probe."""

import copy
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from mrnetlib.exams.banks import ExamBank
from mrnetlib.training.finetune import seed_of
from mrnetlib.training.networks import ExamNetwork, build_backbone, initialize_kaiming
from mrnetlib.training.obtain import weight_file
from mrnetlib.training.weights import expect_imagenet_channels, load_file, load_imagenet

#: Inverse strength of the probe's L2 penalty: exams are few and features many.
PROBE_C = 0.003


def starting_backbone(architecture: str, weights: str, seed: int = 0) -> nn.Module:
    """A backbone with its starting weights.

    Parameters
    ----------
    weights : ``imagenet``, ``none`` (He initialization from `seed`), or a file's path.
    """
    torch.manual_seed(seed_of("backbone", architecture, seed))
    backbone = build_backbone(architecture)
    if weights == "imagenet":
        load_imagenet(backbone, architecture)
    elif weights == "none":
        initialize_kaiming(backbone)
    else:
        load_file(backbone, Path(weights))
        if Path(weights).name == weight_file(architecture):  # torchvision's own
            expect_imagenet_channels(backbone)
    return backbone


def starting_network(backbone: nn.Module, bank: ExamBank, seed: int) -> ExamNetwork:
    """A network on a copy of `backbone`, on its device, with a random head drawn from `seed`.

    Parameters
    ----------
    bank : of the training exams, whose mean and spread normalize the slices.
    """
    torch.manual_seed(seed)
    network = ExamNetwork(copy.deepcopy(backbone), bank.mean, bank.std)
    return network.to(next(backbone.parameters()).device)


def probe_head(network: ExamNetwork, features: np.ndarray, labels: np.ndarray) -> None:
    """Start the head from a linear probe, in place: a logistic regression on the features.

    While a random head learns, the gradients that it sends back distort the backbone's features
    (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features"), and pooled features, whose
    spread over the exams is a fraction of their mean, make it learn slowly. Starting from the probe
    spares both.

    Parameters
    ----------
    features : (E, F) of the training exams, from `exam_features`.
    labels : (E,) of 0 and 1.
    """
    mean, std = features.mean(0), features.std(0)
    std = np.where(std > 1e-6 * (1 + np.abs(mean)), std, np.inf)  # a dead feature gets no weight
    probe = LogisticRegression(C=PROBE_C, class_weight="balanced", max_iter=1000)
    probe.fit((features - mean) / std, labels)
    weight = probe.coef_[0] / std  # (F,), for the features as they come
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight).unsqueeze(0))
        network.head.bias.fill_(float(probe.intercept_[0] - weight @ mean))
