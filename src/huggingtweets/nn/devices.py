"""What this machine has, and what of it a run uses."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

from huggingtweets.errors import InputError

# Threads of libgomp, which torch brings, spin at every barrier. When something else wants a core
# that costs far more than the share it takes: two trainings at once on two cores ran at 100
# tokens/s each. With a bounded spin it is 1,400, and 4,400 alone as before. Only heeded before
# torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

Precision = Literal["bf16", "fp32"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_RECORDED = ("huggingtweets", "torch", "transformers", "tokenizers", "polars", "scikit-learn")


@dataclass(frozen=True, slots=True)
class ComputeDevice:
    """Where and how a run computes.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: ``bf16`` computes in bfloat16 and keeps fp32 weights to update; ``fp32`` plain.
        cores: threads that matrix products run on.
        processor: its name, for the record.
        system: operating system.
    """

    device: str
    precision: Precision
    cores: int
    processor: str
    system: str

    def describe(self) -> str:
        """One line for the user."""
        where = f"{self.cores} CPU cores" if self.device == "cpu" else self.device.upper()
        return f"{where}, {'bfloat16' if self.precision == 'bf16' else 'float32'}"

    def as_dict(self) -> dict[str, Any]:
        """For the run's record."""
        return asdict(self)


def select_device(device: str | None = None, precision: str | None = None) -> ComputeDevice:
    """Pick the fastest device and precision there is, or check those asked for.

    Raises:
        InputError: the device asked for isn't there, or a name isn't known.
    """
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _has_mps(torch)}
    chosen = device or next(name for name in ("cuda", "mps", "cpu") if available[name])
    if chosen not in available:
        raise InputError(f"There is no device {chosen!r}; choose one of cpu, cuda, mps.")
    if not available[chosen]:
        raise InputError(f"This machine has no working {chosen} device; use --device cpu.")
    if precision not in (None, "bf16", "fp32"):
        raise InputError(f"There is no precision {precision!r}; choose bf16 or fp32.")
    return ComputeDevice(
        device=chosen,
        precision=precision or ("bf16" if _computes_bf16(torch, chosen) else "fp32"),  # type: ignore[arg-type]
        cores=torch.get_num_threads(),
        processor=_processor(torch, chosen),
        system=f"{platform.system()} {platform.machine()}",
    )


def has_compiler() -> bool:
    """Whether ``torch.compile`` finds a C++ compiler to work with."""
    named = os.environ.get("CXX", "g++")
    return any(shutil.which(name) for name in (named, "g++", "clang++"))


def matmul_flops(machine: ComputeDevice, size: int | None = None) -> float:
    """Floating-point operations a second of matrix products in the machine's precision.

    The limit that training speeds are told as a share of; the best of several tries.

    Args:
        machine: where.
        size: of the smaller matrix, which is square; None takes 8,192 on CUDA and 1,024 elsewhere,
            as such a GPU is not full with less: an H200 did 190 TFLOP/s where training did 310.
    """
    import torch

    size = size or (8192 if machine.device == "cuda" else 1024)
    dtype = torch.bfloat16 if machine.precision == "bf16" else torch.float32
    a, b = (torch.randn(4 * size, size, device=machine.device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        _ = float((a @ b[:size])[0, 0])  # reading a value waits for the device
        best = min(best, time.perf_counter() - started)
    return 2 * 4 * size**3 / best


def package_versions() -> dict[str, str]:
    """Versions that decide a run's numbers."""
    return {"python": sys.version.split()[0], **{name: version(name) for name in _RECORDED}}


def peak_memory_mb() -> float | None:
    """The most memory this process has held so far; None where the system doesn't tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if platform.system() == "Darwin" else 1e3)  # bytes there, KB elsewhere


def tune_allocator() -> None:
    """Let glibc keep big blocks instead of giving each back to the system.

    Activations of tens of megabytes are made and freed every step; by default each is a fresh
    ``mmap`` whose pages the kernel zeroes anew. With GPT-2 small this alone is half as fast again.
    Elsewhere than on glibc nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def trim_heap() -> None:
    """Let the system have what this process freed, once :func:`tune_allocator` made glibc keep it.

    Elsewhere than on glibc nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _has_mps(torch_: Any) -> bool:  # noqa: ANN401 - a module
    return bool(torch_.backends.mps.is_available())


def _computes_bf16(torch_: Any, device: str) -> bool:  # noqa: ANN401 - a module
    """Whether bfloat16 products run in hardware; emulated ones are slower than fp32."""
    if device == "cuda":
        return bool(torch_.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        has = torch_.cpu.get_capabilities()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16") or has.get("bf16"))
    return False


def _processor(torch_: Any, device: str) -> str:  # noqa: ANN401 - a module
    if device == "cuda":
        return str(torch_.cuda.get_device_name())
    return str(torch_.cpu.get_capabilities().get("cpu_name") or platform.processor() or "unknown")
