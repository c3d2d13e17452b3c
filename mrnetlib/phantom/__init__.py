"""The embedded exams: a digital knee, imaged in three planes with known lesions.

`make_exam` makes one exam, `write_exams` a whole set as DICOM studies or in MRNet's layout.
"""

from mrnetlib.phantom.anatomy import Knee, draw_knee, paint_knee
from mrnetlib.phantom.cohort import (
    PhantomExam,
    Protocol,
    describe_exam,
    draw_labels,
    make_exam,
    protocol_of,
    small_protocol,
)
from mrnetlib.phantom.lesions import LESIONS, Lesion
from mrnetlib.phantom.scanner import Geometry
from mrnetlib.phantom.writer import write_exams

__all__ = [
    "LESIONS",
    "Geometry",
    "Knee",
    "Lesion",
    "PhantomExam",
    "Protocol",
    "describe_exam",
    "draw_knee",
    "draw_labels",
    "make_exam",
    "paint_knee",
    "protocol_of",
    "small_protocol",
    "write_exams",
]
