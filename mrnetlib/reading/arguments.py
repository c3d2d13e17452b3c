"""The commands ``read`` and ``export`` on the command line; what they need is imported later."""

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction, of_study: argparse.ArgumentParser) -> None:
    """Add both commands to the command line's; `of_study` has the argument ``--study``."""
    read = commands.add_parser("read", help="read one exam with a study's trained networks")
    read.set_defaults(run=_read)
    add = read.add_argument
    add("exams", type=Path, nargs="+", metavar="EXAM", help="a DICOM folder or zip, or a folder "
        "with axial.npy, coronal.npy, sagittal.npy")  # fmt: skip
    add("--models", type=Path, required=True, help="a study's results, as in results/phantom")
    add("--out", type=Path, required=True, metavar="FOLDER", help="a new folder for the reading")
    add("--anonymous", action="store_true", help="no DICOM objects, which name the patient")
    add("--architectures", type=lambda words: words.split(","), metavar="NAMES",
        help="use these only, with commas between")  # fmt: skip
    add("--prefer", action="append", metavar="[PLANE=]WHAT", help="as for convert")
    add("--allow-gaps", action="store_true", help="as for convert")

    export = commands.add_parser(
        "export", parents=[of_study], help="write trained networks as files to carry"
    )
    export.set_defaults(run=_export)
    export.add_argument("architecture", help="for example alexnet")
    export.add_argument("seed", type=int, help="of its training, for example 2020")


def _read(arguments: argparse.Namespace) -> int:
    from mrnetlib.reading import command

    return command.main(
        arguments.exams, arguments.models, arguments.out, arguments.anonymous,
        arguments.architectures, arguments.prefer, arguments.allow_gaps,
    )  # fmt: skip


def _export(arguments: argparse.Namespace) -> int:
    from mrnetlib import study
    from mrnetlib.provenance import noted
    from mrnetlib.reading.export import export

    chosen, architecture, seed = study.load(arguments.study), arguments.architecture, arguments.seed
    unit = {"architecture": architecture, "seed": seed}
    with noted(chosen, f"models_{architecture}_{seed}", "models", unit):
        print(export(chosen, architecture, seed).relative_to(chosen.root))
    return 0
