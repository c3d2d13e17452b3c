"""The arithmetic of docs/scale.md: measured rates, and what is assumed, named as that.

``python docs/scale.py`` prints every number of the page; ``docs/prose.py`` puts them there.
"""

from pathlib import Path

from mrnetlib.files import read_json
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS
from mrnetlib.study import read

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "results" / "benchmarks"

EXAMS = 100_000
SEEDS = 10

#: MRNet's training exams and their slices of the three planes, counted in its files.
MRNET_EXAMS, MRNET_SLICES = 1130, 38_778 + 33_649 + 34_370

#: What is assumed; a reader with other prices changes them here.
PRICES_OF = "November 2026"
DOLLARS_A_CORE_HOUR = 0.04
DOLLARS_A_GPU_HOUR = 3.0
DOLLARS_A_GIGABYTE_MONTH = 0.02
GPU_TFLOPS = 50.0  # that one data-centre GPU keeps up on networks as small as these
GPUS = 8
GPU_MEMORY_GB = 80
DICOM_BYTES_A_SLICE = 512 * 512 * 2


def numbers() -> dict[str, str]:
    """What the page says, by the keys of its marks."""
    settings = read("mrnet", ROOT)
    rates = read_json(BENCHMARKS / "training.json")
    door = read_json(BENCHMARKS / "preprocessing.json")["measured"]
    door = door["files to standardized banks, slices per second of a core"]
    per_exam = MRNET_SLICES / MRNET_EXAMS
    slices = EXAMS * per_exam
    bytes_a_slice = settings.image_size**2
    trained = slices / len(PLANES) * (1 - settings.tune_fraction) * settings.epochs
    networks = len(PLANES) * len(TASKS) * SEEDS  # of an architecture
    work = {name: 1e12 * rates[name]["TFLOP/s"] / rates[name]["ours"] for name in ARCHITECTURES}
    cpu = sum(networks * trained / rates[name]["ours"] for name in ARCHITECTURES) / 3600
    cores = rates["machine"]["threads"]
    gpu = sum(networks * trained * flop for flop in work.values()) / (GPU_TFLOPS * 1e12) / 3600
    slowest = GPU_TFLOPS * 1e12 / max(work.values())
    fastest = GPU_TFLOPS * 1e12 / min(work.values())
    bank = slices / len(PLANES) * bytes_a_slice / 1e9
    volumes = slices * bytes_a_slice / 1e9
    source = slices * DICOM_BYTES_A_SLICE / 1e12
    stored = 1000 * source + 2 * volumes
    found = {
        "exams": f"{EXAMS:,}",
        "trainings": f"{len(ARCHITECTURES) * networks:,}",
        "slices of an exam": f"{per_exam:.0f}",
        "slices": f"{slices / 1e6:.1f} million",
        "source": f"{source:.1f} TB",
        "volumes": f"{volumes:,.0f} GB",
        "bank": f"{bank:,.0f} GB",
        "GPU memory": f"{GPU_MEMORY_GB} GB",
        "door rate": f"{door:,.0f}",
        "door hours": f"{slices / door / 3600:.1f} hours",
        "slices of a training": f"{trained / 1e6:,.0f} million",
        "epochs": str(settings.epochs),
        "core hours": f"{cpu * cores:,.0f} core hours",
        "core dollars": f"{cpu * cores * DOLLARS_A_CORE_HOUR:,.0f} dollars",
        "GPU rate": f"{GPU_TFLOPS:.0f} TFLOP/s",
        "GPU hours": f"{gpu:,.0f} GPU hours",
        "GPUs": str(GPUS),
        "days": f"{gpu / GPUS / 24:.0f} days",
        "GPU dollars": f"{gpu * DOLLARS_A_GPU_HOUR:,.0f} dollars",
        "core price": f"{DOLLARS_A_CORE_HOUR:.2f} dollars",
        "GPU price": f"{DOLLARS_A_GPU_HOUR:.2f} dollars",
        "storage price": f"{DOLLARS_A_GIGABYTE_MONTH:.2f} dollars",
        "storage dollars": f"{stored * DOLLARS_A_GIGABYTE_MONTH:,.0f} dollars",
        "price date": PRICES_OF,
        "input rate": f"{fastest * bytes_a_slice / 1e6:,.0f} MB",
        "input rate of all": f"{GPUS * fastest * bytes_a_slice / 1e9:.1f} GB",
        "epoch": f"{trained / settings.epochs / slowest / 60:.0f} min",
        "predictions": f"{EXAMS * len(ARCHITECTURES) * networks / 1e6:.0f} million",
        "files": f"{EXAMS * len(PLANES):,}",
    } | {f"rate of {name}": f"{rates[name]['ours']:.0f}" for name in ARCHITECTURES}
    return {f"scale: {key}": value for key, value in found.items()}


if __name__ == "__main__":
    for key, value in numbers().items():
        print(f"{key:28} {value}")
