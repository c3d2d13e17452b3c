"""The recipe of one network, from what it starts from to its predictions, said once.

Notebook 02, the retraining of the variants and the benchmarks train by it: `starting_point` once
for all networks of an architecture, then `start` and `train` for each of them and each seed, with
that seed's settings (`mrnetlib.settings.Settings.of_seed`). Between the two, a network may be
looked at.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from mrnetlib.exams.banks import ExamBank
from mrnetlib.exams.subsets import subset
from mrnetlib.settings import Settings, changed
from mrnetlib.study import Study
from mrnetlib.training import finetune
from mrnetlib.training.finetune import seed_of
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.predict import exam_features, predict_all
from mrnetlib.training.pretrain import prepare_weights
from mrnetlib.training.starting import probe_head, starting_backbone, starting_network


def starting_point(
    study: Study,
    architecture: str,
    device: torch.device,
    weights: str | None = None,
    seed: int | None = None,
) -> nn.Module:
    """The backbone that an architecture's networks of a seed start from, on `device`.

    The study's own pretrained weights are made if need be, always as its settings say.

    Parameters
    ----------
    weights : instead of the study's.
    seed : of the training, the study's first by default; see `drawn_from`.

    Raises
    ------
    InputError
        For an unknown architecture, images too small for it, and weights that are not to be had.
    """
    study = replace(study, settings=changed(study.settings, weights=weights))
    source = prepare_weights(study, architecture)
    drawn = study.settings.seed if seed is None else drawn_from(study.settings, seed)
    return starting_backbone(architecture, source, drawn).to(device)


def drawn_from(settings: Settings, seed: int, weights: str | None = None) -> int:
    """The seed that a backbone is drawn from: the training's where it starts from no weights.

    Elsewhere all seeds share the backbone, as all would share ImageNet's, and it is the study's.
    """
    return seed if (weights or settings.weights) == "none" else settings.seed


def starting_points(
    study: Study,
    architecture: str,
    device: torch.device,
    seeds: Iterable[int],
    weights: str | None = None,
) -> dict[int, nn.Module]:
    """`starting_point` of several seeds; those that share a backbone get the same object."""
    drawn = {seed: drawn_from(study.settings, seed, weights) for seed in seeds}
    backbones = {
        own: starting_point(study, architecture, device, weights, own)
        for own in dict.fromkeys(drawn.values())
    }
    return {seed: backbones[own] for seed, own in drawn.items()}


def chosen(train: ExamBank, settings: Settings) -> np.ndarray:
    """Indices of the training exams that a network learns from, ascending: those of ``exams``."""
    if not 0 < settings.exams < len(train):
        return np.arange(len(train))
    return subset(train.labels, settings.exams, settings.seed)


def probe_features(backbone: nn.Module, train: ExamBank, settings: Settings) -> np.ndarray | None:
    """What the linear probe learns from, (E, F), the same for every task; None without a probe."""
    if settings.head != "probe":
        return None
    return exam_features(starting_network(backbone, train, 0), train, settings.precision)


def start(
    backbone: nn.Module,
    architecture: str,
    task: str,
    train: ExamBank,
    settings: Settings,
    features: np.ndarray | None = None,
) -> ExamNetwork:
    """A network before its training, on a copy of `backbone`.

    The head is drawn from the seed, the architecture, the plane and the task, and then, where the
    settings say so, starts from a linear probe.

    Parameters
    ----------
    train : the exams it will be trained on, or `chosen` from.
    features : of these exams, from `probe_features`; None has them computed.
    """
    seed = seed_of("head", settings.seed, architecture, train.plane, task)
    network = starting_network(backbone, train, seed)
    if settings.head == "probe":
        if features is None:
            features = probe_features(backbone, train, settings)
        own = chosen(train, settings)
        probe_head(network, features[own], train.labels[task].to_numpy()[own])
    return network


def train(
    network: ExamNetwork,
    task: str,
    banks: dict[str, ExamBank],
    settings: Settings,
    predicted: dict[str, ExamBank] | None = None,
    **how: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fine-tune a network in place and predict with it.

    Parameters
    ----------
    network : from `start`.
    banks : of one plane; what is `chosen` of ``train`` is trained on, ``tune`` stops the training.
    predicted : the exams to predict, by split; `banks` if None.
    how : ``checkpoint``, ``progress`` and ``save_every`` of `mrnetlib.training.finetune.fit`.

    Returns
    -------
    The history, as `mrnetlib.training.finetune.fit` gives it, and the predictions, as
    `mrnetlib.training.predict.predict_all` does, both with the column seed.
    """
    own = chosen(banks["train"], settings)
    few = banks["train"] if len(own) == len(banks["train"]) else banks["train"].select(own)
    history = finetune.fit(network, few, banks["tune"], task, settings, **how)
    exams = banks if predicted is None else predicted
    predictions = predict_all(network, exams, task, settings.precision)
    return history.assign(seed=settings.seed), predictions.assign(seed=settings.seed)
