"""A short pretraining, for studies without ImageNet weights.

ImageNet weights are a download; the default study must do without. Its backbones learn from the
training exams' slices themselves, without a label, and all nine networks of an architecture share
what was learned. The pretext tasks ask of a slice: which plane it is, by which quarter turn it was
rotated (Gidaris et al. 2018), and where in the stack it lies; and of a digital knee, whose anatomy
is known at every pixel, which tissues are where (`mrnetlib.training.tissues`). Lesions are no part
of that anatomy.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from mrnetlib.exams.banks import ExamBank
from mrnetlib.files import InputError, write_csv
from mrnetlib.settings import Settings, values_of
from mrnetlib.study import Study
from mrnetlib.training import augment
from mrnetlib.training.checkpoints import CODE, read_tensors, save_tensors
from mrnetlib.training.devices import arithmetic, autocast, use_machine
from mrnetlib.training.finetune import seed_of
from mrnetlib.training.networks import check_image_size, count_features
from mrnetlib.training.starting import starting_backbone
from mrnetlib.training.tissues import (
    TissueHead,
    digest,
    group_weights,
    put_foreign,
    read_shares,
    tissue_loss,
)

#: Outputs of the pretext head: planes, quarter turns, place in the stack.
HEADS = {"plane": 3, "turn": 4, "place": 1}

#: Weight of naming the tissues beside the other pretext tasks.
TISSUES = 3.0

#: In a file of pretrained weights beside the tensors: what they were made from.
MADE_FROM = "made_from"

#: Slices of a step, Adam's largest rate, and its weight decay.
BATCH = 64
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class PretextBatch:
    """Slices (B, 1, H, W) float32 in 0..255 with their answers.

    ``plane`` and ``turn`` (B,) int64; ``place`` in the stack (B,) float32, 0..1; ``tissues``
    (B, G + 1, GRID, GRID) float32, see `mrnetlib.training.tissues`, or None.
    """

    slices: Tensor
    plane: Tensor
    turn: Tensor
    place: Tensor
    tissues: Tensor | None = None


def _draw_slices(banks: list[ExamBank], count: int, generator: torch.Generator):
    """Draw `count` slices, evenly over the planes: planes, indices in them, places in 0..1."""
    plane = torch.randint(len(banks), (count,), generator=generator)
    uniform = torch.rand(count, generator=generator)
    indices, places = [], []
    for bank_index, position in zip(plane.tolist(), uniform.tolist(), strict=True):
        bank = banks[bank_index]
        index = int(position * len(bank.slices))
        exam = int((bank.spans[:, 0] <= index).sum()) - 1
        first, last = bank.spans[exam, 0], bank.spans[exam, 1] - 1
        indices.append(index)
        places.append((index - first) / max(last - first, 1))
    return plane, indices, torch.tensor(places, dtype=torch.float32)


def draw_pretext(
    banks: list[ExamBank],
    count: int,
    generator: torch.Generator,
    tissues: list[Tensor] | None = None,
) -> PretextBatch:
    """Draw a batch of the pretext tasks from the training exams' banks, one per plane.

    `tissues` are the shares of the banks' slices, where the anatomy is known; slices and shares
    are then moved together, as an exam is in the fine-tuning.
    """
    plane, indices, place = _draw_slices(banks, count, generator)
    where = list(zip(plane.tolist(), indices, strict=True))
    slices = torch.stack([banks[p].slices[i] for p, i in where]).unsqueeze(1)  # (B, 1, H, W)
    truth = None
    if tissues is not None:
        truth = torch.stack([tissues[p][i] for p, i in where]).float()  # (B, G, GRID, GRID)
        drawn = augment.draw(count, "axial", Settings(flip=0.0), generator)
        slices = augment.apply(slices, [1] * count, drawn)
        slices, truth = put_foreign(slices, _moved(truth, drawn), generator)
    # Most slices stay upright, as the exams are.
    turn = torch.randint(4, (count,), generator=generator)
    turn = torch.where(torch.rand(count, generator=generator) < 0.5, 0, turn)
    slices = slices.float()
    for quarter in (1, 2, 3):
        slices[turn == quarter] = torch.rot90(slices[turn == quarter], quarter, (2, 3))
        if truth is not None:
            truth[turn == quarter] = torch.rot90(truth[turn == quarter], quarter, (2, 3))
    return PretextBatch(slices, plane, turn, place, truth)


def _moved(truth: Tensor, drawn: Tensor) -> Tensor:
    """Shares (B, G, h, w) moved as their slices were; beyond the image is the first group: air."""
    count, groups = truth.shape[:2]
    flat = truth.reshape(count * groups, 1, *truth.shape[2:])
    moved = augment.apply(flat, [groups] * count, drawn).reshape(truth.shape)
    moved[:, 0] += 1 - moved.sum(1)
    return moved


def pretext_losses(
    answers: Tensor, batch: PretextBatch, named: Tensor | None = None, weights: Tensor | None = None
) -> dict[str, Tensor]:
    """The losses of the pretext tasks from the head's output (B, 3 + 4 + 1).

    `named` are the tissue head's scores, weighted by group, where the batch knows the tissues.
    """
    plane, turn, place = answers.float().split(list(HEADS.values()), 1)
    losses = {
        "plane": functional.cross_entropy(plane, batch.plane),
        "turn": functional.cross_entropy(turn, batch.turn),
        # Four times, so that all three losses begin at about the same size.
        "place": 4 * functional.mse_loss(place.squeeze(1).sigmoid(), batch.place),
    }
    if named is not None:
        losses["tissues"] = TISSUES * tissue_loss(named, batch.tissues, weights)
    return losses


def pretrain(
    backbone: nn.Module,
    banks: list[ExamBank],
    settings: Settings,
    progress: bool = True,
    tissues: list[Tensor] | None = None,
) -> pd.DataFrame:
    """Pretrain a backbone in place on the slices of the training exams, without labels.

    Parameters
    ----------
    banks : the training banks of the planes.
    settings : ``pretrain_slices`` are shown in all; ``precision`` and ``seed``.
    tissues : of the banks' slices, see `mrnetlib.training.tissues.shares`; None where they are not
        known.

    Returns
    -------
    DataFrame with a row for every tenth of the run: slices (shown so far) and the mean loss of
    each pretext task over that tenth.
    """
    generator = torch.Generator().manual_seed(seed_of("pretext", settings.seed))
    torch.manual_seed(seed_of("head", settings.seed))
    device = next(backbone.parameters()).device
    head = nn.Linear(count_features(backbone), sum(HEADS.values())).to(device)
    parts, namer, weights = [backbone, head], None, None
    if tissues is not None:
        namer = TissueHead(backbone, banks[0].slices.shape[-1]).to(device)
        weights = group_weights(torch.cat(tissues))
        parts.append(namer)
    for part in parts:
        part.train()
    # Each plane's slices as its own networks will see them.
    mean, std = (
        torch.tensor([getattr(bank, name) for bank in banks]).view(-1, 1, 1, 1)
        for name in ("mean", "std")
    )
    steps = max(1, settings.pretrain_slices // BATCH)
    learned = [parameter for part in parts for parameter in part.parameters()]
    optimizer = torch.optim.AdamW(learned, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps)
    rows = []
    for _ in tqdm(range(steps), "pretraining", disable=not progress):
        batch = draw_pretext(banks, BATCH, generator, tissues)
        slices = (batch.slices - mean[batch.plane]) / std[batch.plane]
        slices = slices.to(device, memory_format=torch.channels_last)
        with autocast(settings.precision, device):
            answers = head(backbone(slices))
            named = namer().cpu() if namer else None
        losses = pretext_losses(answers.cpu(), batch, named, weights)
        optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
        rows.append({name: loss.item() for name, loss in losses.items()})
    if namer:
        namer.hook.remove()
    history = pd.DataFrame(rows)
    names = list(history.columns)
    history.insert(0, "slices", (history.index + 1) * BATCH)
    tenth = (history.index * 10) // steps
    return history.groupby(tenth).agg({"slices": "last"} | dict.fromkeys(names, "mean"))


def save_backbone(backbone: nn.Module, path: Path, made_from: dict[str, Any]) -> None:
    """Save a backbone's weights as `load_file` reads them, and with them what they come from."""
    save_tensors(path, backbone.state_dict() | {MADE_FROM: made_from})


def prepare_weights(study: Study, architecture: str, again: bool = False) -> str:
    """What `mrnetlib.training.starting.starting_backbone` starts from, pretrained first if need be.

    A study's own weights are made where there are none, where they were made from other exams,
    tissues, settings, code or arithmetic than the study's now, and where `again` says so. The
    losses go to ``pretraining/<architecture>.csv`` in its results.

    Raises
    ------
    InputError
        For images that are too small for the architecture, and a digital knee's exams whose
        tissues are missing or wrong.
    """
    check_image_size(architecture, study.settings.image_size)
    path = study.weights_file(architecture)
    if path is None:
        return study.settings.weights
    if study.settings.weights == "pretrained":
        device = use_machine(study.settings)
        banks = [ExamBank.open(study.banks, "train", plane) for plane in study.settings.planes]
        made_from = _origin(study, banks, device)
        if again or not _is_made_from(path, made_from):
            backbone = starting_backbone(architecture, "none", study.settings.seed).to(device)
            history = pretrain(backbone, banks, study.settings, tissues=_tissues(study, banks))
            write_csv(study.results / "pretraining" / f"{architecture}.csv", history)
            save_backbone(backbone, path, made_from)
    return str(path)


def _tissues(study: Study, banks: list[ExamBank]) -> list[Tensor] | None:
    """The tissues of the banks' slices, where the exams are a digital knee's."""
    if not _knows_tissues(study):
        return None
    return [read_shares(study.tissues, bank) for bank in banks]


def _knows_tissues(study: Study) -> bool:
    return study.settings.data == "phantom"


def _origin(study: Study, banks: list[ExamBank], device: torch.device) -> dict[str, Any]:
    """All that pretrained weights depend on."""
    settings, known = study.settings, _knows_tissues(study)
    return {
        "code": CODE,
        "arithmetic": arithmetic(settings.precision, device),
        **values_of(settings, "pretraining"),
        "exams": [bank.digest() for bank in banks],
        "tissues": [digest(study.tissues, bank) for bank in banks] if known else None,
    }


def _is_made_from(path: Path, wanted: dict[str, Any]) -> bool:
    """Whether a file of weights was made from what is wanted; says what differs if not."""
    if not path.is_file():
        return False
    try:
        found = read_tensors(path, "Made anew.").get(MADE_FROM)
    except InputError as reason:
        print(reason)
        return False
    if not isinstance(found, dict):
        print(f"{path.name}: does not say what it was pretrained from, made anew")
        return False
    differing = [name for name, value in wanted.items() if found.get(name) != value]
    if differing:
        print(f"{path.name}: pretrained with another {', '.join(differing)}, made anew")
    return not differing
