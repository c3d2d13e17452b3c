"""What lies about on people's disks: hidden, packed, linked, locked away, empty, half copied."""

import bz2
import errno
import gzip
import io
import os
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from dicom_files import AXIS, dataset, pattern, save, uid, write_series, write_study
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from mrnetlib.__main__ import main
from mrnetlib.dicom import archives, convert, read_study, sources
from mrnetlib.dicom.archives import File, UnreadableError
from mrnetlib.dicom.sources import Walk, find
from mrnetlib.files import InputError

QUIET = {"workers": 1, "size": 24, "progress": False}
ALL = dict.fromkeys((f"slices_{plane}" for plane in AXIS), 5)


def converted(tmp_path, name="out", **options):
    return convert(tmp_path / "in", tmp_path / name, **QUIET, **options)


def slices(done):
    return done.exams[list(ALL)].to_dict("records")


def zipped(folder, deflated=True):
    """A folder as the bytes of a zip."""
    packed = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return packed.getvalue()


def denied(monkeypatch, *places):
    """Make reading files and listing folders in `places` fail for want of permission."""
    real_open, real_scandir = Path.open, os.scandir

    def check(path):
        if not isinstance(path, int) and any(
            Path(path) == place or place in Path(path).parents for place in places
        ):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def path_open(self, *arguments, **options):
        check(self)
        return real_open(self, *arguments, **options)

    def scandir(path="."):
        check(path)
        return real_scandir(path)

    monkeypatch.setattr(Path, "open", path_open)
    monkeypatch.setattr(os, "scandir", scandir)


def test_hidden_folders_are_read_and_those_of_tools_are_not(tmp_path):
    write_study(tmp_path / "in", 5)
    (tmp_path / "in" / "sagittal").rename(tmp_path / "in" / ".sag T2")
    first = next((tmp_path / "in" / "axial").iterdir())
    for name in (".git/objects/12.dcm", "__MACOSX/x.dcm", "axial/._IM1.dcm", "axial/.DS_Store"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(first.read_bytes())
    done = converted(tmp_path)
    assert slices(done) == [ALL] and not done.failed


def test_gzipped_files_and_tars_are_read(tmp_path):
    write_study(tmp_path / "in", 5)
    for path in (tmp_path / "in" / "axial").iterdir():
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for plane, name, mode in (("coronal", "c.tar", "w"), ("sagittal", "s.tgz", "w:gz")):
        with tarfile.open(tmp_path / "in" / name, mode) as archive:
            for path in sorted((tmp_path / "in" / plane).iterdir()):
                archive.add(path, path.name)
                path.unlink()
    done = converted(tmp_path)
    assert slices(done) == [ALL] and not done.failed
    assert set(read_study(tmp_path / "in" / "s.tgz")) == {"sagittal"}


@pytest.mark.parametrize("deflated", [True, False])
def test_zips_in_a_zip_are_read(tmp_path, deflated):
    for plane in AXIS:
        write_series(tmp_path / "parts" / plane, plane, 5)
        (tmp_path / "outer").mkdir(exist_ok=True)
        content = zipped(tmp_path / "parts" / plane)
        (tmp_path / "outer" / f"{plane}.zip").write_bytes(content)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "study").write_bytes(zipped(tmp_path / "outer", deflated))  # by content
    assert slices(converted(tmp_path)) == [ALL]
    assert slices(convert(tmp_path / "in" / "study", tmp_path / "out2", **QUIET)) == [ALL]


def test_archives_too_deep_are_named(tmp_path):
    write_series(tmp_path / "in" / "plain", "axial", 5)
    write_series(tmp_path / "0", "sagittal", 5)
    for level in range(6):
        inner = tmp_path / str(level + 1) / "x.zip"
        inner.parent.mkdir()
        inner.write_bytes(zipped(tmp_path / str(level)))
    (tmp_path / "6" / "x.zip").rename(tmp_path / "in" / "plain" / "x.zip")
    done = converted(tmp_path)
    assert "1 archive could not be read: archives lie in archives too deep" in done.failed["0000"]


def test_what_unpacks_to_an_implausible_size_is_named(tmp_path):
    write_study(tmp_path / "in" / "a", 5)
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "IM1.dcm").write_bytes(bytes(1 << 26))
    bomb = zipped(tmp_path / "big")
    for level in range(3):
        (tmp_path / f"{level}").mkdir()
        for number in range(9):
            (tmp_path / f"{level}" / f"{number}.zip").write_bytes(bomb)
        bomb = zipped(tmp_path / f"{level}")
    (tmp_path / "in" / "a" / "x.zip").write_bytes(bomb)
    start = time.monotonic()
    assert "implausible size" in converted(tmp_path).failed["0000"]
    assert time.monotonic() - start < 60
    (tmp_path / "in" / "a" / "x.zip").unlink()
    (tmp_path / "in" / "a" / "IM1.dcm.gz").write_bytes(gzip.compress(bytes(1 << 26)))
    assert "1 file could not be read: it unpacks to" in converted(tmp_path, "out2").failed["0000"]


def test_all_that_archives_unpack_to_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_UNPACKED_AT_LEAST", 1000)
    monkeypatch.setattr(sources, "plausible", lambda packed: 1000)
    write_series(tmp_path / "s", "axial", 5)
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "s.zip").write_bytes(zipped(tmp_path / "s"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "o.zip").write_bytes(zipped(tmp_path / "o"))
    with pytest.raises(InputError, match="implausible size"):
        converted(tmp_path)


def test_a_zip_is_bounded_in_the_sum_before_anything_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "four.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            archive.writestr(f"{number}.dcm", bytes(900_000))
    assert len(archives.File(str(path)).contents()[0]) == 4
    monkeypatch.setattr(archives, "MAX_TOGETHER", 1_000_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    archives._container.cache_clear()
    with pytest.raises(archives.UnreadableError, match="all in it together unpacks"):
        archives.File(str(path)).contents()


def test_large_members_are_unpacked_to_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "IN_MEMORY", 1000)
    path = tmp_path / "one.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("large", bytes(range(250)) * 8)
    with archives.File(str(path), ("large",)).open() as file:
        assert file._rolled and file.read() == bytes(range(250)) * 8


def test_an_archive_beside_what_was_in_it_is_read_once(tmp_path):
    write_study(tmp_path / "in" / "a", 5)
    (tmp_path / "in" / "a.zip").write_bytes(zipped(tmp_path / "in"))
    done = converted(tmp_path)
    assert slices(done) == [ALL] and not done.failed
    assert "15 files came twice, byte for byte" in done.summary
    one = next((tmp_path / "in" / "a" / "axial").iterdir())
    content = bytearray(one.read_bytes())
    content[-1] ^= 1  # another picture under the same header: which is right?
    one.with_name("other.dcm").write_bytes(content)
    assert "duplicated" in converted(tmp_path, "out2").failed["0000"]


def test_entries_of_one_name_are_all_read(tmp_path):
    packed = tmp_path / "in" / "a.zip"
    packed.parent.mkdir()
    with zipfile.ZipFile(packed, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for path in write_series(tmp_path / "s", "axial", 5):
            archive.writestr("IM", path.read_bytes())
    assert slices(converted(tmp_path))[0]["slices_axial"] == 5


BROKEN = {
    "no zip": (lambda good: b"PK nonsense", "damaged or cut short"),
    "cut": (lambda good: good[: len(good) // 2], "damaged or cut short"),
    "7z": (lambda good: b"7z\xbc\xaf\x27\x1c" + good, "of a kind that is not read"),
    "bz2": (bz2.compress, "of a kind that is not read"),
    "encrypted": (
        lambda good: good.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
        ),
        "encrypted",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_archives_that_cannot_be_read_are_named(tmp_path, kind):
    spoil, reason = BROKEN[kind]
    write_study(tmp_path / "in" / "a", 5)
    good = zipped(tmp_path / "in" / "a" / "axial")
    (tmp_path / "in" / "a" / "x.zip").write_bytes(spoil(good))
    done = converted(tmp_path)
    assert "in its folder, 1 archive could not be read" in done.failed["0000"]
    assert reason in done.failed["0000"]
    with pytest.raises(InputError, match=reason):
        read_study(tmp_path / "in" / "a" / "x.zip")


def test_a_gzipped_file_that_is_cut_short_is_named(tmp_path):
    write_study(tmp_path / "in", 5)
    path = next((tmp_path / "in" / "axial").iterdir())
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes())[:-60])
    path.unlink()
    assert "cut short where it is packed" in converted(tmp_path).failed["0000"]


def test_links_that_lead_nowhere_are_counted(tmp_path):
    paths = write_series(tmp_path / "in" / "a", "sagittal", 5)
    write_series(tmp_path / "in" / "b", "axial", 5, StudyInstanceUID=uid("b"))
    for path in sorted(paths)[:2]:
        path.unlink()
        path.symlink_to("../.git/annex/objects/gone")
    (tmp_path / "in" / "loop").symlink_to("loop")
    done = converted(tmp_path)
    assert "in its folder, 2 links could not be read: there is nothing" in done.failed["0000"]
    assert set(done.failed) == {"0000", "-"} and "in the source, 1 link" in done.summary
    with pytest.raises(InputError, match="2 links could not be read"):
        read_study(tmp_path / "in" / "a")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "x.dcm").symlink_to("gone")
    with pytest.raises(InputError, match=r"no DICOM files among 0 files\. 1 link"):
        convert(tmp_path / "bare", tmp_path / "no", **QUIET)


def test_links_out_of_the_source_are_followed_only_if_asked(tmp_path):
    write_study(tmp_path / "elsewhere", 5)
    write_series(tmp_path / "in" / "b", "axial", 5, StudyInstanceUID=uid("b"))
    (tmp_path / "in" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "b" / "back").symlink_to(tmp_path / "in")
    done = converted(tmp_path)
    assert len(done.exams) == 1
    assert "1 link could not be read: it leads out of the source" in str(done.failed)
    asked = converted(tmp_path, "out2", follow_links=True)
    assert len(asked.exams) == 2 and not asked.failed


def test_a_source_that_is_a_link_is_followed(tmp_path):
    write_study(tmp_path / "real", 5)
    (tmp_path / "in").symlink_to(tmp_path / "real")
    done = converted(tmp_path)
    assert slices(done) == [ALL] and not done.failed


def test_a_folder_that_may_not_be_read_is_told_and_stops_no_other(tmp_path, monkeypatch):
    write_study(tmp_path / "in" / "a", 5)
    write_study(tmp_path / "in" / "b", 5, StudyInstanceUID=uid("b"))
    write_study(tmp_path / "in" / "c", 5, StudyInstanceUID=uid("c"))
    denied(monkeypatch, tmp_path / "in" / "a" / "axial", tmp_path / "in" / "c")
    done = converted(tmp_path)
    assert slices(done) == [ALL | {"slices_axial": 0}, ALL]
    told = "1 folder could not be read: permission to read it is denied"
    assert done.failed == {"-": told, "0000": f"in its folder, {told}"}
    assert told in done.summary and (done.report["reason"] == told).sum() == 1


def test_files_that_may_not_be_read_are_not_called_damaged(tmp_path, monkeypatch):
    write_study(tmp_path / "in" / "a", 5)
    write_study(tmp_path / "in" / "b", 5, StudyInstanceUID=uid("b"))
    one = next((tmp_path / "in" / "a" / "axial").iterdir())
    denied(monkeypatch, one, *(tmp_path / "in" / "b" / "axial").iterdir())
    done = converted(tmp_path)
    assert "1 file could not be read: permission to read it is denied" in done.failed["0000"]
    assert "5 files could not be read: permission" in done.failed["0001"]


def test_a_source_that_may_not_be_read_is_an_input_error(tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    denied(monkeypatch, tmp_path / "in")
    assert main(["preprocess", str(tmp_path / "in"), str(tmp_path / "out")]) == 1
    assert "permission to read it is denied" in capsys.readouterr().err
    assert main(["preprocess", str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 1
    assert "not found" in capsys.readouterr().err


def test_a_source_behind_a_locked_folder_is_an_input_error(tmp_path, monkeypatch):
    real = Path.stat

    def stat(self, **options):
        if self.name == "secret":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(self, **options)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(InputError, match="secret: permission to read it is denied"):
        convert(tmp_path / "secret", tmp_path / "out", **QUIET)


def test_a_dicomdir_that_may_not_be_read_or_lists_nothing_is_named(tmp_path, monkeypatch):
    index = FileDataset("", {}, file_meta=dataset(pattern(0)).file_meta, preamble=bytes(128))
    index.DirectoryRecordSequence = Sequence([Dataset()])
    path = save(index, tmp_path / "in" / "DICOMDIR")
    with pytest.raises(InputError, match="lists no files"):
        read_study(path)

    def no(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sources, "dcmread", no)
    with pytest.raises(InputError, match="permission to read it is denied"):
        read_study(path)


def test_empty_files_are_counted_where_they_may_have_been_images(tmp_path):
    write_study(tmp_path / "in", 5)
    for name in ("IM0005", "1.2.840.5", "x.dcm", ".nothing", "notes.txt"):
        (tmp_path / "in" / "axial" / name).touch()
    (tmp_path / "in" / "other").mkdir()
    (tmp_path / "in" / "other" / "LICENSE").touch()
    done = converted(tmp_path)
    assert "3 files could not be read: it is empty" in done.failed["0000"]
    assert "3 files were no DICOM" in done.summary


def test_every_failure_to_read_has_its_own_name():
    named = {
        PermissionError(errno.EACCES, "x"): "permission",
        FileNotFoundError(errno.ENOENT, "x"): "not there",
        OSError(errno.ENOSPC, "x"): "disk for temporary files is full",
        OSError(errno.EIO, "x"): os.strerror(errno.EIO),
        NotImplementedError("x"): "packed in a way",
        RuntimeError("x"): "encrypted",
        zipfile.BadZipFile("x"): "damaged or cut short",
        UnreadableError("as it says"): "as it says",
    }
    for error, words in named.items():
        assert words in archives.why(error) and "x'" not in archives.why(error)


def test_a_disk_that_is_full_is_not_called_damage(tmp_path, monkeypatch):
    write_series(tmp_path / "s", "axial", 5)
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "s.zip").write_bytes(zipped(tmp_path / "s"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "o.zip").write_bytes(zipped(tmp_path / "o"))

    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(archives.tempfile, "TemporaryFile", full)
    with pytest.raises(InputError, match="disk for temporary files is full"):
        converted(tmp_path)


def test_the_output_may_lie_in_the_source(tmp_path):
    write_study(tmp_path / "in", 5)
    walk = Walk(out=tmp_path / "in" / "out")
    (tmp_path / "in" / ".out.partial-1").mkdir()
    save(dataset(pattern(0)), tmp_path / "in" / ".out.partial-1" / "x.dcm")
    assert len(list(find(tmp_path / "in", walk))) == 15
    done = convert(tmp_path / "in", tmp_path / "in" / "out", **QUIET)
    assert slices(done) == [ALL] and not done.failed


def test_a_place_in_an_archive_is_a_folder(tmp_path):
    file = File("/a/b.zip", ("c\\d.tgz", "d.tar", "e/f.gz", "f"))
    assert file.location[1:] == ("a", "b.zip", "c", "d.tar", "e", "f")
    assert Path(file.folder) == Path("/a/b.zip/c/d.tar/e")
