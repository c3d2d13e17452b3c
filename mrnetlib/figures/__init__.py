"""Figures: functions that take results and return a matplotlib Figure. None reads a file.

Each takes plain arrays or tables and a `caption`, the study's name as
``Study.caption()`` gives it, which stands small at the figure's foot: a picture that is copied out
of its notebook still says whose knees it shows.
"""

from mrnetlib.figures.calibration import calibration_curves
from mrnetlib.figures.counts import histograms, label_counts, slices_per_exam
from mrnetlib.figures.exams import augmentation_gallery, exam, mosaic, side_by_side
from mrnetlib.figures.gain import gain
from mrnetlib.figures.pipeline import pipeline
from mrnetlib.figures.results import (
    confusion_matrices,
    fusion_weights,
    roc_curves,
    single_vs_multi,
)
from mrnetlib.figures.style import save, style
from mrnetlib.figures.training import training_curves

__all__ = [
    "augmentation_gallery",
    "calibration_curves",
    "confusion_matrices",
    "exam",
    "fusion_weights",
    "gain",
    "histograms",
    "label_counts",
    "mosaic",
    "pipeline",
    "roc_curves",
    "save",
    "side_by_side",
    "single_vs_multi",
    "slices_per_exam",
    "style",
    "training_curves",
]
