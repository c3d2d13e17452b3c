"""How fast DICOM files become standardized banks, beside a plain pydicom loop and torchio.

``python -m benchmarks.preprocessing --json FILE``

1. Uncompressed 256 x 256 MR files, in the page cache, through the DICOM door and the
   standardization into banks (one process; then one per core), against a loop that only reads the
   pixels of the same files with pydicom.
2. Standardization of a uint16 volume of 32 x 512 x 512 against torchio's, where torchio is there.
3. Peak memory for few and for many studies.

Each time is the median of several runs; seconds of a core leave out what other processes took.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from mrnetlib import parallel
from mrnetlib.dicom import convert
from mrnetlib.exams import intensity
from mrnetlib.files import write_json
from mrnetlib.names import PLANES, TASKS
from mrnetlib.provenance import circumstances
from mrnetlib.study import load

SIZE = 256
SLICES = 32
ORIENTATION = {
    "sagittal": [0, 1, 0, 0, 0, -1],
    "coronal": [1, 0, 0, 0, 0, -1],
    "axial": [1, 0, 0, 0, 1, 0],
}
AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}


def median(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median seconds of `work` over some runs: by the clock, and of this process's core."""
    clock, core = [], []
    for _ in range(runs):
        start = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start[0])
        core.append(time.process_time() - start[1])
    return float(np.median(clock)), float(np.median(core))


def image(rng: np.random.Generator) -> np.ndarray:
    """A knee as far as speed goes: air, and tissue of a few brightnesses with noise."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    tissue = (np.hypot(x, y / 1.4) < 0.7) * (300 + 400 * (np.sin(9 * x) * np.cos(7 * y) > 0))
    return np.abs(tissue + rng.normal(0, 20, (SIZE, SIZE))).astype(np.uint16)


def write_studies(folder: Path, studies: int) -> None:
    """Uncompressed studies of three series, with a header about as long as a scanner's."""
    rng = np.random.default_rng(0)
    pictures = [image(rng) for _ in range(8)]
    for study in range(studies):
        for plane in PLANES:
            for index in range(SLICES):
                ds = _dataset(study, plane, index, pictures[(study + index) % 8])
                path = folder / f"{study:04d}" / plane / f"{index:04d}.dcm"
                path.parent.mkdir(parents=True, exist_ok=True)
                ds.save_as(path, enforce_file_format=True)


def _dataset(study: int, plane: str, index: int, pixels: np.ndarray) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[f"{study} {plane} {index}"])
    ds = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[f"{study}"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[f"{study} {plane}"])
    ds.ImageType, ds.Modality = ["ORIGINAL", "PRIMARY", "M", "ND"], "MR"
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = AXIS[plane] + 1, index + 1, 1
    ds.EchoNumbers, ds.EchoTime, ds.RepetitionTime, ds.FlipAngle = 1, 40.5, 2800, 150
    ds.ImageOrientationPatient = ORIENTATION[plane]
    position = [-80.0, -80.0, 80.0]
    position[AXIS[plane]] = -50 + 3.3 * index
    ds.ImagePositionPatient = position
    ds.PixelSpacing, ds.SliceThickness, ds.SpacingBetweenSlices = [0.625, 0.625], 3, 3.3
    for keyword in (
        *("PatientName", "PatientID", "PatientSex", "StudyDate", "SeriesDate", "AcquisitionDate"),
        *("ContentDate", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"),
        *("Manufacturer", "InstitutionName", "StationName", "StudyDescription", "StudyID"),
        *("SeriesDescription", "ManufacturerModelName", "AccessionNumber", "ProtocolName"),
        *("ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType"),
        *("SequenceName", "SoftwareVersions", "TransmitCoilName", "PatientPosition"),
    ):
        setattr(ds, keyword, "")
    block = ds.private_block(0x0019, "SOMEBODY'S SCANNER", create=True)
    for element in range(40):
        block.add_new(element, "DS", f"{element}.125")
    ds.Rows = ds.Columns = SIZE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = pixels.tobytes()
    return ds


def plain_loop(folder: Path) -> None:
    """What many scripts do: read every file with pydicom, stack by InstanceNumber. No checks."""
    for series in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        files = [dcmread(path) for path in series.iterdir()]
        np.stack([ds.pixel_array for ds in sorted(files, key=lambda ds: int(ds.InstanceNumber))])


def to_banks(folder: Path, landmarks: Path, workers: int) -> None:
    """The project's way from DICOM files to the banks that training reads."""
    from mrnetlib.exams.banks import write_bank  # torch, which worker processes need not load

    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "exams")
        exams = convert(
            folder, out, workers=workers, split="train", landmarks=landmarks, progress=False
        ).exams.assign(**dict.fromkeys(TASKS, 0))
        for plane in PLANES:
            volumes = (np.load(out / "train" / plane / f"{exam}.npy") for exam in exams["exam"])
            write_bank(Path(place), "train", plane, exams, volumes)


def peak_memory(folder: Path) -> float:
    """Most MB that one process held while it converted a folder (Linux)."""
    code = (
        "import sys, tempfile\n"
        "from pathlib import Path\n"
        "from mrnetlib.dicom import convert\n"
        "with tempfile.TemporaryDirectory() as out:\n"
        "    out = Path(out, 'exams')\n"
        "    convert(Path(sys.argv[1]), out, workers=1, progress=False, follow_links=True)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 2**10


def measure_door(folder: Path, studies: int, runs: int) -> dict[str, float]:
    """Slices per second of the plain loop and of the project, and memory."""
    write_studies(folder / "all", studies)
    few = folder / "few"
    few.mkdir()
    for study in sorted((folder / "all").iterdir())[:2]:
        (few / study.name).symlink_to(study)
    scale = tuple(np.linspace(0, intensity.TOP, len(intensity.PERCENTILES)))
    landmarks = intensity.Landmarks(intensity.PERCENTILES, scale, 1)
    intensity.save(folder / "landmarks.json", dict.fromkeys(PLANES, landmarks))
    slices, cores = studies * len(PLANES) * SLICES, parallel.cores()
    plain = median(lambda: plain_loop(folder / "all"), runs)
    one = median(lambda: to_banks(folder / "all", folder / "landmarks.json", 1), runs)
    found = {
        "slices": slices,
        "cores": cores,
        "plain pydicom loop, slices/s": slices / plain[0],
        "plain pydicom loop, slices per second of a core": slices / plain[1],
        "files to standardized banks, one process, slices/s": slices / one[0],
        "files to standardized banks, slices per second of a core": slices / one[1],
    }
    if cores > 1:
        spread = median(lambda: to_banks(folder / "all", folder / "landmarks.json", cores), runs)
        found[f"files to standardized banks, {cores} processes, slices/s"] = slices / spread[0]
    if Path("/proc/self/status").exists():
        found["peak memory of one process, 2 studies, MB"] = peak_memory(few)
        found[f"peak memory of one process, {studies} studies, MB"] = peak_memory(folder / "all")
    return found


def measure_standardization(runs: int) -> dict[str, float]:
    """Milliseconds to standardize a uint16 volume of 32 x 512 x 512, ours and torchio's."""
    rng = np.random.default_rng(0)
    volume = rng.gamma(2.0, 300.0, (32, 512, 512)).astype(np.uint16)
    landmarks = intensity.learn([volume], "all")
    ours = median(lambda: intensity.apply(volume, landmarks, "all"), 2 * runs)
    found = {"standardize 32 x 512 x 512 uint16, ours, ms": 1000 * ours[0]}
    try:
        import torch
        import torchio
    except ImportError:
        print("SKIPPED: torchio is not installed, so there is nothing to compare with", flush=True)
        return found
    percentiles = torchio.transforms.preprocessing.intensity.histogram_standardization
    scale = percentiles._get_percentiles((1.0, 99.0))
    standard = np.interp(scale, landmarks.percentiles, landmarks.standard) / intensity.TOP * 100
    transform = torchio.HistogramStandardization({"image": standard})
    tensor = torch.from_numpy(volume.astype(np.int32))[None]
    subject = torchio.Subject(image=torchio.ScalarImage(tensor=tensor))
    theirs = median(lambda: transform(subject), runs)
    expected = transform(subject)["image"].data.numpy()[0] / 100
    moved = (
        intensity.map_values(volume, intensity.measure(volume, "all"), landmarks.standard)
        / intensity.TOP
    )
    return found | {
        "standardize 32 x 512 x 512 uint16, torchio, ms": 1000 * theirs[0],
        "times as fast as torchio": theirs[0] / ours[0],
        "largest difference from torchio, share of the range": float(abs(moved - expected).max()),
    }


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--studies", type=int, default=12, help="studies of 96 slices")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure_door(Path(folder), arguments.studies, arguments.runs)
    found |= measure_standardization(arguments.runs)
    print(pd.Series(found).to_string(float_format=lambda value: f"{value:,.4g}"))
    if arguments.json:
        this = load("phantom")
        write_json(arguments.json, {"measured": found, **circumstances(this)})


if __name__ == "__main__":
    main()
