import errno
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import files_in, full_disk

from mrnetlib import files
from mrnetlib.files import InputError


def test_an_interrupted_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), files.written_whole(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert files_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("write", [files.write_text, files.write_csv, files.write_array])
def test_a_full_disk_is_one_clear_error(tmp_path, write):
    path = tmp_path / "deep" / "a.dat"
    content = {
        files.write_text: "x" * 5000,
        files.write_csv: pd.DataFrame({"a": np.arange(5000)}),
        files.write_array: np.zeros(5000),
    }[write]
    with full_disk(1000), pytest.raises(InputError, match=r"a\.dat: could not be written"):
        write(path, content)
    assert files_in(tmp_path) == []


def test_no_space_names_the_reason(tmp_path):
    with pytest.raises(InputError, match="No space left"), files.written_whole(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file where a folder is wanted")
    with pytest.raises(InputError, match="could not be written"):
        files.write_text(tmp_path / "taken" / "a.txt", "x")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_files_are_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        files.write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


def test_csv_keeps_every_digit_and_unix_line_ends(tmp_path):
    values = np.random.default_rng(0).random(100)
    files.write_csv(tmp_path / "a.csv", pd.DataFrame({"value": values}))
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()
    read = [float(line) for line in (tmp_path / "a.csv").read_text().split()[1:]]
    assert read == values.tolist()


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"auc": float("nan")})
    assert files_in(tmp_path) == []


def test_read_json_names_a_missing_and_a_damaged_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.json: not found"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({"a": [1, 2]})[:-2])
    with pytest.raises(InputError, match=r"a\.json: not valid JSON"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"a\.json: not valid JSON"):
        files.read_json(tmp_path / "a.json")


def test_sha256_is_the_standard_one(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # the example of FIPS 180-4
    assert files.sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_digest_of_code_sees_statements_and_no_words(tmp_path):
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    code = package / "inner" / "code.py"
    code.write_text('"""Words."""\n\ndef half(x):\n    """More words."""\n    return x / 2\n')
    before = files.code_digest(package)
    code.write_text('"""Others."""\n# why\ndef half(\n    x,\n):\n    return x / 2  # half\n')
    assert files.code_digest(package) == before
    assert files.code_digest(package, code) != before
    code.write_text("def half(x):\n    return x / 3\n")
    assert files.code_digest(package) != before
    code.write_text("def half(x):\n    return x / 2\n")
    assert files.code_digest(package) == before
    code.rename(package / "code.py")
    assert files.code_digest(package) != before


def test_a_digest_of_a_notebook_sees_its_code_alone(tmp_path):
    path = tmp_path / "a.ipynb"

    def digest(prose, code):
        cells = [
            {"cell_type": "markdown", "metadata": {}, "source": [prose]},
            {"cell_type": "code", "metadata": {}, "source": code},
        ]
        path.write_text(json.dumps({"cells": cells}))
        return files.code_digest(path)

    before = digest("Words", ["x = 1\n", "x"])
    assert digest("Other words", ["x = 1  # why\n", "x"]) == before
    assert digest("Words", ["x = 2\n", "x"]) != before


def test_a_disk_is_called_full_only_where_it_is(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    for free, error, words in (
        (0, OSError("327680 requested and 251840 written"), "No space left .* Free some space"),
        (1 << 30, OSError("327680 requested and 251840 written"), "327680 requested"),
        (1 << 30, OSError(errno.ENOSPC, "full"), "No space left .* Free some space"),
        (0, PermissionError(errno.EACCES, "Permission denied"), r"denied\); .* Choose another"),
    ):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        with pytest.raises(InputError, match=words), files.written_whole(tmp_path / "a.npy"):
            raise error
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    files.refuse_read_only(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").touch()
    with pytest.raises(InputError, match=r"data/own: cannot be written, because .*data is read"):
        files.refuse_read_only(tmp_path, tmp_path / "data" / "own")
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="Copy the study's whole folder to a place of your own"):
        files.refuse_read_only(tmp_path)


def test_a_lock_names_who_holds_it_and_goes_with_its_holder(tmp_path):
    path = tmp_path / "new" / "lock"
    with files.locked(path, str) as file:
        assert file.fileno() > 0
        with pytest.raises(InputError, match=rf"^process {os.getpid()} of .* on .* since \d"):
            files.locked(path, str).__enter__()
    assert not path.exists()
    path.touch()  # as a killed process leaves it
    with files.locked(path, str):
        assert path.read_text(encoding="utf-8").startswith(str(os.getpid()))
