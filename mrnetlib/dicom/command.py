"""``python -m mrnetlib preprocess IN OUT``: its options, what it prints, its exit status."""

import argparse
from pathlib import Path

from mrnetlib.dicom.conversion import SIZE, convert


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments and options to a parser."""
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
    add("--size", type=int, default=SIZE, help=f"side of the slices in pixels (default: {SIZE})")
    add("--workers", type=int, help="processes at a time (default: one per core)")


def run(arguments: argparse.Namespace) -> int:
    """Convert; the exit status is 1 where a study needs attention, else 0."""
    options = {key: value for key, value in vars(arguments).items() if key != "command"}
    done = convert(**options)
    print(done.summary)
    if not (arguments.landmarks or arguments.learn_landmarks):
        print(
            "volumes hold raw values (uint16); standardize them with --landmarks, or learn "
            "landmarks on training exams with --learn-landmarks"
        )
    return 1 if done.failed else 0
