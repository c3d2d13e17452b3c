"""Where the arithmetic happens: the device, its precision, and how it is set up for a training."""

import contextlib
import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from mrnetlib.files import InputError
from mrnetlib.parallel import cores
from mrnetlib.settings import Settings, checked

#: How `compile_backbone` may compile: torch.compile's modes by the study's words.
COMPILE_MODES = {"default": "default", "graphs": "reduce-overhead"}


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` takes a CUDA GPU where there is one; otherwise the device of that name."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device '{name}': not to be had here ({error}). Use auto or cpu."
        ) from None


def use_machine(settings: Settings) -> torch.device:
    """Choose the device and the number of threads that a study's settings name.

    With a fixed number of threads, results are repeatable on one processor. On a GPU see
    `set_deterministic`.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
        threadpool_limits(settings.threads)
    keep_freed_memory()
    set_deterministic(settings.deterministic)
    return choose_device(settings.device)


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 itself rather than by emulation."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_precision(precision: str, device: torch.device) -> str:
    """``fp32`` or ``bf16``; ``auto`` is bf16 where the device has it.

    What bf16 does to the networks' AUC is measured by ``benchmarks.recipe``.
    """
    checked("precision", precision, "training")
    if precision == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    return precision


def autocast(precision: str, device: torch.device):
    """The context in which forward passes run: bf16 autocast, or nothing for fp32."""
    if resolve_precision(precision, device) == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def arithmetic(precision: str, device: torch.device) -> dict[str, Any]:
    """What the digits of a training depend on besides its settings, to tell trainings apart."""
    return {
        "torch": str(torch.__version__),
        "device": device.type,
        "precision": resolve_precision(precision, device),
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def set_deterministic(deterministic: bool) -> None:
    """Have torch repeat itself to the last bit, or let it take what is fastest.

    Where a GPU has no repeatable way, as for the backward pass of maximum pooling, torch warns and
    goes on. fp32 is fp32: convolutions on a GPU may not round their inputs to TF32, torch's
    default.
    """
    torch.backends.cudnn.allow_tf32 = False
    if deterministic:
        # cuBLAS reads this when it starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Nothing here reads memory that it has not written.
        torch.utils.deterministic.fill_uninitialized_memory = False
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic


def keep_freed_memory() -> bool:
    """Have this process keep the memory that it frees; gives whether that could be done.

    Every step frees and asks anew for the same hundreds of megabytes. Giving them back to the
    system each time costs their pages' zeroing, several percent of a step. Only the C library of
    GNU/Linux can be told so.
    """
    if not sys.platform.startswith("linux"):
        return False
    trim_threshold, mmap_max = -1, -4  # mallopt's names for its options
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1))


def compile_backbone(backbone: nn.Module, mode: str) -> None:
    """Compile a backbone in place with torch.compile; weights and their names stay.

    Parameters
    ----------
    mode : ``none``, ``default``, or ``graphs``, which on a GPU records a CUDA graph for every
        number of slices, so that small networks no longer wait for the processor.
    """
    if checked("compile", mode, "training") != "none":
        # Exams differ in their number of slices: one program for all of them.
        backbone.compile(dynamic=True, mode=COMPILE_MODES[mode])


def _processor() -> str:
    """The processor's name; Linux keeps it where `platform` does not look."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine(settings: Settings) -> dict[str, Any]:
    """The machine in words: system, processor, cores, a training's threads, device, arithmetic."""
    device = choose_device(settings.device)
    on_gpu = device.type == "cuda"
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "threads": settings.threads or torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "has_bf16": has_bf16(device),
        "precision": resolve_precision(settings.precision, device),
    }
