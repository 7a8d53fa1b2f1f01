"""Export a sweep to W&B: a ``sweep.yaml`` whose agents run ``huggingtweets train``.

W&B's search uses one number per run, so an agent trains one author at a time, as in the original.
The author is a parameter (``source``); grouping by it shows which recipes are good for all authors.
Comments in the file say what can't be exported.
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
"""The lowest held-out bits per byte of a run, logged by :mod:`huggingtweets.track` at its end."""


def export(path: Path, to: Path | None = None) -> Path:
    """Write the ``sweep.yaml`` of a sweep and return its path.

    Args:
        path: the sweep folder.
        to: the file; None for ``sweep.yaml`` in the folder.

    Raises:
        BotError: there is no sweep in the folder.
        StorageError: the file can't be written.
    """
    settings = SweepFolder(path).settings()
    file = to or path / "sweep.yaml"
    files.write_text(file, yaml_of(settings))
    return file


def yaml_of(settings: Settings) -> str:
    """Return the text of ``sweep.yaml``."""
    notes = [
        f"# The sweep {settings.name!r} of huggingtweets, for W&B: wandb sweep THIS_FILE",
        "# Each run trains one author; group by source to compare recipes over all authors.",
    ]
    if settings.posts is not None:
        notes.append(
            f"# huggingtweets used the newest {settings.posts} posts of each author; W&B's runs "
            "use all."
        )
    if settings.objective != "mean":
        notes.append(f"# Its objective was {settings.objective}; W&B's is each run's own loss.")
    return "\n".join([*notes, *_lines(as_wandb(settings), 0)]) + "\n"


def as_wandb(settings: Settings) -> dict[str, Any]:
    """Return the sweep as a W&B configuration of plain values."""
    fields = space_of(settings.space).fields
    chats = [] if settings.speaker is None else ["--from", settings.speaker]
    chats += ["--join"] if settings.join else []
    chats += ["--keep-names"] if settings.keep_names else []
    return {
        "name": settings.name,
        "method": "bayes",
        "metric": {"name": METRIC, "goal": "minimize"},
        "program": "huggingtweets",
        "command": ["${env}", "${program}", "train", "--track", "wandb", *chats, "${args}"],
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
    """Format mappings and lists of plain values as lines of YAML."""
    pad = "  " * depth
    lines = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            lines += [f"{pad}{key}:", *_lines(inner, depth + 1)]
        elif isinstance(inner, list):
            lines += [f"{pad}{key}:", *(f"{pad}  - {_scalar(item)}" for item in inner)]
        else:
            lines.append(f"{pad}{key}: {_scalar(inner)}")
    return lines


def _scalar(value: Any) -> str:  # noqa: ANN401 - a plain value
    """Format a value as JSON, which is YAML; but 1e-05 as 1.0e-05, else YAML 1.1 reads a string."""
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")
    return text
