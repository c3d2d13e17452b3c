"""Fine-tune one network per plane and task: a visible training loop in plain PyTorch.

`fit` is the loop of the study. Each step takes one or several exams, augments them on the device,
and updates all parameters that are not frozen with Adam; the training stops when the tuning exams
no longer gain.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from mrnetlib.evaluation.roc import auc
from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError
from mrnetlib.settings import Settings, values_of
from mrnetlib.training import augment
from mrnetlib.training.blocks import freeze, groups
from mrnetlib.training.checkpoints import CODE, TrainingState, fingerprint
from mrnetlib.training.devices import arithmetic, autocast, compile_backbone
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.packaged import never_saw_data
from mrnetlib.training.predict import predict
from mrnetlib.training.progress import Training


def seed_of(*parts: object) -> int:
    """A seed of 63 bits from names and numbers, the same on every machine and run."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def class_weights(labels: np.ndarray) -> tuple[float, float]:
    """Weights of a negative and a positive exam in the loss: the share of the other class.

    After Bien et al. 2018, so that both classes weigh the same in total.
    """
    positive = float(np.mean(labels))
    if positive in (0.0, 1.0):
        raise InputError(
            f"all {len(labels)} exams have the label {int(positive)}; a network needs both "
            "classes. Use more exams."
        )
    return positive, 1 - positive


def loss_of(logits: Tensor, labels: Tensor, weights: tuple[float, float]) -> Tensor:
    """Weighted binary cross-entropy, mean over the E exams of a step; logits and labels (E,)."""
    weight = torch.where(labels > 0, weights[1], weights[0])
    return functional.binary_cross_entropy_with_logits(logits.float(), labels, weight)


def new_optimizer(network: ExamNetwork, settings: Settings) -> torch.optim.Adam:
    """Adam over all parameters that learn, its step fused into one."""
    return torch.optim.Adam(
        groups(network, settings.block_rate),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def rate_at(settings: Settings, done: float) -> float:
    """The learning rate when the share `done` (0 to 1) of all epochs' steps is behind.

    ``constant`` as in the paper; ``cosine`` rises over the first tenth and then falls to 0 along
    half a cosine (Loshchilov and Hutter 2017), which brings a short training to rest.
    """
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * min(1.0, 10 * done) * (1 + math.cos(math.pi * done)) / 2


def train_epoch(
    network: ExamNetwork,
    optimizer: torch.optim.Optimizer,
    bank: ExamBank,
    task: str,
    settings: Settings,
    epoch: int,
) -> float:
    """One pass over the training exams in a new order; returns the mean loss of its steps.

    The random numbers of an epoch depend on the seed and the epoch alone, so a training that
    was interrupted goes on exactly as it would have.
    """
    device = network.mean.device
    weights = class_weights(bank.labels[task])
    generator = torch.Generator().manual_seed(seed_of("epoch", settings.seed, epoch))
    torch.manual_seed(seed_of("dropout", settings.seed, epoch))
    network.train()
    losses = []
    steps = torch.randperm(len(bank), generator=generator).split(settings.batch_exams)
    for step, batch in enumerate(bank.batches(steps, task, device), 1):
        done = (epoch - 1 + step / len(steps)) / settings.epochs
        for group in optimizer.param_groups:
            group["lr"] = rate_at(settings, done) * group.get("times", 1.0)
        drawn = augment.draw(len(batch.lengths), bank.plane, settings, generator)
        slices = augment.apply(batch.slices, batch.lengths, drawn)
        with autocast(settings.precision, device):
            logits = network(slices, batch.lengths)
        loss = loss_of(logits, batch.labels, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    found = torch.stack(losses)
    refuse_diverged(bank, steps, found, epoch)
    return found.mean().item()


def refuse_diverged(
    bank: ExamBank, steps: Sequence[torch.Tensor], losses: torch.Tensor, epoch: int
) -> None:
    """An `InputError` that names the first step of an epoch whose loss is no number, and its exams.

    Asked once an epoch, for every question to a GPU waits for it.
    """
    odd = (~losses.isfinite()).nonzero().flatten().tolist()
    if odd:
        exams = ", ".join(bank.exams[index] for index in steps[odd[0]].tolist())
        raise InputError(
            f"epoch {epoch}, step {odd[0] + 1} of {len(steps)}: the training loss is "
            f"{losses[odd[0]].item()} for {bank.plane} exam(s) {exams}. Lower learning_rate, and "
            "look at these exams."
        )


def fit(
    network: ExamNetwork,
    train: ExamBank,
    tune: ExamBank,
    task: str,
    settings: Settings,
    checkpoint: Path | None = None,
    progress: bool = True,
    save_every: float = 0.0,
) -> pd.DataFrame:
    """Fine-tune `network`, all of it that is not frozen, in place.

    It ends with its best epoch's weights.

    Parameters
    ----------
    network : on the device it is to be trained on.
    train, tune : banks of one plane; `tune` only stops the training and picks the epoch.
    checkpoint : file that keeps the state after each epoch and the weights at the end; where it
        holds this very training (settings, exams and starting weights), training goes on from it.
    save_every : seconds after which the next epoch is saved; 0 saves each.

    Returns
    -------
    DataFrame with a row per epoch: epoch (from 1), train_loss, tune_loss, tune_auc, seconds, best
    (1 in the row whose weights were kept).
    """
    compile_backbone(network.backbone, settings.compile)
    freeze(network, settings.freeze)
    unseen = never_saw_data(network.backbone.state_dict())  # then there is nothing to keep
    network.keep_statistics = settings.batch_norm == "kept" and unseen is None
    optimizer = new_optimizer(network, settings)
    for bank in (train, tune):
        if bank.labels[task].nunique() < 2:
            raise InputError(
                f"{bank.split} exams, {bank.plane}: all {len(bank)} have the same label for "
                f"{task}. Use more exams, or another tune_fraction."
            )
    identity = {
        "code": CODE,
        **arithmetic(settings.precision, network.mean.device),
        "task": task,
        "settings": values_of(settings, "training"),
        "exams": [bank.digest() for bank in (train, tune)],
        "start": fingerprint(network),
    }
    state = TrainingState(network, optimizer, settings.patience, identity, checkpoint, save_every)
    labels = torch.tensor(tune.labels[task].to_numpy(), dtype=torch.float64)
    weights = class_weights(train.labels[task])
    about = train.plane, task, settings.epochs
    told = Training(*about, state.rows, progress, settings.seed)
    while not state.finished(settings.epochs):
        start = perf_counter()
        epoch = len(state.rows) + 1
        train_loss = train_epoch(network, optimizer, train, task, settings, epoch)
        probability = predict(network, tune, settings.precision)
        logits = torch.logit(torch.from_numpy(probability), eps=1e-12)
        tune_loss = loss_of(logits, labels.float(), weights).item()
        diverged = not np.isfinite(probability).all()  # which `state.add` refuses below
        tune_auc = float("nan") if diverged else auc(labels.numpy().astype(int), probability)
        row = {"epoch": epoch, "train_loss": train_loss, "tune_loss": tune_loss}
        state.add(row | {"tune_auc": tune_auc, "seconds": perf_counter() - start})
        told.epoch(state.rows[-1])
    told.close()
    return state.finish()
