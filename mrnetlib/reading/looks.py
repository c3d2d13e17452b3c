"""Where a study's networks look: their evidence scored against lesions, beside all controls.

One job is an architecture and a plane. It reads the study's networks as they were trained, two
kinds of network that have learned nothing, the test exams, and the same exams without a lesion
(`mrnetlib.reading.removed`).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from mrnetlib.exams.banks import ExamBank
from mrnetlib.exams.layout import read_volume
from mrnetlib.figures.looks import Case
from mrnetlib.files import InputError
from mrnetlib.names import checkpoint_path
from mrnetlib.parallel import each
from mrnetlib.reading.evidence import Evidence, evidence, evidence_of, feature_maps
from mrnetlib.reading.gradcam import grad_cam
from mrnetlib.reading.models import network_of
from mrnetlib.reading.pictures import coloured, strongest
from mrnetlib.reading.removed import FOLDER, REMOVED
from mrnetlib.reading.scores import EVIDENCE, Hit, by_chance, lesion_of, score
from mrnetlib.study import Study
from mrnetlib.training import devices, recipe
from mrnetlib.training.checkpoints import load_checkpoint
from mrnetlib.training.finetune import seed_of
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.predict import packs


class Looked(NamedTuple):
    """What the networks of an architecture and plane, or of several, were found to do.

    scores : a row per exam with a visible lesion, task, plane, architecture, seed and source (see
        `mrnetlib.reading.scores`), with its measures.
    said : exam, architecture, plane, task, seed, probability: of the test exams with a lesion, and
        of these without one.
    """

    scores: pd.DataFrame
    said: pd.DataFrame


def look(study: Study, shuffled: tuple[str, ...], workers: int | None = None) -> Looked:
    """All of a study's networks.

    Parameters
    ----------
    shuffled : the architectures of which one network a plane is trained on shuffled labels.
    workers : processes.
    """
    settings = study.settings
    jobs = [
        (study, architecture, plane, architecture in shuffled)
        for architecture in reversed(settings.architectures)  # the fastest last
        for plane in settings.planes
    ]
    found = list(each(_look, jobs, workers, "networks"))
    return Looked(*(pd.concat(parts, ignore_index=True) for parts in zip(*found, strict=True)))


def _look(job: tuple) -> Looked:
    study, architecture, plane, with_shuffled = job
    devices.use_machine(study.settings)
    bank = ExamBank.open(study.banks, "test", plane)
    bank = bank.select(np.flatnonzero((bank.labels != 0).any(axis=1)))
    without = ExamBank.open(study.data / FOLDER / REMOVED, REMOVED, plane)
    masks = {exam: lesions(study, plane, exam) for exam in bank.exams}
    scores, said = [], []
    for task in study.settings.tasks:
        for seed in study.settings.seeds_of(architecture):
            network = trained(study, architecture, plane, task, seed)
            keys = {"task": task, "plane": plane, "architecture": architecture, "seed": seed}
            for exam, one in evidence_in(network, bank):
                said.append({"exam": exam, "logit": one.logit} | keys)
                scores += _hits(network, bank, exam, one, masks[exam], keys)
            rows = evidence_in(network, without)
            said += [{"exam": exam, "logit": one.logit} | keys for exam, one in rows]
    for source, network in controls(study, architecture, plane, with_shuffled):
        scores += _control_hits(study, source, network, bank, masks, architecture)
    said = pd.DataFrame(said)
    said["probability"] = 1 / (1 + np.exp(-said.pop("logit").to_numpy()))
    return Looked(pd.DataFrame(scores), said)


def lesions(study: Study, plane: str, exam: str) -> np.ndarray:
    """An exam's lesion mask, codes (S, H, W) uint8."""
    return np.asarray(read_volume(study.data / "lesions" / plane / f"{exam}.npy"))


def trained(study: Study, architecture: str, plane: str, task: str, seed: int) -> ExamNetwork:
    """A study's network as it was trained."""
    state = load_checkpoint(checkpoint_path(study.data, architecture, plane, task, seed))["best"]
    return network_of(state, architecture).requires_grad_(True)  # which Grad-CAM asks for


def evidence_in(network: ExamNetwork, bank: ExamBank) -> Iterator[tuple[str, Evidence]]:
    """The evidence of every exam of a bank; several go through the network together."""
    device = network.mean.device
    for pack in packs(bank):
        maps = feature_maps(network, bank.read(pack).to(device))
        first = 0
        for index in pack:
            part = slice(first, first + int(bank.lengths[index]))
            places = None if maps.places is None else maps.places[part]
            own = replace(maps, values=maps.values[part], places=places)
            yield bank.exams[index], evidence_of(own, network.head)
            first = part.stop


def _hits(
    network: ExamNetwork, bank: ExamBank, exam: str, found: Evidence, mask: np.ndarray, keys: dict
) -> list[dict]:
    """The scores of a network's evidence and its Grad-CAM, and of chance, where there is a lesion
    of the task to be found."""
    place, lesion = bank.exams.index(exam), lesion_of(mask, keys["task"])
    if not (bank.labels[keys["task"]].iloc[place] and lesion.any()):
        return []
    cam = replace(found, shares=grad_cam(network, bank.exam(place).numpy()))
    by_source = {EVIDENCE: score(found, lesion), "grad_cam": score(cam, lesion)}
    by_source["chance"] = by_chance(found, lesion)
    return [_row(exam, source, hit, keys) for source, hit in by_source.items()]


def _row(exam: str, source: str, hit: Hit, keys: dict) -> dict:
    return {"exam": exam, "source": source} | keys | hit._asdict()


def controls(
    study: Study, architecture: str, plane: str, with_shuffled: bool
) -> Iterator[tuple[str, ExamNetwork]]:
    """Networks that know nothing of lesions: one at random, and one that learned shuffled labels.

    One of each is held against every task: what they know of one task they know of another.
    """
    settings = study.settings
    device = devices.choose_device(settings.device)
    train = ExamBank.open(study.banks, "train", plane)
    blank = recipe.starting_point(study, architecture, device, "none")
    how = replace(settings.of_seed(settings.seed), head="random")
    yield "untrained", recipe.start(blank, architecture, settings.tasks[0], train, how)
    if with_shuffled:
        yield "shuffled", shuffled(study, architecture, plane, device)


def shuffled(
    study: Study, architecture: str, plane: str, device: torch.device, task: str | None = None
) -> ExamNetwork:
    """A network of the study's recipe whose training and tuning exams were given each other's
    labels of a task, the last one if None; kept beside the others, and not trained again."""
    task = task or study.settings.tasks[-1]
    own = study.settings.of_seed(study.settings.seed)
    banks = {}
    for split in ("train", "tune"):
        bank = ExamBank.open(study.banks, split, plane)
        order = np.random.default_rng(seed_of("shuffled", own.seed, split)).permutation(len(bank))
        labels = bank.labels.assign(**{task: bank.labels[task].to_numpy()[order]})
        banks[split] = replace(bank, labels=labels)
    start = recipe.starting_point(study, architecture, device)
    network = recipe.start(start, architecture, task, banks["train"], own)
    kept = study.data / FOLDER / f"shuffled_{architecture}_{plane}_{task}_{own.seed}.pt"
    how = {"checkpoint": kept, "progress": False, "predicted": {"tune": banks["tune"]}}
    recipe.train(network, task, banks, own, **how)
    return network


def _control_hits(
    study: Study,
    source: str,
    network: ExamNetwork,
    bank: ExamBank,
    masks: dict[str, np.ndarray],
    architecture: str,
) -> list[dict]:
    """The scores of a network that knows nothing, for every task."""
    rows = []
    for exam, found in evidence_in(network, bank):
        labels = bank.labels.iloc[bank.exams.index(exam)]
        for task in study.settings.tasks:
            lesion = lesion_of(masks[exam], task)
            if labels[task] and lesion.any():
                keys = {"task": task, "plane": bank.plane, "architecture": architecture}
                keys["seed"] = study.settings.seed
                rows.append(_row(exam, source, score(found, lesion), keys))
    return rows


def case(study: Study, architecture: str, plane: str, task: str, exam: str, words: str) -> Case:
    """One network of the study's first seed and one test exam, ready to be shown."""
    bank = ExamBank.open(study.banks, "test", plane)
    slices = bank.exam(bank.exams.index(exam)).numpy()
    network = trained(study, architecture, plane, task, study.settings.seed)
    found = evidence(network, slices)
    lesion = lesion_of(lesions(study, plane, exam), task)
    told = int(found.of_slices().argmax()), int(lesion.sum(axis=(1, 2)).argmax())
    sheets = [coloured(found.shown(index), strongest(found)) for index in told]
    chosen = [slices[index] for index in told]
    return Case(words, tuple(chosen), tuple(sheets), tuple(lesion[i] for i in told), told)


def sizes(study: Study) -> pd.DataFrame:
    """How fine each architecture's evidence is: places a slice, and pixels a place has a side."""
    rows = []
    plane, task = study.settings.planes[0], study.settings.tasks[0]
    for architecture in study.settings.architectures:
        network = trained(study, architecture, plane, task, study.settings.seed)
        size = study.settings.image_size
        found = evidence(network, np.zeros((1, size, size), np.uint8))
        rows.append([architecture, found.shares[0].size, found.step])
    return pd.DataFrame(rows, columns=["architecture", "places a slice", "pixels a side"])


def extents(study: Study, exams: pd.DataFrame) -> pd.DataFrame:
    """How large the lesions are in every plane: the exams that show one, of the positive ones, the
    share of their pixels that is lesion (median), and the share of slices that show it (mean)."""
    rows = []
    for task in study.settings.tasks:
        for plane in study.settings.planes:
            masks = [
                lesion_of(lesions(study, plane, exam), task)
                for exam in exams.loc[exams[task] == 1, "exam"]
            ]
            shown = [mask for mask in masks if mask.any()]
            area = np.median([mask.mean() for mask in shown]) if shown else np.nan
            slices = np.mean([mask.any(axis=(1, 2)).mean() for mask in shown]) if shown else np.nan
            rows.append([task, plane, len(shown), len(masks), area, slices])
    columns = ["task", "plane", "shown", "positive", "share of pixels", "share of slices"]
    return pd.DataFrame(rows, columns=columns)


def check(study: Study) -> None:
    """Refuse a study whose exams have no known lesions, or none that could be removed."""
    if study.settings.data != "phantom" or not study.settings.standardize:
        raise InputError(
            f"study {study.name}: where its lesions are is not known, or its grey scale is each "
            "scanner's own. Notebook 07 needs a phantom's exams with 'standardize: true'."
        )
