"""What the command line takes for a study, for a number and for a conversion."""

import argparse
import re
from pathlib import Path

from mrnetlib.names import SLICE_SIZE


def one_or_more(word: str) -> int:
    """A whole number from 1 on."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number of 1 or more.")
    return int(word)


def study_name(word: str) -> str:
    """The name of a file in ``studies/``, which is part of paths and commands."""
    word = word.removesuffix(".yaml")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", word):
        raise argparse.ArgumentTypeError(
            f"{word!r} cannot be a study's name, which has only letters, digits, '_', '.' and '-', "
            "a letter or digit first. Name a file in studies/ without its .yaml, as in phantom."
        )
    return word


def add_conversion(parser: argparse.ArgumentParser) -> None:
    """Add what `mrnetlib.dicom.convert` takes, under the same names, without loading pydicom."""
    add = parser.add_argument
    add("source", type=Path, help="a folder, a zip or a DICOMDIR, of one study or of thousands")
    add("out", type=Path, help="a new folder; it appears when all is written")
    add(
        "--prefer",
        action="append",
        metavar="[PLANE=]WHAT",
        help="take this series where several would do: words of its description, series:N (as "
        "numbered in dicom_report.csv) or echo:N, for all planes or for one, as in sagittal=T2; "
        "may be given several times",
    )
    add("--allow-gaps", action="store_true", help="take stacks with missing slices, and say where")
    add("--split", choices=("train", "test"), default="test", help="which exams these are")
    add(
        "--labels",
        type=Path,
        metavar="CSV",
        help="exam (a study's folder name), split (train or test), abnormal, acl, meniscus",
    )
    add("--landmarks", type=Path, metavar="JSON", help="standardize intensities with these")
    add("--learn-landmarks", action="store_true", help="learn them on the training exams here")
    add("--key-file", type=Path, metavar="CSV", help="which exam was which; it identifies people")
    add("--follow-links", action="store_true", help="also links that lead out of the source")
    side = f"side of the slices in pixels (default: {SLICE_SIZE})"
    add("--size", type=int, default=SLICE_SIZE, help=side)
    add("--workers", type=int, help="processes at a time (default: one per core)")
