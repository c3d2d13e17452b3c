"""Train the variants of a study's recipe again, one architecture and plane at a time.

Each finished network's predictions are kept in ``data/<study>/choices``, a running one's state
too, so that a run which was stopped goes on; a change of the recipe begins anew what it concerns.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from mrnetlib.exams import subsets
from mrnetlib.exams.banks import ExamBank, bank_path, resize, write_bank
from mrnetlib.exams.intake import read_inventory, to_grey, white_level
from mrnetlib.exams.layout import read_volume, volume_path
from mrnetlib.files import InputError, code_digest, read_json, write_csv, write_json
from mrnetlib.names import SPLITS
from mrnetlib.settings import Settings, augmentations, values_of
from mrnetlib.study import Study
from mrnetlib.training import checkpoints, recipe
from mrnetlib.training.checkpoints import fingerprint
from mrnetlib.training.devices import arithmetic, use_machine
from mrnetlib.training.pretrain import prepare_weights
from mrnetlib.variants import recipes
from mrnetlib.variants.recipes import SHARES, Run

#: SHA-256 of what plans and trains the variants, beside that of the training itself.
CODE = code_digest(*(Path(module) for module in (__file__, recipes.__file__, subsets.__file__)))

#: A training that sees more slices than this shows a bar of its own.
LONG_TRAINING = 100_000


def prepare(study: Study, progress: bool = True) -> None:
    """Write the banks without standardization and pretrain what the study pretrains on them.

    A backbone that was pretrained on standardized slices would not be without standardization.
    """
    recipes.check(study)
    if not study.settings.standardize:
        return
    raw = recipes.not_standardized(study)
    inventory = read_inventory(study.data / "exams.csv")

    def volumes(split: str, plane: str) -> Iterator[np.ndarray]:
        exams = inventory.loc[inventory["split"] == split, "exam"]
        for exam in tqdm(exams, f"{split} {plane}", leave=False, disable=not progress):
            yield read_volume(volume_path(study.exams, split, plane, exam))

    for plane in study.settings.planes:
        white = white_level(volumes("train", plane))
        for split in SPLITS:
            rows = inventory[inventory["split"] == split]
            slices = (
                resize(to_grey(volume, white), study.settings.image_size)
                for volume in volumes(split, plane)
            )
            write_bank(raw.banks, split, plane, rows, slices)
    for architecture in study.settings.choices_architectures:
        prepare_weights(raw, architecture, again=study.settings.weights == "pretrained")


class Unit:
    """The retraining of one architecture and plane: its banks, backbones and kept results."""

    def __init__(self, study: Study, architecture: str, plane: str):
        recipes.check(study, architecture, plane)
        self.study, self.architecture, self.plane = study, architecture, plane
        self.device = use_machine(study.settings)
        self.kept = study.data / "choices" / "networks" / f"{architecture}_{plane}"
        self._backbones: dict[tuple, tuple[torch.nn.Module, str]] = {}
        self._features: dict[tuple, np.ndarray | None] = {}

    @cached_property
    def standardized(self) -> dict[str, ExamBank]:
        """The study's own banks by split."""
        return self._open(self.study)

    @cached_property
    def raw(self) -> dict[str, ExamBank]:
        """The banks without standardization by split; `prepare` writes them."""
        raw = recipes.not_standardized(self.study)
        if not bank_path(raw.banks, "test", self.plane).is_file():
            raise InputError(
                f"{raw.banks}: no banks of {self.plane}. Run 'python -m mrnetlib retrain --study "
                f"{self.study.name}' first, which writes them."
            )
        banks = self._open(raw)
        for split, bank in banks.items():
            own = self.standardized[split]
            if bank.exams != own.exams or not bank.labels.equals(own.labels):
                raise InputError(
                    f"{bank_path(raw.banks, split, self.plane)}: of other exams or labels than the "
                    f"study's own bank. Run 'python -m mrnetlib retrain --study {self.study.name}' "
                    "again."
                )
        return banks

    def _open(self, study: Study) -> dict[str, ExamBank]:
        return {
            split: ExamBank.open(study.banks, split, self.plane).resident(self.device)
            for split in SPLITS
        }

    def banks(self, run: Run) -> dict[str, ExamBank]:
        """The banks that a run's slices come from, by split."""
        return self.raw if run.variant == "not_standardized" else self.standardized

    def chosen(self, run: Run) -> np.ndarray:
        """Indices of the training exams that a run is trained on, ascending."""
        labels = self.banks(run)["train"].labels
        if run.variant in SHARES:
            return subsets.subset(labels, round(SHARES[run.variant] * len(labels)), run.seed)
        if run.fold is not None:
            folds = subsets.folds(labels, self.study.settings.choices_folds, run.seed)
            return np.flatnonzero(folds != run.fold)
        return np.arange(len(labels))

    def training(self, run: Run) -> Settings:
        """The settings of a run's training.

        A share of the exams is shown as often more, so that the network takes as many steps:
        otherwise a curve over the number of exams would be one over the length of the training.
        """
        still = dict.fromkeys(augmentations(), 0.0) if run.variant == "not_augmented" else {}
        settings = replace(self.study.settings.of_seed(run.seed), **still)
        times = round(1 / SHARES.get(run.variant, 1))
        return replace(settings, epochs=settings.epochs * times, patience=settings.patience * times)

    def backbone(self, run: Run) -> tuple[torch.nn.Module, str]:
        """The backbone that a run starts from, and its fingerprint."""
        of_raw = run.variant == "not_standardized"
        key = of_raw, recipe.drawn_from(self.study.settings, run.seed)
        if key not in self._backbones:
            # Those of another seed are not needed again.
            self._backbones = {k: found for k, found in self._backbones.items() if k[1] == key[1]}
            study = recipes.not_standardized(self.study) if of_raw else self.study
            backbone = recipe.starting_point(study, self.architecture, self.device, seed=key[1])
            self._backbones[key] = backbone, fingerprint(backbone)
        return self._backbones[key]

    def features(self, run: Run) -> np.ndarray | None:
        """What the probe of a run's head learns from, of the exams it is trained on."""
        train, (backbone, weights) = self.banks(run)["train"], self.backbone(run)
        key = weights, train.sha256
        if key not in self._features:
            found = recipe.probe_features(backbone, train, self.study.settings)
            self._features[key] = found
        found = self._features[key]
        return None if found is None else found[self.chosen(run)]

    def identity(self, run: Run) -> str:
        """SHA-256 of all that a run's result depends on; another one begins it anew."""
        parts = {
            "code": [checkpoints.CODE, CODE],
            **arithmetic(self.training(run).precision, self.device),
            "settings": values_of(self.training(run), "training"),
            "exams": [bank.digest() for bank in self.banks(run).values()],
            "chosen": self.chosen(run).tolist(),
            "backbone": self.backbone(run)[1],
        }
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def result(self, run: Run) -> dict:
        """A run's predictions and notes, kept from before or trained now."""
        path = self.kept / f"{run.name}.json"
        identity = self.identity(run)
        if path.is_file():
            kept = read_json(path)
            if kept["identity"] == identity:
                return kept
        content = {"identity": identity} | self.train(run, path.with_suffix(".pt"))
        write_json(path, content)
        path.with_suffix(".pt").unlink(missing_ok=True)
        return content

    def train(self, run: Run, checkpoint: Path) -> dict:
        """Train one network and predict with it."""
        banks, chosen, settings = self.banks(run), self.chosen(run), self.training(run)
        train = banks["train"].select(chosen)
        if train.labels[run.task].nunique() < 2:
            raise InputError(
                f"all {len(train)} training exams have the same label. Use more exams, or take "
                f"{run.task} out of choices_tasks."
            )
        stopping = banks["test" if run.variant == "stopped_on_test" else "tune"]
        predicted = {"train": train, "tune": banks["tune"], "test": banks["test"]}
        if run.fold is not None:
            others = np.setdiff1d(np.arange(len(banks["train"])), chosen)
            predicted = {"train": banks["train"].select(others)}
        backbone, _ = self.backbone(run)
        words = self.architecture, run.task, train, settings
        network = recipe.start(backbone, *words, self.features(run))
        long = train.lengths.sum() * settings.epochs > LONG_TRAINING
        how = {"checkpoint": checkpoint, "progress": long, "save_every": 60}
        used = {"train": train, "tune": stopping}
        history, table = recipe.train(network, run.task, used, settings, predicted, **how)
        kept = history[history["best"] == 1].iloc[0]
        notes = {
            "train_exams": len(train),
            "epochs": len(history),
            "kept_epoch": int(kept["epoch"]),
            "seconds": round(float(history["seconds"].sum()), 2),
        }
        return {"network": notes, "predictions": table.to_dict("list")}


def retrain(study: Study, architecture: str, plane: str, progress: bool = True) -> None:
    """Train all variants of one architecture and plane and write their predictions.

    Writes ``choices/predictions/<architecture>_<plane>.csv`` to the study's results and, with a row
    per training, ``choices/networks/<architecture>_<plane>.csv``.

    Raises
    ------
    InputError
        For an architecture, plane or task that is none of the study's, for missing banks, and
        for a subset of the exams that has one class only.
    """
    unit = Unit(study, architecture, plane)
    networks, predictions = [], []
    runs = recipes.runs(study.settings, architecture)
    bar = tqdm(runs, f"{architecture} {plane}", disable=not progress)
    for run in bar:
        bar.set_postfix_str(run.name)
        try:
            result = unit.result(run)
        except InputError as error:
            raise InputError(f"{architecture}, {plane}, {run.name}: {error}") from None
        about = {"variant": run.variant, "seed": run.seed, "task": run.task}
        networks.append(about | {"fold": run.fold} | result["network"])
        predictions.append(pd.DataFrame(result["predictions"]).assign(**about))
    table = pd.DataFrame(networks).astype({"fold": "Int64"})
    write_csv(recipes.path_of(study, "networks", architecture, plane), table)
    path = recipes.path_of(study, "predictions", architecture, plane)
    recipes.write(path, pd.concat(predictions))
