"""The conversion's arguments on the command line."""

import argparse
from pathlib import Path

from mrnetlib.dicom.convert import SIZE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `mrnetlib.dicom.convert` takes, under the same names, to a command's parser."""
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
    add("--size", type=int, default=SIZE, help=f"side of the slices in pixels (default: {SIZE})")
    add("--workers", type=int, help="processes at a time (default: one per core)")
