"""The compute device of a run, and how it uses memory and threads."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from huggingtweets.errors import InputError
from huggingtweets.events import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# The threads of torch's libgomp spin at every barrier. When another process needs a core, that is
# very slow: two trainings at once on two cores ran at 100 tokens/s each. With a bounded spin they
# run at 1,400, and one alone at 4,400 as before. It must be set before torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

Precision = Literal["bf16", "fp32"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_EMULATED_FLOPS = 5e9  # bfloat16 on AVX2 reaches 0.3 to 3e9 a second, fp32 there over 1e11
_RECORDED = ("huggingtweets", "torch", "transformers", "tokenizers", "polars", "scikit-learn")


@dataclass(frozen=True, slots=True)
class ComputeDevice:
    """Where and how a run computes.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: ``bf16`` computes in bfloat16 and updates fp32 master weights; ``fp32`` does
            both in fp32.
        cores: threads that compute matrix products.
        processor: name of the processor or GPU.
        system: operating system.
    """

    device: str
    precision: Precision
    cores: int
    processor: str
    system: str

    def describe(self) -> str:
        """Describe the device in one line for the user."""
        name = counted(self.cores, "CPU core") if self.device == "cpu" else self.device.upper()
        return f"{name}, {'bfloat16' if self.precision == 'bf16' else 'float32'}"

    @property
    def keeps_kernels(self) -> bool:
        """Whether memory is kept for each shape of a matrix product.

        oneDNN, which computes them in bfloat16 on a CPU, keeps the kernels it generates: 5 to 12 MB
        for each shape of a batch of the default base (docs/lab/speed.md).
        """
        return (self.device, self.precision) == ("cpu", "bf16")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for the run's record."""
        return asdict(self)


def select_device(device: str | None = None, precision: str | None = None) -> ComputeDevice:
    """Return the requested device and precision, by default the fastest available ones.

    Raises:
        InputError: the device is not available, or a name is unknown.
    """
    with heavy_import("torch"):
        import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _has_mps(torch)}
    chosen = device or next(name for name in ("cuda", "mps", "cpu") if available[name])
    if chosen not in available:
        raise InputError(f"Unknown device {chosen!r}. Choose cpu, cuda or mps.")
    if not available[chosen]:
        raise InputError(f"This machine has no working {chosen} device. Use --device cpu.")
    if precision not in (None, "bf16", "fp32"):
        raise InputError(f"Unknown precision {precision!r}. Choose bf16 or fp32.")
    return ComputeDevice(
        device=chosen,
        precision=precision or ("bf16" if _computes_bf16(torch, chosen) else "fp32"),  # type: ignore[arg-type]
        cores=torch.get_num_threads(),
        processor=_processor(torch, chosen),
        system=f"{platform.system()} {platform.machine()}",
    )


@contextmanager
def heavy_import(name: str) -> Iterator[None]:
    """Import a large package without garbage collections, unless it is imported already.

    An import of thousands of modules makes objects that live as long as the process, and each
    collection looks at all of them: a quarter of the time of importing transformers. Afterwards
    they are left out of later collections, also of that at exit, which takes half a second.
    """
    if name in sys.modules or not gc.isenabled():
        yield
        return
    gc.collect()  # or garbage from before would stay for good
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def has_compiler() -> bool:
    """Whether ``torch.compile`` can find a C++ compiler."""
    configured = os.environ.get("CXX", "g++")
    return any(shutil.which(name) for name in (configured, "g++", "clang++"))


def matmul_flops(machine: ComputeDevice, size: int | None = None) -> float:
    """Measure the floating-point operations a second of matrix products; the best of 10 tries.

    Training speeds are reported as a share of this limit.

    Args:
        machine: the device and precision to measure.
        size: rows of the smaller matrix, which is square. Default: 8,192 on CUDA, 1,024 elsewhere.
            Smaller products don't fill a GPU: on an H200 they reached 190 TFLOP/s where training
            reached 310. Where the precision is emulated, the default is 128: at 1,024, one try took
            30 s with bfloat16 on AVX2.
    """
    import torch

    dtype = torch.bfloat16 if machine.precision == "bf16" else torch.float32

    def rate(rows: int, tries: int) -> float:
        a, b = (torch.randn(4 * rows, rows, device=machine.device, dtype=dtype) for _ in range(2))
        best = float("inf")
        for _ in range(tries):
            started = time.perf_counter()
            _ = float((a @ b[:rows])[0, 0])  # reading a value synchronizes with the device
            best = min(best, time.perf_counter() - started)
        return 2 * 4 * rows**3 / best

    if size is None and machine.device == "cuda":
        size = 8192
    elif size is None:
        size = 1024 if rate(128, tries=2) > _EMULATED_FLOPS else 128
    return rate(size, tries=10)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that affect a run's numbers."""
    return {"python": sys.version.split()[0], **{name: version(name) for name in _RECORDED}}


def peak_memory_mb() -> float | None:
    """Return this process's peak memory in MB; None where the system doesn't report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if platform.system() == "Darwin" else 1e3)  # bytes there, KB elsewhere


def tune_allocator() -> None:
    """Make glibc keep large freed blocks instead of returning each to the system.

    Every step allocates and frees activations of tens of megabytes. By default each is a new
    ``mmap`` whose pages the kernel zeroes again. Keeping them makes training GPT-2 small 1.5 times
    as fast. Without glibc this does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def trim_heap() -> None:
    """Return the freed memory that :func:`tune_allocator` made glibc keep to the system.

    Without glibc this does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _has_mps(torch_: ModuleType) -> bool:
    return bool(torch_.backends.mps.is_available())


def _computes_bf16(torch_: ModuleType, device: str) -> bool:
    """Whether the hardware computes bfloat16 products; emulated ones are slower than fp32."""
    if device == "cuda":
        return bool(torch_.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        capabilities = torch_.cpu.get_capabilities()
        return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def _processor(torch_: ModuleType, device: str) -> str:
    if device == "cuda":
        return str(torch_.cuda.get_device_name())
    return str(torch_.cpu.get_capabilities().get("cpu_name") or platform.processor() or "unknown")
