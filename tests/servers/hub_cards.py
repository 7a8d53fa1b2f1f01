"""The Hub's validation of a card's YAML header, as far as it is documented."""

from __future__ import annotations

import re
from typing import Any

_NAME = re.compile(r"[\w][\w.-]*(/[\w.-]+)?", re.ASCII)


def metadata(content: str) -> dict[str, Any]:
    """Parse the header; empty if there is none."""
    from huggingface_hub import ModelCard

    data: Any = ModelCard(content).data
    head: dict[str, Any] = data.to_dict()
    return head


def faults(content: str) -> list[str]:
    try:
        head = metadata(content)
    except Exception as error:  # noqa: BLE001 - whatever a YAML library makes of it
        return [f"metadata is no YAML: {type(error).__name__}"]
    checks = {
        '"language" must only contain lowercase characters': _all(
            head.get("language", []), r"[a-z]{2,3}"
        ),
        '"tags" must be strings': _all(head.get("tags", []), r"[^\n]+"),
        '"base_model" with value is not valid': _all(head.get("base_model", []), _NAME.pattern),
        '"license" must be a string': _all(head.get("license", []), r"[a-z0-9.-]+"),
        '"license_name" is only for "license: other"': "license_name" not in head
        or head.get("license") == "other",
        '"thumbnail" must be a string': _all(head.get("thumbnail", []), r"\S+"),
        '"widget" must be a list of texts': _widget(head.get("widget", [])),
        '"model-index" is not valid': all(map(_entry, head.get("model-index", []))),
    }
    return [message for message, fine in checks.items() if not fine]


def _all(values: Any, pattern: str) -> bool:  # noqa: ANN401 - whatever YAML can hold
    several = values if isinstance(values, list) else [values]
    return all(isinstance(one, str) and re.fullmatch(pattern, one) for one in several)


def _widget(entries: Any) -> bool:  # noqa: ANN401 - whatever YAML can hold
    return isinstance(entries, list) and all(isinstance(one.get("text"), str) for one in entries)


def _entry(model: Any) -> bool:  # noqa: ANN401 - whatever YAML can hold
    return isinstance(model["name"], str) and all(
        isinstance(result["task"]["type"], str)
        and isinstance(result["dataset"]["type"], str)
        and isinstance(result["dataset"]["name"], str)
        and all(isinstance(one["type"], str) and "value" in one for one in result["metrics"])
        for result in model["results"]
    )
