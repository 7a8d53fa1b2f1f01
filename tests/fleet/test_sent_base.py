"""A base that machines of a cluster get from the driver."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from huggingtweets.errors import BaseModelError
from huggingtweets.fleet import sent_base
from huggingtweets.nn import bases, language_model

if TYPE_CHECKING:
    from pathlib import Path


class Cluster:
    """Holds objects, as Ray does, and counts how often they are fetched."""

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.fetched = 0

    def put(self, value: object) -> int:
        self.objects.append(value)
        return len(self.objects) - 1

    def get(self, reference: int) -> Any:  # noqa: ANN401 - as given
        self.fetched += 1
        return self.objects[reference]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("HUGGINGTWEETS_CACHE", str(tmp_path / "cache"))
    return Cluster()


def test_base_is_fetched_once_and_has_the_same_weights(cluster: Cluster, tiny_base: Path) -> None:
    base = sent_base.send(str(tiny_base), cluster.put)
    here = sent_base.on_this_machine(base, cluster.get)
    assert here != str(tiny_base)
    assert sent_base.on_this_machine(base, cluster.get) == here
    assert cluster.fetched == 1
    assert language_model.load(here).digest() == language_model.load(tiny_base).digest()


def test_other_files_are_another_base(cluster: Cluster, tiny_base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_base, other)
    config = other / "generation_config.json"
    config.write_text(config.read_text() + " ")
    (other / "notes.md").write_text("not sent")
    one, two = (sent_base.send(str(path), cluster.put) for path in (tiny_base, other))
    assert one.digest != two.digest
    assert "notes.md" not in cluster.objects[two.reference]
    folders = {sent_base.on_this_machine(base, cluster.get) for base in (one, two)}
    assert len(folders) == 2


def test_built_in_base_is_fetched_only_where_it_differs(cluster: Cluster) -> None:
    base = sent_base.send(bases.POCKET, cluster.put)
    assert sent_base.on_this_machine(base, cluster.get) == bases.POCKET
    assert cluster.fetched == 0
    other = sent_base.SentBase(bases.POCKET, "0" * 64, cluster.put({"config.json": b"{}"}))
    assert sent_base.on_this_machine(other, cluster.get).endswith("0" * 64)
    assert cluster.fetched == 1


def test_base_unused_for_days_is_removed(cluster: Cluster, tmp_path: Path) -> None:
    one, two = (
        sent_base.SentBase(name, name * 64, cluster.put({"config.json": b"{}"})) for name in "12"
    )
    long_ago = time.time() - 8 * 86_400
    unused = sent_base.on_this_machine(one, cluster.get)
    os.utime(unused, (long_ago, long_ago))
    used = sent_base.on_this_machine(two, cluster.get)
    assert [str(path) for path in (tmp_path / "cache/bases/sent").glob("[!.]*")] == [used]


def test_unknown_base_is_one_sentence(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="There is no model folder"):
        sent_base.send(str(tmp_path / "gone"), cluster.put)
