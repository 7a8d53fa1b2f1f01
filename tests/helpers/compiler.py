"""torch's compiler in tests: separate from other tests, or broken."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def separate_compiler(folder: Path) -> Iterator[Path]:
    """Keep compiled code in ``folder`` inside; torch's state of earlier compilations is reset."""
    import torch

    torch.compiler.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        yield folder
    torch.compiler.reset()


@contextmanager
def broken_compiler() -> Iterator[None]:
    """Make every compilation fail inside.

    monkeypatch would delete these settings afterwards, and every later compilation would fail.
    """
    from torch._inductor import config

    with config.patch({"cpp.cxx": ("/bin/false",), "force_disable_caches": True}):
        yield
