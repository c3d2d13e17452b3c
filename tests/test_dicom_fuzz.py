"""Damaged files: 2,000 of them give results or named refusals, quickly and in little memory."""

import sys
import time
import warnings

import numpy as np
import pytest
from dicom_files import dataset, enhanced, pattern, write_series
from pydicom import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from mrnetlib.dicom import examine, read_study
from mrnetlib.dicom.sources import find
from mrnetlib.files import InputError

resource = pytest.importorskip("resource", reason="SKIPPED ALOUD: no memory figures here")

FILES = 2000
SECONDS_EACH = 5.0
MEGABYTES = 400
EXTREMES = (b"\xff\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f")


def seeds(folder):
    """One sound file of every kind, as bytes."""
    kinds = {"plain": dataset(pattern(1)), "enhanced": enhanced(), "rle": dataset(pattern(1))}
    kinds["rle"].compress(RLELossless)
    for name, syntax in (
        ("implicit", ImplicitVRLittleEndian),
        ("big", ExplicitVRBigEndian),
        ("deflated", DeflatedExplicitVRLittleEndian),
    ):
        kinds[name] = dataset(pattern(1))
        kinds[name].file_meta.TransferSyntaxUID = syntax
    for name, ds in kinds.items():
        dcmwrite(folder / name, ds, enforce_file_format=True)
    contents = [(folder / name).read_bytes() for name in sorted(kinds)]
    return [*contents, (folder / "plain").read_bytes()[132:]]  # no preamble


def damaged(content, rng):
    """Bytes flipped, cut out, repeated or cut off; most damage falls on the header."""
    data = bytearray(content)
    reach = len(data) if rng.random() < 0.3 else min(len(data), 1200)
    kind = rng.integers(5)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    if kind == 1:
        at, size = rng.integers(reach), int(rng.integers(1, 40))
        return bytes(data[:at] + data[at + size :])
    if kind == 2:  # a length or a number becomes extreme
        at = rng.integers(reach)
        data[at : at + 4] = EXTREMES[rng.integers(len(EXTREMES))]
        return bytes(data)
    if kind == 3:
        at, size = rng.integers(reach), int(rng.integers(1, 200))
        return bytes(data[: at + size] + data[at:])
    for at in rng.integers(0, reach, rng.integers(1, 30)):
        data[at] = rng.integers(256)
    return bytes(data)


def without_a_tag(rng):
    """A plain file that lacks one element, or has it empty."""
    ds = dataset(pattern(1))
    keyword = rng.choice([element.keyword for element in ds])
    if rng.random() < 0.5:
        delattr(ds, keyword)
    else:
        setattr(ds, keyword, None)
    return ds


def test_damaged_files_give_results_or_named_refusals(tmp_path, capfd):
    rng = np.random.default_rng(3)
    contents = seeds(tmp_path)
    path = tmp_path / "damaged.dcm"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read, refused, slowest = 0, set(), 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(FILES):
            if number % 8 == 7:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    without_a_tag(rng).save_as(path)
            else:
                path.write_bytes(damaged(contents[number % len(contents)], rng))
            start = time.perf_counter()
            try:
                volumes = read_study(path)
                assert all(volume.pixels.ndim == 3 for volume in volumes.values())
                read += 1
            except InputError as error:
                refused.add(str(error).partition(": ")[2])
            slowest = max(slowest, time.perf_counter() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    grown = grown / 1024 if sys.platform == "darwin" else grown
    assert slowest < SECONDS_EACH and grown < MEGABYTES
    assert read > 100 and len(refused) > 15
    assert all(reason.endswith(".") for reason in refused)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(3))
def test_one_damaged_file_never_shortens_a_stack_in_silence(tmp_path, seed):
    rng = np.random.default_rng(seed)
    paths = write_series(tmp_path)
    sound = {path: path.read_bytes() for path in paths}
    for _ in range(40):
        victim = paths[rng.integers(len(paths))]
        victim.write_bytes(damaged(sound[victim], rng))
        study = examine(list(find(tmp_path)))
        for volume in study.volumes.values():
            told = study.faults or any(row["decision"] == "refused" for row in study.rows)
            told = told or len(study.rows) > 1
            assert len(volume.pixels) == 8 or told, "a slice went missing without a word"
        victim.write_bytes(sound[victim])
