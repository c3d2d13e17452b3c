"""The DICOM door: studies as they come, one volume per plane as MRNet has them.

`read_study` reads one study; `examine` reports on it series by series; `to_square` brings a
volume to MRNet's 256 x 256; `convert` does it for a folder of thousands.
"""

from mrnetlib.dicom.convert import convert
from mrnetlib.dicom.geometry import Volume, to_square, to_square_pixels
from mrnetlib.dicom.study import Examination, examine, read_study
from mrnetlib.dicom.tables import Conversion

__all__ = [
    "Conversion",
    "Examination",
    "Volume",
    "convert",
    "examine",
    "read_study",
    "to_square",
    "to_square_pixels",
]
