"""The recipe of one network, from what it starts from to its predictions, said once.

Notebook 02, the retraining of the variants and the benchmarks train by it: `starting_point` once
for all networks of an architecture, then `start` and `train` for each. Between the two, a network
may be looked at.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from mrnetlib.exams.banks import ExamBank
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
    """The backbone that all networks of an architecture start from, on `device`.

    The study's own pretrained weights are made if need be, always as its settings say.

    Parameters
    ----------
    weights : instead of the study's.
    seed : that random weights are drawn from instead of the study's.

    Raises
    ------
    InputError
        For an unknown architecture, images too small for it, and weights that are not to be had.
    """
    study = replace(study, settings=changed(study.settings, weights=weights))
    drawn_from = study.settings.seed if seed is None else seed
    source = prepare_weights(study, architecture)
    return starting_backbone(architecture, source, drawn_from).to(device)


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
    train : the exams it will be trained on.
    features : of these exams, from `probe_features`; None has them computed.
    """
    seed = seed_of("head", settings.seed, architecture, train.plane, task)
    network = starting_network(backbone, train, seed)
    if settings.head == "probe":
        if features is None:
            features = probe_features(backbone, train, settings)
        probe_head(network, features, train.labels[task].to_numpy())
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
    banks : of one plane; ``train`` is trained on, ``tune`` stops the training.
    predicted : the exams to predict, by split; `banks` if None.
    how : ``checkpoint``, ``progress`` and ``save_every`` of `mrnetlib.training.finetune.fit`.

    Returns
    -------
    The history, as `mrnetlib.training.finetune.fit` gives it, and the predictions, as
    `mrnetlib.training.predict.predict_all` does.
    """
    history = finetune.fit(network, banks["train"], banks["tune"], task, settings, **how)
    exams = banks if predicted is None else predicted
    return history, predict_all(network, exams, task, settings.precision)
