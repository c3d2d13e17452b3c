"""The DICOM door: studies as they come, one volume per plane as MRNet has them.

`read_study` reads one study; `examine` reports on it series by series; `to_square` brings a
volume to MRNet's 256 x 256; `convert` does it for a folder of thousands.
"""

from mrnetlib.dicom.conversion import convert
from mrnetlib.dicom.geometry import to_square_pixels
from mrnetlib.dicom.study import Study, examine, read_study
from mrnetlib.dicom.tables import Conversion
from mrnetlib.dicom.volume import Volume, to_square

__all__ = [
    "Conversion",
    "Study",
    "Volume",
    "convert",
    "examine",
    "read_study",
    "to_square",
    "to_square_pixels",
]
