"""Compiled adaptation of existing weights equals uncompiled adaptation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.helpers.compiler import broken_compiler, separate_compiler
from tests.pretraining.test_data import corpus_file
from tests.pretraining.test_training import adapt_options, bits, record

from huggingtweets.nn import devices
from huggingtweets.pretraining import make_base

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.events import Event

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not devices.has_compiler(), reason="there is no C++ compiler"),
    # torch's compiler reads .grad of non-leaf tensors and forks while threads run
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path) -> Iterator[Path]:
    """The folder of the compiled code of this test alone."""
    with separate_compiler(tmp_path / "compiled") as folder:
        yield folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(corpus_file(tmp_path_factory.mktemp("corpus") / "c.csv", authors=6, posts=100))


def adapt(
    corpus: str, source: Path, out: Path, precision: str, *, compiled: bool
) -> tuple[Path, list[str]]:
    """Train an existing model further; return the base and the messages."""
    events: list[Event] = []
    chosen = replace(adapt_options(out, source), precision=precision, compiled=compiled)
    made = make_base([corpus], chosen, events.append)
    return made, [event.message for event in events]


def test_compiled_adaptation_learns_as_much(corpus: str, tiny_base: Path, tmp_path: Path) -> None:
    precision = devices.select_device("cpu").precision  # bf16 takes minutes where it is emulated
    plain, _ = adapt(corpus, tiny_base, tmp_path / "plain", precision, compiled=False)
    compiled, _ = adapt(corpus, tiny_base, tmp_path / "compiled-base", precision, compiled=True)
    assert bits(compiled)[-1] == pytest.approx(bits(plain)[-1], rel=0.01)
    assert record(compiled)["sittings"][0]["compiled"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiler_failure_is_reported_and_adaptation_continues(
    precision: str, corpus: str, tiny_base: Path, tmp_path: Path, cache: Path
) -> None:
    plain, _ = adapt(corpus, tiny_base, tmp_path / "plain", precision, compiled=False)
    with broken_compiler():
        made, said = adapt(corpus, tiny_base, tmp_path / "made", precision, compiled=True)
    assert said.count("compiling failed; training continues without it") == 1
    assert bits(made) == pytest.approx(bits(plain), abs=2e-4)  # the attention is another one
    assert not record(made)["sittings"][0]["compiled"]
    assert not cache.exists()
