"""``python -m mrnetlib read``: exams in, a folder of readings out, whole or not at all."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tqdm.auto import tqdm

from mrnetlib.files import InputError, for_everyone, write_json
from mrnetlib.reading import models
from mrnetlib.reading.arrival import arrays_of, arrive
from mrnetlib.reading.dicom_objects import obstacles, write_objects
from mrnetlib.reading.read import JSON, as_json, read
from mrnetlib.reading.reading import Reading
from mrnetlib.reading.report import write_report

LEFT_OUT = "No DICOM objects were written, because --anonymous leaves out what names the patient."


def names_of(paths: list[Path], anonymous: bool) -> list[str]:
    """A name for each exam that tells nothing of DICOM: its number, or the arrays' folder."""
    names: list[str] = []
    numbers = [f"exam-{number}" for number in range(1, len(paths) + 1)]
    for number, path in zip(numbers, paths, strict=True):
        name = "" if anonymous else _name_of_arrays(path)
        names.append(name if name and name not in names + numbers else number)
    return names


def _name_of_arrays(path: Path) -> str:
    """What an exam that comes as arrays is called, "" for others and for what is no exam."""
    with contextlib.suppress(InputError):  # it is told when its turn comes
        if arrays_of(path):
            return path.stem if path.is_file() else path.resolve().name
    return ""


def main(
    paths: list[Path],
    place: Path,
    out: Path,
    anonymous: bool = False,
    architectures: list[str] | None = None,
    prefer: list[str] | None = None,
    allow_gaps: bool = False,
) -> int:
    """Read exams and write their readings.

    Of one exam ``OUT`` holds ``reading.json`` and what goes with it; of several each has a folder
    in it. An exam that cannot be read does not stop the others.

    Returns
    -------
    0, or 1 where an exam could not be read.

    Raises
    ------
    InputError
        Where `out` is in use, where there are no models, and where the only exam cannot be read.
    """
    out = Path(out)
    if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not empty. Choose another folder, or remove it.")
    names = names_of(paths, anonymous)
    chosen = models.load(place, architectures)
    model = chosen.first.model
    count = len(chosen.members) * len(model["tasks"]) * len(model["planes"])
    failed, done = [], 0
    with tqdm(total=count * len(paths), desc="networks", unit="", leave=False) as bar:
        for path, name in zip(paths, names, strict=True):
            bar.set_description(name)
            try:
                exam = arrive(path, name, model["image_size"], prefer, allow_gaps)
                reading = read(exam, chosen, bar.update)
                notes = write(reading, out if len(paths) == 1 else out / name, anonymous)
            except InputError as error:
                if len(paths) == 1:
                    raise
                failed.append(str(error))
                bar.write(f"error: {error}", file=sys.stderr)
            else:
                bar.write("\n".join([summary(reading), *(f"  note: {note}" for note in notes)]))
            done += 1
            bar.update(count * done - bar.n)
    print(f"{len(paths) - len(failed)} of {len(paths)} exams read, in {out}")
    return 1 if failed else 0


def write(reading: Reading, folder: Path, anonymous: bool) -> list[str]:
    """Write a reading's files to a new folder, all of them or none.

    ``reading.json``, ``report.html``, and in ``dicom`` objects for viewers, but where the exam came
    as arrays or is to stay `anonymous`.

    Returns
    -------
    Sentences about objects that were not written, and why.
    """
    notes = [LEFT_OUT] if anonymous else obstacles(reading)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write_json(temporary / JSON, as_json(reading) | {"notes": notes})
        write_report(reading, temporary)
        if not anonymous:
            write_objects(reading, temporary)
        for_everyone(temporary, 0o777)
        if folder.is_dir():
            folder.rmdir()  # empty, or it is refused here
        temporary.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: could not be written ({error.strerror or error}); nothing was left "
            "half-written. Choose another folder, and run it again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return notes


def summary(reading: Reading) -> str:
    """A reading in a few lines for the terminal."""
    lines = [f"{reading.exam}:"]
    for task, said in reading.probabilities.items():
        planes = ", ".join(f"{plane} {said[plane].value:.2f}" for plane in reading.planes)
        lines.append(f"  {task} {said['fused'].value:.2f} ({planes}). {said['wording']}")
    lines += [f"  warning: {warning}" for warning in reading.warnings]
    return "\n".join(lines)
