"""What a reading of one exam is: everything that its JSON, its page and its DICOM objects say."""

from dataclasses import dataclass, field

import numpy as np
from pydicom import Dataset, dcmread

from mrnetlib.dicom.geometry import Grid, Volume, square_grid
from mrnetlib.reading.evidence import Evidence

#: What stands on everything that is handed out.
DISCLAIMER = "Research software, not a medical device: not for diagnosis or treatment."


@dataclass(frozen=True)
class Estimate:
    """A probability and what the study's own test exams say of it.

    Attributes
    ----------
    value : the mean of the networks' probabilities, 0..1.
    low, high : 95 % interval (Wilson) of the share of those test exams with the finding that
        scored nearest to this; 0..1. It need not hold `value`.
    found, scored : how many of these test exams had the finding, and how many they are.
    members : each member's own probability, by ``<architecture> <seed>``: their spread.
    """

    value: float
    low: float
    high: float
    found: int
    scored: int
    members: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Distance:
    """How far an exam lies from those that the networks were trained on, in one respect.

    Attributes
    ----------
    respect : ``intensity``, ``slices``, ``orientation`` or ``features``.
    plane : axial, coronal or sagittal.
    value : of the exam; NaN where it cannot be told.
    low, high : between which 99 of 100 training exams lie.
    unit : "" or what the three are counted in.
    """

    respect: str
    plane: str
    value: float
    low: float
    high: float
    unit: str = ""

    @property
    def outside(self) -> bool:
        """Whether the exam lies outside, or nobody knows where."""
        return not self.low <= self.value <= self.high


@dataclass(frozen=True)
class Source:
    """Where a plane's slices come from in DICOM, and where its pixels lie in the patient.

    Attributes
    ----------
    volume : as the DICOM door read it: ``volume.images`` are headers in the order of the slices,
        each with ``header.file`` and ``frame``; ``volume.turn`` is what turned them for display.
    size : side of the networks' square slices in pixels.
    """

    volume: Volume
    size: int

    def datasets(self) -> list[Dataset]:
        """The source image of each slice, with its pixels and its identity; read from the disk.

        Slices that are frames of one object share it.
        """
        read: dict[object, Dataset] = {}
        for image in self.volume.images:
            if image.header.file not in read:
                with image.header.file.open() as opened:
                    read[image.header.file] = dcmread(opened, force=True)
        return [read[image.header.file] for image in self.volume.images]

    def frames(self) -> list[int]:
        """Which frame of its dataset each slice is, from 0."""
        return [image.frame for image in self.volume.images]

    def grids(self) -> list[Grid | None]:
        """Where in the patient each slice's pixels lie; None where the spacing is unknown.

        Source images and the networks' slices share the frame of reference.
        """
        turn = self.volume.turn
        return [square_grid(image, turn, self.size) for image in self.volume.images]


@dataclass(frozen=True)
class PlaneReading:
    """One plane of an exam.

    Attributes
    ----------
    plane : axial, coronal or sagittal.
    slices : (S, H, W) uint8, as the networks see them.
    evidence : per task, the mean over the members, which adds up to the mean of their logits.
    telling : per task, all slices' indices, the most telling first: those with the most evidence
        for the finding.
    source : None where the exam came as npy.
    """

    plane: str
    slices: np.ndarray
    evidence: dict[str, Evidence]
    telling: dict[str, list[int]]
    source: Source | None = None


@dataclass(frozen=True)
class Reading:
    """One exam's reading. Nothing in it but ``planes[...].source`` says whose it is.

    Attributes
    ----------
    exam : a neutral name.
    probabilities : task -> ``fused`` and each plane -> `Estimate`, and ``wording`` -> a sentence.
    planes : plane -> `PlaneReading`, those that there were.
    fused : task -> plane or ``intercept`` -> its share of the fused logit, the mean over members.
    warnings : sentences.
    distances : from the training exams, all that were measured.
    models : the models' files -> SHA-256.
    about : what the models are, label -> text: study, data, networks, how they were trained.
    seconds : that it took.
    """

    exam: str
    probabilities: dict[str, dict[str, Estimate | str]]
    planes: dict[str, PlaneReading]
    fused: dict[str, dict[str, float]]
    warnings: list[str]
    distances: list[Distance]
    models: dict[str, str]
    about: dict[str, str]
    seconds: float
