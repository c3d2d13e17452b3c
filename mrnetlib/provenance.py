"""What a result depends on: settings, seed, versions, device, commit, wall time."""

import importlib.metadata
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrnetlib.files import read_json, write_json
from mrnetlib.study import Study

PACKAGES = (
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "torch",
    "torchvision",
    "pydicom",
    "papermill",
    "snakemake",
)


def commit(root: Path) -> dict[str, Any]:
    """The git commit of the code and whether tracked code was changed since; null without git.

    Results are left out of the comparison: a run that writes them does not change the code.
    """
    try:
        status = ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!results"]
        outputs = [
            subprocess.run(
                ["git", *words], cwd=root, capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], status)
        ]
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed_since": None}
    return {"commit": outputs[0], "changed_since": bool(outputs[1])}


def _processor() -> str:
    """The processor's name; Linux keeps it where `platform` does not look."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine(study: Study) -> dict[str, Any]:
    """The machine in words: system, processor, a training's threads, the device that trains."""
    import torch

    from mrnetlib.training.devices import choose_device, has_bf16

    device = choose_device(study.settings.device)
    on_gpu = device.type == "cuda"
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "threads": study.settings.threads or torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "has_bf16": has_bf16(device),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    return found | {package: importlib.metadata.version(package) for package in PACKAGES}


def circumstances(study: Study) -> dict[str, Any]:
    """Machine, versions and commit: what stands beside every number."""
    return {"machine": machine(study), "versions": versions(), **commit(study.root)}


def note_run(
    study: Study,
    run: str,
    notebook: str,
    parameters: dict,
    seconds: float,
    parts: dict[str, float] | None = None,
) -> None:
    """Note one executed step in ``data/<study>/runs/<run>.json``; `parts` say where time went."""
    content = {
        "run": run,
        "step": notebook,
        "parameters": parameters,
        "seconds": round(seconds, 1),
        **({"parts": parts} if parts else {}),
        **circumstances(study),
    }
    write_json(study.data / "runs" / f"{run}.json", content)


def collect(study: Study, paths: list[Path]) -> dict[str, Any]:
    """Write ``results/<study>/provenance.json`` from the notes of runs and return it.

    What all runs share (machine, versions, commit) stands once; a run that differs keeps its own.
    `paths` are the notes that `note_run` left; runs by hand are not among the chain's.
    """
    notes = [read_json(path) for path in sorted(paths)]
    shared = {}
    for key in ("machine", "versions", "commit", "changed_since"):
        if notes and all(note[key] == notes[0][key] for note in notes):
            shared[key] = notes[0][key]
            for note in notes:
                del note[key]
    content = {
        "study": study.name,
        "settings": asdict(study.settings),
        **shared,
        "seconds_of_all_runs": round(sum(note["seconds"] for note in notes), 1),
        "runs": notes,
    }
    # The user's folder is theirs to know.
    content["settings"]["exams_folder"] = None
    write_json(study.results / "provenance.json", content)
    return content
