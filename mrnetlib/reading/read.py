"""One exam read by a study's networks: from its volumes to a `Reading`."""

from collections.abc import Callable
from dataclasses import asdict
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from mrnetlib.exams import intake, intensity
from mrnetlib.exams.banks import resize
from mrnetlib.files import InputError
from mrnetlib.names import PLANE_TITLES, TASK_TITLES, architecture_title
from mrnetlib.reading import distances, support
from mrnetlib.reading.arrival import Exam
from mrnetlib.reading.evidence import Evidence, evidence_of, feature_maps, mean
from mrnetlib.reading.models import Member, Models
from mrnetlib.reading.reading import (
    DISCLAIMER,
    Distance,
    Estimate,
    PlaneReading,
    Reading,
    Source,
)

#: What a program reads of a reading.
JSON = "reading.json"

SYNTHETIC = (
    "The networks were trained on synthetic knees, not patients: of a patient's exam their "
    "probabilities say nothing."
)


def standardized(raw: np.ndarray, plane: str, member: Member) -> np.ndarray:
    """A plane's values (S, H, W) as the networks see them: (S, size, size) uint8."""
    if member.landmarks is not None:
        slices = intensity.apply(raw, member.landmarks[plane])
    else:
        slices = intake.to_grey(raw, member.model["white"][plane])
    return resize(slices, member.model["image_size"])


def read(exam: Exam, chosen: Models, step: Callable[[], Any] = lambda: None) -> Reading:
    """Read an exam.

    Parameters
    ----------
    step : called after each network.

    Raises
    ------
    InputError
        Where it has none of the planes that there are networks for.
    """
    begun = perf_counter()
    first = chosen.first
    planes = [plane for plane in first.model["planes"] if plane in exam.raw]
    if not planes:
        raise InputError(
            f"{exam.name}: has the planes {', '.join(exam.raw)}, and there are networks for "
            f"{', '.join(first.model['planes'])} only. Give one of these."
        )
    norms = distances.from_arrays(first.training, first.model["limits"])
    read_planes, logits, apart, notes = {}, {}, [], []
    for plane in planes:
        slices = standardized(exam.raw[plane], plane, first)
        found, features = _evidence(chosen, plane, slices, step)
        logits |= {(plane, *key): one.logit for key, one in found.items()}
        together = {
            task: mean([found[task, member.name] for member in chosen.members])
            for task in first.model["tasks"]
        }
        volume = exam.volumes.get(plane)
        source = Source(volume, first.model["image_size"]) if volume else None
        telling = {task: one.of_slices().argsort()[::-1].tolist() for task, one in together.items()}
        read_planes[plane] = PlaneReading(plane, slices, together, telling, source)
        seen = distances.measured(exam.raw[plane], slices, features, volume)
        apart += distances.distances(seen, plane, norms[plane])
        if distances.turned_otherwise(seen, norms[plane]):
            notes.append(
                f"{PLANE_TITLES[plane]}: it looks like the training exams when it is turned or "
                "mirrored. Check its orientation."
            )
    probabilities, shares = {}, {}
    for task in first.model["tasks"]:
        probabilities[task], shares[task] = _probabilities(chosen, task, planes, logits)
    warnings = _warnings(exam, first, planes, apart) + notes + _disagreements(probabilities)
    about = _about(exam, chosen, planes)
    seconds = round(perf_counter() - begun, 2)
    return Reading(exam.name, probabilities, read_planes, shares, warnings, apart,
                   chosen.checksums(), about, seconds)  # fmt: skip


def _evidence(
    chosen: Models, plane: str, slices: np.ndarray, step: Callable[[], Any]
) -> tuple[dict[tuple[str, str], Evidence], np.ndarray]:
    """Each task's and member's evidence, and the first network's features (F,)."""
    found, features = {}, None
    given = torch.from_numpy(slices).unsqueeze(1)  # (S, H, W) -> (S, 1, H, W)
    for member in chosen.members:
        for task in chosen.first.model["tasks"]:
            network = member.network(plane, task)
            maps = feature_maps(network, given)
            found[task, member.name] = evidence_of(maps, network.head)
            if features is None:
                features = maps.values.mean(dim=(2, 3)).amax(0).numpy()
            step()
    return found, features


def _probabilities(
    chosen: Models, task: str, planes: list[str], logits: dict[tuple[str, str, str], float]
) -> tuple[dict[str, Estimate | str], dict[str, float]]:
    """A task's estimates by plane and fused, their wording, and the planes' shares when fused."""
    members = [member.name for member in chosen.members]
    single = {
        name: {plane: float(expit(logits[plane, task, name])) for plane in planes}
        for name in members
    }
    said: dict[str, Estimate | str] = {}
    shares, fused = [], {}
    for member in chosen.members:
        own, regression = single[member.name], support.coefficients(member, task, planes)
        if regression is None:
            fused[member.name] = own[planes[0]]
            continue
        parts = {plane: regression[plane] * own[plane] for plane in planes}
        shares.append({"intercept": regression["intercept"], **parts})
        fused[member.name] = float(expit(sum(shares[-1].values())))
    one, reached = support.estimate(fused, *support.test_scores(chosen, task, planes))
    said["fused"] = one
    for plane in planes:
        own = {name: single[name][plane] for name in members}
        said[plane], _ = support.estimate(own, *support.test_scores(chosen, task, [plane]))
    said["wording"] = support.wording(task, one, reached, chosen.first.model["data"])
    means = {key: float(np.mean([row[key] for row in shares])) for key in (shares or [{}])[0]}
    return said, means


def _warnings(exam: Exam, first: Member, planes: list[str], apart: list[Distance]) -> list[str]:
    said = [SYNTHETIC] if first.model["synthetic"] else []
    said += exam.warnings
    missing = [plane for plane in first.model["planes"] if plane not in planes]
    if missing:
        words = "the " + " and ".join(planes) + (" planes" if len(planes) > 1 else " plane alone")
        said.append(
            f"There is no {' and no '.join(missing)} plane: this is a reading from {words}, "
            "compared with what the test exams' same planes gave."
        )
    said += [
        f"{PLANE_TITLES[plane]}: it is a single slice."
        for plane in planes
        if len(exam.raw[plane]) == 1
    ]
    return said + [distances.sentence(one) for one in apart if one.outside]


def _disagreements(probabilities: dict[str, dict[str, Estimate | str]]) -> list[str]:
    """Warnings where members lie on both sides of one half."""
    said = []
    for task, estimates in probabilities.items():
        values = list(estimates["fused"].members.values())
        if min(values) < 0.5 <= max(values):
            said.append(
                f"{TASK_TITLES.get(task, task)}: the networks disagree, from {min(values):.2f} to "
                f"{max(values):.2f}."
            )
    return said


def _about(exam: Exam, chosen: Models, planes: list[str]) -> dict[str, str]:
    model = chosen.first.model
    seeds: dict[str, list[str]] = {}
    for member in chosen.members:
        title = architecture_title(member.model["architecture"])
        seeds.setdefault(title, []).append(str(member.model["seed"]))
    networks = "; ".join(f"{title}, seed {', '.join(found)}" for title, found in seeds.items())
    return {
        "study": model["study"],
        "data": model["data"],
        "networks": networks,
        "training exams": str(model["training_exams"]),
        "image size": f"{model['image_size']} pixels",
        "fusion": f"logistic regression fitted on {model['fitted_on']}",
        "commit": model["commit"] or "unknown",
        "torch": model["versions"]["torch"],
        **{f"{plane} series": exam.series[plane] for plane in planes if plane in exam.series},
        "use": DISCLAIMER,
    }


def as_json(reading: Reading) -> dict[str, Any]:
    """What ``reading.json`` holds: no name, id or date."""
    probabilities = {
        task: {name: one if isinstance(one, str) else asdict(one) for name, one in said.items()}
        for task, said in reading.probabilities.items()
    }
    tasks = list(reading.probabilities)
    return {
        "exam": reading.exam,
        "probabilities": probabilities,
        "evidence": {
            task: {p: _sums(one.evidence[task]) for p, one in reading.planes.items()}
            for task in tasks
        },
        "fused": reading.fused,
        "warnings": reading.warnings,
        "distances": [asdict(one) | {"outside": one.outside} for one in reading.distances],
        "models": reading.models,
        "about": reading.about,
        "seconds": reading.seconds,
        "disclaimer": DISCLAIMER,
    }


def _sums(one: Evidence) -> dict[str, Any]:
    slices = one.of_slices()
    return {
        "logit": one.logit,
        "bias": one.bias,
        "sum": float(slices.sum()),
        "slices": slices.tolist(),
    }
