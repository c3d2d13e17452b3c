"""A reading as a DICOM structured report after template TID 1500, Measurement Report.

A group per task holds the fused probability, and one per task and plane the plane's probability
and how its logit adds up; each refers to the slices with most evidence and names the algorithm.
"""

from collections.abc import Callable, Iterator

from highdicom import sr
from highdicom.uid import UID
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DS

from mrnetlib.names import PLANE_TITLES, TASK_TITLES
from mrnetlib.reading import codes
from mrnetlib.reading.reading import DISCLAIMER, Estimate, Reading

#: How many slices a group refers to, a plane.
TOLD = 3


def number(name: Code, value: float) -> sr.Measurement:
    """A measurement without a unit: for people a count as it is and another number to four digits,
    for programs exactly, as its floating point value."""
    made = sr.Measurement(name=name, value=float(value), unit=codes.NO_UNITS)
    said = str(value) if isinstance(value, int) else f"{value:.4g}"
    made[0].MeasuredValueSequence[0].NumericValue = DS(said)
    return made


def _estimate(estimate: Estimate) -> list[sr.Measurement]:
    values = {
        codes.PROBABILITY: estimate.value,
        codes.LOW: estimate.low,
        codes.HIGH: estimate.high,
        codes.FOUND: estimate.found,
        codes.SCORED: estimate.scored,
    }
    return [number(name, value) for name, value in values.items()]


def _group(
    task: str,
    where: str,
    measurements: list[sr.Measurement],
    estimate: Estimate,
    images: list[sr.SourceImageForMeasurementGroup],
    algorithm: sr.AlgorithmIdentification,
    remarks: list[str],
) -> sr.MeasurementsAndQualitativeEvaluations:
    side = codes.ABOVE if estimate.value >= 0.5 else codes.BELOW
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=UID(), identifier=f"{TASK_TITLES[task]}, {where}"
        ),
        finding_type=codes.TASK[task],
        algorithm_id=algorithm,
        finding_sites=[sr.FindingSite(codes.REGION)],
        measurements=measurements,
        qualitative_evaluations=[sr.QualitativeEvaluation(codes.SIDE, side)],
        source_images=images,
    )
    _remark(group[0], remarks)
    return group


def _remark(container: Dataset, remarks: list[str], before: Code | None = None) -> None:
    """Comments below a container, at its end or before an item; the templates may be extended."""
    items = container.ContentSequence
    names = [item.ConceptNameCodeSequence[0].CodeValue for item in items]
    start = names.index(before.value) if before else len(items)
    for place, remark in enumerate(remarks, start):
        made = sr.TextContentItem(codes.COMMENT, remark, sr.RelationshipTypeValues.CONTAINS)
        items.insert(place, made)


def separate(container: Dataset) -> None:
    """Say that a container's items stand by themselves, each under its name.

    highdicom says that they are prose, of which viewers show the values without their names.
    """
    container.ContinuityOfContent = "SEPARATE"
    for item in container.ContentSequence:
        if item.ValueType == "CONTAINER":
            separate(item)


def _groups(
    reading: Reading,
    images: Callable[[str, str], list[sr.SourceImageForMeasurementGroup]],
    algorithm: Callable[[list[str], str], sr.AlgorithmIdentification],
) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    for task, said in reading.probabilities.items():
        shares = reading.fused[task]
        fused = [*_estimate(said["fused"])]
        if "intercept" in shares:
            fused.append(number(codes.INTERCEPT, shares["intercept"]))
        shown = [image for plane in reading.planes for image in images(plane, task)]
        by, wording = algorithm(list(reading.planes), task), [said["wording"]]
        yield _group(task, "all planes", fused, said["fused"], shown, by, wording)
        for plane, one in reading.planes.items():
            evidence = one.evidence[task]
            values = {
                codes.LOGIT: evidence.logit,
                codes.BIAS: evidence.bias,
                codes.SUM: evidence.of_slices().sum(),
            }
            if plane in shares:
                values[codes.PLANE_SHARE] = shares[plane]
            found = [number(name, value) for name, value in values.items()]
            title = f"{PLANE_TITLES[plane].lower()} plane"
            numbers = _estimate(said[plane]) + found
            shown, by = images(plane, task), algorithm([plane], task)
            yield _group(task, title, numbers, said[plane], shown, by, [])


def report(
    reading: Reading,
    images: Callable[[str, str], list[sr.SourceImageForMeasurementGroup]],
    algorithm: Callable[[list[str], str], sr.AlgorithmIdentification],
    device: sr.ObserverContext,
    sources: list[Dataset],
    common: dict,
) -> sr.ComprehensiveSR:
    """The structured report of a reading.

    Parameters
    ----------
    images : of a plane and task, references to the most telling slices.
    algorithm : of planes and a task, the networks that say something of them.
    sources : every source image.
    common : what all objects say of the software and of their series, see `dicom_objects`.
    """
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=list(_groups(reading, images, algorithm)),
        title=codes.MEASUREMENT_REPORT,
    )
    about = [f"{label}: {text}" for label, text in reading.about.items()]
    _remark(content[0], [DISCLAIMER, *reading.warnings], before=codes.MEASUREMENTS)
    _remark(content[0], about)
    separate(content[0])
    return sr.ComprehensiveSR(
        evidence=sources,
        content=content,
        sop_instance_uid=UID(),
        instance_number=1,
        is_complete=True,
        **common,
    )
