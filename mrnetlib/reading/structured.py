"""A reading as a DICOM structured report after template TID 1500, Measurement Report.

A group per task holds the fused probability, and one per task and plane the plane's probability
and how its logit adds up; each refers to the slices with most evidence and names the algorithm.
"""

from collections.abc import Callable, Iterator

from highdicom import sr
from highdicom.uid import UID
from pydicom import Dataset
from pydicom.sr.coding import Code

from mrnetlib.names import PLANE_TITLES, TASK_TITLES
from mrnetlib.reading import codes
from mrnetlib.reading.reading import DISCLAIMER, Estimate, Reading

#: How many slices a group refers to, a plane.
TOLD = 3


def number(name: Code, value: float) -> sr.Measurement:
    """A measurement without a unit."""
    return sr.Measurement(name=name, value=float(value), unit=codes.NO_UNITS)


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


def _remark(container: Dataset, remarks: list[str]) -> None:
    """Comments below a container; the templates may be extended."""
    for remark in remarks:
        item = sr.TextContentItem(codes.COMMENT, remark, sr.RelationshipTypeValues.CONTAINS)
        container.ContentSequence.append(item)


def _groups(
    reading: Reading,
    images: Callable[[str, str], list[sr.SourceImageForMeasurementGroup]],
    algorithm: sr.AlgorithmIdentification,
) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    for task, said in reading.probabilities.items():
        shares = reading.fused[task]
        fused = [*_estimate(said["fused"])]
        if "intercept" in shares:
            fused.append(number(codes.INTERCEPT, shares["intercept"]))
        shown = [image for plane in reading.planes for image in images(plane, task)]
        wording = [said["wording"]]
        yield _group(task, "all planes", fused, said["fused"], shown, algorithm, wording)
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
            shown = images(plane, task)
            yield _group(task, title, numbers, said[plane], shown, algorithm, [])


def report(
    reading: Reading,
    images: Callable[[str, str], list[sr.SourceImageForMeasurementGroup]],
    algorithm: sr.AlgorithmIdentification,
    device: sr.ObserverContext,
    sources: list[Dataset],
    common: dict,
) -> sr.ComprehensiveSR:
    """The structured report of a reading.

    Parameters
    ----------
    images : of a plane and task, references to the most telling slices.
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
    _remark(content[0], [DISCLAIMER, *reading.warnings, *about])
    return sr.ComprehensiveSR(
        evidence=sources,
        content=content,
        sop_instance_uid=UID(),
        instance_number=1,
        is_complete=True,
        **common,
    )
