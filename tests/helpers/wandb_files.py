"""Read the files that W&B writes offline.

A ``.wandb`` file is a LevelDB log (https://github.com/google/leveldb/blob/main/doc/log_format.md)
of protocol buffers, after a header of seven bytes. Its blocks of 32 KB hold fragments of records,
each with a checksum, a length and a kind (1 whole, 2 first, 3 middle, 4 last).
"""

from __future__ import annotations

import importlib
import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK, _FILE_HEADER, _FRAGMENT_HEADER = 32 * 1024, 7, struct.Struct("<IHB")
_WHOLE, _FIRST, _LAST = 1, 2, 4


@dataclass
class OfflineRun:
    """One run, as stored in its file."""

    folder: Path
    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    sweep: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    made: list[Any] = field(default_factory=list)
    used: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    def table(self, name: str) -> list[list[list[Any]]]:
        """Return the rows of a table for each time it was logged."""
        paths = [row[name]["path"] for row in self.history if name in row]
        files = [self.folder / "files" / path for path in paths]
        return [json.loads(file.read_text("utf-8"))["data"] for file in files]


def read_run(file: Path) -> OfflineRun:
    """Read an offline run."""
    run = OfflineRun(file.parent)
    for record in _records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            data = record.run
            run.id, run.name, run.project = data.run_id, data.display_name, data.project
            run.group, run.job_type, run.sweep = data.run_group, data.job_type, data.sweep_id
            run.config |= {item.key: json.loads(item.value_json) for item in data.config.update}
        elif kind == "history":
            run.history.append(_row(record.history))
        elif kind == "artifact":
            (run.used if record.artifact.use_after_commit else run.made).append(record.artifact)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _records(file: Path) -> Iterator[Any]:
    messages: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    for raw in _raw_records(file.read_bytes()):
        record = messages.Record()
        record.ParseFromString(raw)
        yield record


def _raw_records(data: bytes) -> Iterator[bytes]:
    assert data[:4] == b":W&B"
    at, record = _FILE_HEADER, b""
    while at + _FRAGMENT_HEADER.size <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _FRAGMENT_HEADER.size:
            at += left
            continue
        _, length, kind = _FRAGMENT_HEADER.unpack_from(data, at)
        at += _FRAGMENT_HEADER.size
        fragment = data[at : at + length]
        at += length
        record = fragment if kind in (_WHOLE, _FIRST) else record + fragment
        if kind in (_WHOLE, _LAST):
            yield record


def _row(history: Any) -> dict[str, Any]:  # noqa: ANN401 - a protocol buffer
    row: dict[str, Any] = {}
    for item in history.item:
        *parents, key = item.nested_key or [item.key]
        at = row
        for parent in parents:
            at = at.setdefault(parent, {})
        at[key] = json.loads(item.value_json)
    return row
