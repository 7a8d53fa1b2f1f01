"""A sweep as W&B's: a ``sweep.yaml`` whose agents run ``huggingtweets train``.

W&B's search takes one number of each run, so an agent trains one author at a time, as the original
did: the author is a parameter among the others (``source``), and grouping by it shows what is good
for all. What can't be carried over is said in the file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from huggingtweets.storage import files
from huggingtweets.sweep.folder import SweepFolder
from huggingtweets.sweep.search_space import Choice, Range, space_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from huggingtweets.sweep.folder import Settings

METRIC = "result/best"
"""The lowest held-out bits per byte of a run, as :mod:`huggingtweets.track` logs it at its end."""


def export(path: Path, to: Path | None = None) -> Path:
    """Write the ``sweep.yaml`` of a sweep; returns where it is.

    Args:
        path: the sweep's folder.
        to: a file; None for ``sweep.yaml`` in the folder.

    Raises:
        BotError: there is no sweep.
        StorageError: the file can't be written.
    """
    settings = SweepFolder(path).settings()
    file = to or path / "sweep.yaml"
    files.write_text(file, yaml_of(settings))
    return file


def yaml_of(settings: Settings) -> str:
    """The text of ``sweep.yaml``."""
    notes = [
        f"# The sweep {settings.name!r} of huggingtweets, for W&B: wandb sweep THIS_FILE",
        "# An agent trains one author a run; group by source to see what is good for all of them.",
    ]
    if settings.posts is not None:
        notes.append(
            f"# huggingtweets took the newest {settings.posts} posts of each author; W&B's runs "
            "take all."
        )
    if settings.objective != "mean":
        notes.append(f"# Its objective was {settings.objective}; W&B's is each run's own loss.")
    return "\n".join([*notes, *_lines(as_wandb(settings), 0)]) + "\n"


def as_wandb(settings: Settings) -> dict[str, Any]:
    """The sweep as W&B's configuration, plain values."""
    fields = space_of(settings.space).fields
    return {
        "name": settings.name,
        "method": "bayes",
        "metric": {"name": METRIC, "goal": "minimize"},
        "program": "huggingtweets",
        "command": ["${env}", "${program}", "train", "--track", "wandb", "${args}"],
        "parameters": {
            "source": {"values": settings.sources},
            **{name.replace("_", "-"): _parameter(field) for name, field in fields.items()},
            "base": {"value": settings.base},
            "holdout": {"value": settings.holdout},
            "seed": {"value": settings.seed},
        },
    }


def _parameter(field: Range | Choice | float | str) -> dict[str, Any]:
    if isinstance(field, Choice):
        return {"values": list(field.values)}
    if not isinstance(field, Range):
        return {"value": field}
    ends = {"min": field.low, "max": field.high}
    if field.whole:
        ends = {"min": int(field.low), "max": int(field.high)}
        if field.log:
            return {"distribution": "q_log_uniform_values", **ends, "q": 1}
        return {"distribution": "int_uniform", **ends}
    return {
        "distribution": "log_uniform_values" if field.log else "uniform",
        "min": float(field.low),
        "max": float(field.high),
    }


def _lines(value: Mapping[str, Any], depth: int) -> list[str]:
    """Mappings and lists of plain values as lines of YAML."""
    pad = "  " * depth
    lines = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            lines += [f"{pad}{key}:", *_lines(inner, depth + 1)]
        elif isinstance(inner, list):
            lines += [f"{pad}{key}:", *(f"{pad}  - {_scalar(one)}" for one in inner)]
        else:
            lines.append(f"{pad}{key}: {_scalar(inner)}")
    return lines


def _scalar(value: Any) -> str:  # noqa: ANN401 - a plain value
    """As JSON writes it, which YAML reads; but to YAML 1.1 1e-05 is a word, 1.0e-05 a number."""
    written = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in written and "." not in written:
        return written.replace("e", ".0e")
    return written
