"""`ExamBank`: the slices of all exams of one plane and split, laid end to end in one file.

``<split>_<plane>.npy`` holds uint8 (S, H, W), the slices of all exams one after the other;
``<split>_<plane>.json`` says where each exam begins, its labels, and the file's checksum. A bank
is a memory map until `ExamBank.to` puts it on a device, where training then never waits for a
disk.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mrnetlib.files import InputError, read_json, sha256, write_json, written_whole
from mrnetlib.names import TASKS


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
    exams : rows of ``exams.csv`` of this split, in the order of `volumes`.
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
    write_json(path.with_suffix(".json"), manifest)


@dataclass(frozen=True)
class Batch:
    """Several exams' slices laid end to end.

    ``slices`` (S, 1, H, W) uint8, ``lengths`` slices of each of the E exams, ``labels`` (E,)
    float32.
    """

    slices: torch.Tensor
    lengths: list[int]
    labels: torch.Tensor


@dataclass(frozen=True, repr=False)
class ExamBank:
    """All slices of one plane and split.

    Attributes
    ----------
    slices : uint8 tensor (S, H, W), a memory map or resident on a device.
    offsets : int64 (E + 1,); exam i is ``slices[offsets[i]:offsets[i + 1]]``.
    exams : the E exam numbers.
    labels : DataFrame (E rows), columns of 0 and 1 named after the tasks.
    mean, std : of this bank's pixels, in 0..255.
    sha256 : of the bank's file.
    """

    plane: str
    split: str
    slices: torch.Tensor
    offsets: np.ndarray
    exams: list[str]
    labels: pd.DataFrame
    mean: float
    std: float
    sha256: str

    @classmethod
    def open(cls, folder: Path, split: str, plane: str, verify: bool = False) -> "ExamBank":
        """Open a bank as a memory map; `verify` also compares its SHA-256."""
        path = bank_path(folder, split, plane)
        manifest = read_json(path.with_suffix(".json"))
        try:
            # Copy-on-write keeps the file safe and spares torch a warning on read-only arrays.
            array = np.load(path, mmap_mode="c", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(
                f"{path}: not a whole bank ({error}). Run notebook 01_preprocessing again."
            ) from None
        offsets = np.array(manifest["offsets"], np.int64)
        damaged = array.dtype != np.uint8 or array.ndim != 3 or len(array) != offsets[-1]
        if damaged or (verify and sha256(path) != manifest["sha256"]):
            raise InputError(
                f"{path}: {array.dtype} {array.shape} is not what its manifest says (uint8, "
                f"{offsets[-1]} slices, SHA-256 {manifest['sha256'][:8]}...). "
                "Run notebook 01_preprocessing again."
            )
        labels = pd.DataFrame(manifest["labels"], index=manifest["exams"])
        slices = torch.from_numpy(array)
        rest = [manifest[key] for key in ("mean", "std", "sha256")]
        return cls(plane, split, slices, offsets, manifest["exams"], labels, *rest)

    def __len__(self) -> int:
        return len(self.exams)

    def __repr__(self) -> str:
        positives = ", ".join(f"{task} {int(self.labels[task].sum())}" for task in self.labels)
        count, height, width = self.slices.shape
        return (
            f"ExamBank({self.split} {self.plane}: {len(self)} exams, {count} slices of "
            f"{height} x {width}; positive: {positives})"
        )

    def digest(self) -> str:
        """SHA-256 over the pixels' checksum, the exams, where they begin, and their labels."""
        parts = (self.sha256, self.exams, self.offsets.tolist(), self.labels.to_dict("list"))
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def to(self, device: torch.device) -> "ExamBank":
        """The same bank with its slices resident on `device`."""
        return ExamBank(**{**vars(self), "slices": self.slices.to(device)})

    def exam(self, index: int) -> torch.Tensor:
        """Slices (s, H, W) uint8 of the exam at `index`."""
        return self.slices[self.offsets[index] : self.offsets[index + 1]]

    def batch(self, indices: Iterable[int], task: str) -> Batch:
        """The exams at `indices` laid end to end, without padding."""
        indices = [int(index) for index in indices]
        parts = [self.exam(index) for index in indices]
        slices = torch.cat(parts).unsqueeze(1)  # (S, H, W) -> (S, 1, H, W)
        labels = torch.tensor(
            self.labels[task].to_numpy()[indices], dtype=torch.float32, device=slices.device
        )
        return Batch(slices, [len(part) for part in parts], labels)
