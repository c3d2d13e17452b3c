"""The command line: ``python -m mrnetlib study phantom`` and its neighbours."""

import argparse
import sys
from pathlib import Path

from mrnetlib.files import InputError


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from mrnetlib.dicom import command as dicom

    parser = argparse.ArgumentParser(prog="python -m mrnetlib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    study = commands.add_parser("study", help="run a study from its exams to Table I")
    study.add_argument("name", nargs="?", default="phantom", help="a file in studies/")
    study.add_argument("--cores", type=int, help="processes at a time (default: all cores)")
    study.add_argument("--dry-run", action="store_true", help="only say what would be run")
    study.add_argument(
        "--choices", action="store_true", help="also train its variants again, for notebook 06"
    )

    notebook = commands.add_parser("notebook", help="execute one notebook of a study")
    notebook.add_argument("name", help="for example 04_single_vs_multi_view")
    notebook.add_argument("--study", default="phantom", help="a file in studies/")
    notebook.add_argument(
        "-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE",
        help="a parameter of the notebook; may be given several times",
    )  # fmt: skip

    pretrain = commands.add_parser("pretrain", help="make a study's own starting weights")
    pretrain.add_argument("architecture", help="for example resnet18")
    pretrain.add_argument("--study", default="phantom", help="a file in studies/")

    choices = commands.add_parser("choices", help="train the variants of a study's recipe again")
    choices.add_argument("architecture", nargs="?", help="for example alexnet")
    choices.add_argument("plane", nargs="?", help="without: prepare what the variants start from")
    choices.add_argument("--study", default="phantom", help="a file in studies/")

    check = commands.add_parser("check", help="validate a folder in MRNet's layout")
    check.add_argument("folder")

    evaluate = commands.add_parser("evaluate", help="measure and fuse anyone's predictions")
    evaluate.add_argument("test", type=Path, help="CSV: label, axial, coronal, sagittal")
    evaluate.add_argument(
        "--fit-on", type=Path, metavar="TRAIN", help="such a CSV, to fit the planes' fusion on"
    )

    preprocess = commands.add_parser("preprocess", help="DICOM studies -> exams in MRNet's layout")
    dicom.add_options(preprocess)
    return parser


def _study(arguments: argparse.Namespace) -> int:
    from mrnetlib import runner, study

    chosen = study.load(arguments.name)
    if chosen.settings.data != "phantom":
        _ = chosen.exams  # a study without its folder fails here, not an hour later
    run = runner.run_choices if arguments.choices else runner.run_study
    return run(chosen, arguments.cores, arguments.dry_run)


def _notebook(arguments: argparse.Namespace) -> int:
    from mrnetlib import runner, study

    chosen = study.load(arguments.study)
    parameters = runner.parse_parameters(arguments.parameters)
    try:
        report = runner.run_notebook(chosen, arguments.name, parameters)
    except runner.NotebookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(report.relative_to(chosen.root))
    return 0


def _pretrain(arguments: argparse.Namespace) -> int:
    from mrnetlib import runner, study

    chosen = study.load(arguments.study)
    runner.run_pretraining(chosen, arguments.architecture)
    return 0


def _choices(arguments: argparse.Namespace) -> int:
    from mrnetlib import runner, study

    chosen = study.load(arguments.study)
    runner.run_retraining(chosen, arguments.architecture, arguments.plane)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from mrnetlib.exams import check

    return check.main(arguments.folder)


def _evaluate(arguments: argparse.Namespace) -> int:
    from mrnetlib.evaluation import evaluate as others

    train = others.read(arguments.fit_on) if arguments.fit_on else None
    table = others.measured(others.read(arguments.test), train)
    print(table.to_string(index=False, float_format="{:.4f}".format))
    return 0


def _preprocess(arguments: argparse.Namespace) -> int:
    from mrnetlib.dicom import command

    return command.run(arguments)


def main(words: list[str] | None = None) -> int:
    """Run a command; the exit status is 0 when all went well, 1 for bad input, 2 for usage."""
    arguments = build_parser().parse_args(words)
    commands = {
        "study": _study,
        "notebook": _notebook,
        "pretrain": _pretrain,
        "choices": _choices,
        "check": _check,
        "evaluate": _evaluate,
        "preprocess": _preprocess,
    }
    try:
        return commands[arguments.command](arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command to go on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
