"""Pictures of a reading's page: slices in grey, evidence over them, the scale of its colours.

Evidence for a finding is orange, against it blue: a pair that the colour-blind tell apart, and that
differs in lightness. The stronger a share, the less of the grey slice shows through.
"""

import base64
import io

import numpy as np
from PIL import Image

from mrnetlib.reading.evidence import Evidence

#: Red, green, blue of evidence for and against.
FOR, AGAINST = (240, 110, 0), (40, 125, 240)

#: How much of the slice the strongest share covers.
OPAQUE = 0.75

#: Sides in pixels that slices are shown with at most.
LARGEST, THUMBNAIL = 256, 88

#: All thumbnails of a plane together have at most so many pixels.
MOSAIC = 500_000


def png(image: Image.Image) -> str:
    """A picture as a data URI, so that the page needs no other file."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def grey(slice_: np.ndarray, side: int = LARGEST) -> str:
    """A slice (H, W) uint8 as a data URI, made smaller where its sides exceed `side`."""
    image = Image.fromarray(slice_, "L")
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BOX)
    return png(image)


def thumbnail_side(slices: int) -> int:
    """Side in pixels of a plane's thumbnails, less where there are very many slices."""
    return max(16, min(THUMBNAIL, int((MOSAIC / max(1, slices)) ** 0.5)))


def strongest(evidence: Evidence) -> float:
    """The largest absolute share of a place, which the scale of the colours ends at."""
    return float(np.abs(evidence.shares).max()) or 1.0


def coloured(values: np.ndarray, most: float) -> np.ndarray:
    """Shares of any shape as colours (..., 4), uint8 red, green, blue, opacity."""
    strength = np.clip(np.abs(values) / most, 0, 1)
    colours = np.where((values > 0)[..., None], FOR, AGAINST)
    opacity = np.rint(255 * OPAQUE * strength)
    return np.concatenate([colours, opacity[..., None]], axis=-1).astype(np.uint8)


def laid(sheet: np.ndarray, below: np.ndarray | int) -> np.ndarray:
    """Colours (..., 4) laid over greys, (..., 3) or one for all: uint8 (..., 3)."""
    opacity = sheet[..., 3:] / 255
    return np.rint(sheet[..., :3] * opacity + below * (1 - opacity)).astype(np.uint8)


def over(evidence: Evidence, index: int) -> str:
    """The evidence of a slice as a see-through data URI of a slice's shape.

    Colours say the share of a place of the networks' grid, which is coarser than pixels.
    """
    sheet = coloured(evidence.shown(index), strongest(evidence))
    step = -(-len(sheet) // LARGEST)
    return png(Image.fromarray(sheet[::step, ::step], "RGBA"))


def scale() -> str:
    """The scale of the colours over middle grey, from the strongest against to that for."""
    return png(Image.fromarray(laid(coloured(np.linspace(-1, 1, 128)[None], 1.0), 110), "RGB"))
