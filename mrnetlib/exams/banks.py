"""`ExamBank`: the slices of all exams of one plane and split, laid end to end in one file.

``<split>_<plane>.npy`` holds uint8 (S, H, W), the slices of all exams one after the other;
``<split>_<plane>.json`` says where each exam begins, its labels, and both files' checksums, which
are compared wherever a bank is opened. It is a memory map until `ExamBank.resident` puts it on a
GPU, where training then never waits for a disk.
"""

import hashlib
import json
import mmap
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mrnetlib.files import InputError, read_json, sha256, write_json, written_whole
from mrnetlib.names import TASKS

#: What to do about a bank that cannot be used.
AGAIN = "Run notebook 01_preprocessing again."


def bank_path(folder: Path, split: str, plane: str) -> Path:
    """The bank's array; its manifest lies beside it with the suffix ``.json``."""
    return Path(folder) / f"{split}_{plane}.npy"


def resize(volume: np.ndarray, size: int) -> np.ndarray:
    """Slices (S, H, W) uint8 brought to `size` x `size` by anti-aliased bilinear interpolation."""
    if volume.shape[1:] == (size, size):
        return volume
    pixels = torch.from_numpy(np.array(volume)).unsqueeze(1)  # (S, H, W) -> (S, 1, H, W)
    pixels = torch.nn.functional.interpolate(
        pixels.float(), (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return pixels.round().clamp(0, 255).to(torch.uint8).squeeze(1).numpy()


def write_bank(
    folder: Path, split: str, plane: str, exams: pd.DataFrame, volumes: Iterable[np.ndarray]
) -> None:
    """Write a bank and its manifest; one volume is in memory at a time.

    Parameters
    ----------
    exams : rows of ``exams.csv`` of this split, in the order of `volumes`, each exam once.
    volumes : uint8 (S, size, size) arrays, S as ``slices_<plane>`` says.
    """
    if exams.empty:
        raise InputError(f"split {split}: no exams. Use more exams, or a larger tune_fraction.")
    lengths = exams[f"slices_{plane}"].to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    path = bank_path(folder, split, plane)
    # A manifest never stands beside another bank's slices, even if this is interrupted.
    path.with_suffix(".json").unlink(missing_ok=True)
    histogram = np.zeros(256, np.int64)
    with written_whole(path) as temporary:
        # Written from front to back: on a full disk a memory map would kill the process.
        with temporary.open("wb") as file:
            size = None
            for exam, length, volume in zip(exams["exam"], lengths, volumes, strict=True):
                if size is None:
                    size = volume.shape[1:]
                    shape = (int(offsets[-1]), *size)
                    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                if volume.shape != (length, *size) or volume.dtype != np.uint8:
                    raise InputError(
                        f"exam {exam}, {plane}: {volume.dtype} {volume.shape}, expected uint8 "
                        f"{(int(length), *size)}. Run notebook 00_exams again."
                    )
                if volume.min() == volume.max():
                    raise InputError(
                        f"exam {exam}, {plane}: every pixel is {volume.flat[0]} on the standard "
                        "scale. Mend its volume, or take the exam out of the label files."
                    )
                file.write(np.ascontiguousarray(volume).data)
                histogram += np.bincount(volume.ravel(), minlength=256)
        checksum = sha256(temporary)
    values, total = np.arange(256), histogram.sum()
    mean = float((histogram * values).sum() / total)
    manifest = {
        "plane": plane,
        "split": split,
        "exams": exams["exam"].tolist(),
        "offsets": offsets.tolist(),
        "labels": {task: exams[task].astype(int).tolist() for task in TASKS},
        "mean": mean,
        "std": float(np.sqrt((histogram * (values - mean) ** 2).sum() / total)),
        "sha256": checksum,
    }
    write_json(path.with_suffix(".json"), sealed(manifest))


def sealed(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the SHA-256 of what it says, without which it is not read."""
    return manifest | {"manifest_sha256": _own_digest(manifest)}


def _own_digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of what a manifest says, but for this digest itself."""
    said = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    """A bank's manifest, refused where it is not as it was written or says what cannot be."""
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("manifest_sha256") != _own_digest(manifest):
        raise InputError(f"{path}: damaged or changed, not as it was written. {AGAIN}")
    exams, labels = manifest["exams"], manifest["labels"]
    for task, values in labels.items():
        for exam, value in zip(exams, values, strict=True):
            if value not in (0, 1):
                raise InputError(
                    f"{path}: exam {exam} has {task} {value}, expected 0 or 1. {AGAIN}"
                )
    twice = [exam for exam, count in Counter(exams).items() if count > 1]
    if twice:
        raise InputError(f"{path}: exam {twice[0]} is listed twice. {AGAIN}")
    return manifest


def _check_pixels(
    path: Path, array: np.ndarray, spans: np.ndarray, manifest: dict[str, Any]
) -> None:
    """Refuse pixels that no picture has, or whose mean is not the one that was written."""
    total = 0
    for exam, (first, last) in zip(manifest["exams"], spans, strict=True):
        slices = array[first:last]
        if slices.min() == slices.max():
            raise InputError(f"{path}: every pixel of exam {exam} is {slices.flat[0]}. {AGAIN}")
        total += int(slices.sum(dtype=np.int64))
    if not np.isclose(total / array.size, manifest["mean"], rtol=1e-9):
        raise InputError(f"{path}: its mean is not the {manifest['mean']} of its manifest. {AGAIN}")


@dataclass(frozen=True)
class Batch:
    """Several exams' slices laid end to end.

    ``slices`` (S, 1, H, W) uint8, ``lengths`` slices of each of the E exams, ``labels`` (E,)
    float32.
    """

    slices: torch.Tensor
    lengths: list[int]
    labels: torch.Tensor

    def pinned(self) -> "Batch":
        """The same in page-locked memory, from where a GPU fetches it by itself."""
        return Batch(self.slices.pin_memory(), self.lengths, self.labels.pin_memory())

    def to(self, device: torch.device) -> "Batch":
        """The same on `device`."""
        slices, labels = (part.to(device, non_blocking=True) for part in (self.slices, self.labels))
        return Batch(slices, self.lengths, labels)


@dataclass(frozen=True, repr=False)
class ExamBank:
    """All slices of one plane and split, or of a choice of its exams.

    Attributes
    ----------
    slices : uint8 tensor (S, H, W), a memory map or resident on a device.
    spans : int64 (E, 2); exam i is ``slices[spans[i, 0]:spans[i, 1]]``.
    exams : the E exam numbers.
    labels : DataFrame (E rows), columns of 0 and 1 named after the tasks.
    mean, std : of this bank's pixels, in 0..255.
    sha256 : of the bank's file.
    mapping : the memory map while `slices` is one.
    """

    plane: str
    split: str
    slices: torch.Tensor
    spans: np.ndarray
    exams: list[str]
    labels: pd.DataFrame
    mean: float
    std: float
    sha256: str
    mapping: mmap.mmap | None = None

    @classmethod
    def open(cls, folder: Path, split: str, plane: str, checked: bool = True) -> "ExamBank":
        """Open a bank as a memory map, its pixels and its manifest checked.

        Without `checked` its pixels are not read: for benchmarks, whose banks are full of holes.

        Raises
        ------
        InputError
            Naming the file that is missing, not whole or not as it was written, and the exam where
            it is about one: a label other than 0 and 1, an exam twice, one grey value everywhere.
        """
        path = bank_path(folder, split, plane)
        manifest = _read_manifest(path.with_suffix(".json"))
        try:
            # Copy-on-write keeps the file safe and spares torch a warning on read-only arrays.
            array = np.lib.format.open_memmap(path, mode="c")
        except Exception as error:  # NumPy's own reading of the header has many
            raise InputError(f"{path}: not a whole bank ({error}). {AGAIN}") from None
        offsets = np.array(manifest["offsets"], np.int64)
        if array.dtype != np.uint8 or array.ndim != 3 or len(array) != offsets[-1]:
            raise InputError(
                f"{path}: {array.dtype} {array.shape} is not what its manifest says (uint8, "
                f"{offsets[-1]} slices). {AGAIN}"
            )
        if checked and sha256(path) != manifest["sha256"]:
            raise InputError(
                f"{path}: damaged, its SHA-256 is not the {manifest['sha256'][:8]}... of its "
                f"manifest. {AGAIN}"
            )
        labels = pd.DataFrame(manifest["labels"], index=manifest["exams"])
        spans = np.stack([offsets[:-1], offsets[1:]], axis=1)
        if checked:
            _check_pixels(path, array, spans, manifest)
        if hasattr(mmap, "MADV_DONTNEED"):
            array.base.madvise(mmap.MADV_DONTNEED)  # read once, and not this process's memory
        rest = [manifest[key] for key in ("mean", "std", "sha256")]
        slices, mapping = torch.from_numpy(array), array.base
        return cls(plane, split, slices, spans, manifest["exams"], labels, *rest, mapping)

    def __len__(self) -> int:
        return len(self.exams)

    def __repr__(self) -> str:
        positives = ", ".join(f"{task} {int(self.labels[task].sum())}" for task in self.labels)
        height, width = self.slices.shape[1:]
        return (
            f"ExamBank({self.split} {self.plane}: {len(self)} exams, {self.lengths.sum()} slices "
            f"of {height} x {width}; positive: {positives})"
        )

    @property
    def lengths(self) -> np.ndarray:
        """Number of slices of each exam, (E,) int64."""
        return self.spans[:, 1] - self.spans[:, 0]

    def digest(self) -> str:
        """SHA-256 over the pixels' checksum, the exams, where they lie, and their labels."""
        parts = (self.sha256, self.exams, self.spans.tolist(), self.labels.to_dict("list"))
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def select(self, indices: Iterable[int]) -> "ExamBank":
        """The bank of some of its exams, in the order given; no slice is copied."""
        indices = np.asarray(list(indices), np.int64)
        chosen = {
            "spans": self.spans[indices],
            "exams": [self.exams[index] for index in indices],
            "labels": self.labels.iloc[indices],
        }
        return ExamBank(**vars(self) | chosen)

    def to(self, device: torch.device) -> "ExamBank":
        """The same bank with its slices resident on `device`."""
        return ExamBank(**vars(self) | {"slices": self.slices.to(device), "mapping": None})

    def resident(self, device: torch.device) -> "ExamBank":
        """The same bank, on a GPU where it takes at most half of the memory that is free there.

        On a CPU the file stays mapped: the system keeps in memory what there is room for.
        """
        if device.type != "cuda":
            return self
        free, _ = torch.cuda.mem_get_info(device)
        return self.to(device) if self.slices.nbytes <= free // 2 else self

    def exam(self, index: int) -> torch.Tensor:
        """Slices (s, H, W) uint8 of the exam at `index`."""
        first, last = self.spans[index]
        return self.slices[first:last]

    def read(self, indices: Iterable[int]) -> torch.Tensor:
        """Slices (S, 1, H, W) uint8 of the exams at `indices`, end to end, without padding."""
        slices = torch.cat([self.exam(int(index)) for index in indices])
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            # What was copied need not count as this process's memory, too.
            self.mapping.madvise(mmap.MADV_DONTNEED)
        return slices.unsqueeze(1)  # (S, H, W) -> (S, 1, H, W)

    def batch(self, indices: Iterable[int], task: str) -> Batch:
        """The exams at `indices` with their labels of a task."""
        indices = [int(index) for index in indices]
        slices = self.read(indices)
        labels = self.labels[task].to_numpy()[indices]
        labels = torch.tensor(labels, dtype=torch.float32, device=slices.device)
        return Batch(slices, self.lengths[indices].tolist(), labels)

    def batches(
        self, steps: Iterable[Iterable[int]], task: str, device: torch.device
    ) -> Iterator[Batch]:
        """The batches of a pass on `device`, one for the indices of each step.

        For a GPU that does not hold the bank, the next batch is read while one is used.
        """
        if device.type != "cuda" or self.slices.is_cuda:
            yield from (self.batch(indices, task).to(device) for indices in steps)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead = deque()
            for indices in steps:
                ahead.append(reader.submit(lambda i: self.batch(i, task).pinned(), indices))
                if len(ahead) > 1:
                    yield ahead.popleft().result().to(device)
            yield from (waiting.result().to(device) for waiting in ahead)
