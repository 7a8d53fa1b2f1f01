"""Imports are not slowed down by garbage collections; matrix products are measured."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest

from huggingtweets.nn import devices


class _Node:
    """An object that refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _thaw() -> object:
    yield
    gc.enable()
    gc.unfreeze()


def test_an_import_is_not_collected_and_is_left_out_of_later_collections() -> None:
    before = gc.get_freeze_count()
    with devices.heavy_import("not_imported_yet"):
        assert not gc.isenabled()
        kept = [_Node() for _ in range(10)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_garbage_from_before_an_import_is_freed() -> None:
    garbage = _Node()
    found = weakref.ref(garbage)
    del garbage
    with devices.heavy_import("not_imported_yet"):
        pass
    assert found() is None


def test_collections_go_on_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), devices.heavy_import("not_imported_yet"):
        raise ImportError
    assert gc.isenabled()


def test_a_package_that_is_imported_changes_nothing() -> None:
    frozen = gc.get_freeze_count()
    with devices.heavy_import("gc"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_products_are_measured_in_each_precision(precision: devices.Precision) -> None:
    machine = replace(devices.select_device("cpu"), precision=precision)
    assert 1e7 < devices.matmul_flops(machine) < 1e15
