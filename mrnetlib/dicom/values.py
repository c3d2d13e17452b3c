"""Values of a DICOM header, read so that a damaged one is as good as missing."""

import functools
import math
from typing import Any

from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

Vector = tuple[float, ...]

#: Lengths and positions beyond a kilometre, in mm, are damage.
FAR = 1e6


@functools.cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


@functools.lru_cache(8192)
def _converted(tag: int, vr: str, value: bytes, implicit: bool, little: bool) -> Any:
    raw = RawDataElement(BaseTag(tag), vr, len(value), value, 0, implicit, little)
    return convert_raw_data_element(raw, encoding=["iso8859"]).value


def get(header: Dataset, keyword: str | int) -> Any:
    """A value of the header, or None where it is missing, empty or cannot be read.

    Slices of a series share most values: those are converted once and remembered.
    """
    tag = _tag(keyword) if isinstance(keyword, str) else keyword
    try:
        raw = header.get_item(tag)
        if raw is None:
            return None
        if isinstance(raw, RawDataElement) and raw.value and raw.VR not in ("SQ", "UN", None):
            value = _converted(tag, raw.VR, raw.value, raw.is_implicit_VR, raw.is_little_endian)
        else:
            value = header[tag].value
    except Exception:  # whatever a damaged value makes pydicom raise, it is as good as missing
        return None
    return None if value in ("", b"") else value


def raw(header: Dataset, tag: int) -> bytes:
    """A value's bytes as the file has them, b"" where there are none.

    Costs a tenth of a conversion, and hides no value whose VR depends on another element.
    """
    try:
        element = header.get_item(tag)
        value = element.value if element is not None else b""
        return value if isinstance(value, bytes) else str(value or "").encode()
    except Exception:
        return b""


def counted(header: Dataset, tag: int) -> int | None:
    """A whole number that is written in decimals (VR IS), None where there is none."""
    value = raw(header, tag).strip(b" \0")
    return int(value) if value.isdigit() and len(value) < 10 else None


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, none where it is missing or damaged."""
    value = get(header, keyword)
    try:
        return [item for item in value if isinstance(item, Dataset)]
    except Exception:
        return []


def texts(header: Dataset, keyword: str) -> tuple[str, ...]:
    """A value's parts as upper-case text."""
    value = get(header, keyword)
    if value is None:
        return ()
    parts = [value] if isinstance(value, str | bytes | int | float) else value
    try:
        return tuple(str(part).strip().upper() for part in parts)
    except Exception:
        return ()


def text(header: Dataset, keyword: str | int) -> str:
    """A value as one text, "" where there is none."""
    value = get(header, keyword)
    try:
        return "" if value is None else str(value).strip()
    except Exception:
        return ""


def numbers(header: Dataset, keyword: str | int) -> Vector:
    """A value's numbers, empty where one of them is missing, not finite or absurd."""
    value = get(header, keyword)
    if value is None or isinstance(value, bytes):
        return ()
    try:
        parts = [value] if isinstance(value, str | int | float) else list(value)
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        return ()
    return found if all(abs(part) < FAR for part in found) else ()  # NaN compares false


def number(header: Dataset, keyword: str | int) -> float | None:
    """A value's first number, or None."""
    found = numbers(header, keyword)
    return found[0] if found else None


def whole(header: Dataset, keyword: str, default: int) -> int:
    """A whole number, `default` where there is none."""
    value = number(header, keyword)
    return default if value is None or not math.isfinite(value) else int(value)
