"""Synthetic posts of invented people; the same seed gives the same posts."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WHO = ["I", "We", "The gardener", "My neighbour", "A tired baker", "Nobody here", "The old cat"]
_DOES = ["painted", "found", "carried", "dreamt of", "lost", "repaired", "wrote about", "counted"]
_HOW = ["yellow", "quiet", "broken", "enormous", "borrowed", "salty", "wooden", "forgotten"]
_WHAT = ["lantern", "bicycle", "teapot", "umbrella", "ladder", "harmonica", "kite", "pumpkin"]
_WHERE = ["by the harbour", "under the bridge", "at the market", "in the attic", "near the mill"]
_WHEN = ["today", "before breakfast", "on a rainy Tuesday", "at midnight", "last winter", "again"]
_END = [".", "!", ", again.", " 🎈", "…", " #harbourlife", "?"]


def made_up_posts(n: int, seed: int = 0) -> list[str]:
    """Return ``n`` different posts of two sentences, about 90 characters each."""
    rng = random.Random(seed)
    posts: dict[str, None] = {}
    while len(posts) < n:
        posts[f"{_sentence(rng)} {_sentence(rng)}"] = None
    return list(posts)


def write_csv(path: Path, author: str, posts: list[str]) -> Path:
    """Write a CSV table of one author: one post per hour, oldest first."""
    lines = ["author,id,created_at,text"]
    for i, text in enumerate(posts):
        moment = f"2024-{1 + i // 600:02}-{1 + i // 24 % 25:02}T{i % 24:02}:00:00Z"
        lines.append(f"{author},{i},{moment},{json.dumps(text, ensure_ascii=False)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _sentence(rng: random.Random) -> str:
    parts = (rng.choice(words) for words in (_WHO, _DOES, _HOW, _WHAT, _WHERE, _WHEN))
    who, does, how, what, where, when = parts
    return f"{who} {does} the {how} {what} {where} {when}{rng.choice(_END)}"
