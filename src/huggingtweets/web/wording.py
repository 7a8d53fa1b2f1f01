"""Messages without the words of the command line, for people who see only the page."""

from __future__ import annotations

import re

_REPLACED = (
    ("use --i-am-the-author", "tick “These accounts are mine” under “More”"),
    ("Choose another --name", "Choose another name under “More”"),
    ("choose another --name", "choose another name under “More”"),
    ("add --as ", "choose under “Whose posts are in the file?”: "),
    (" or --as ", " or "),
)
_COMMAND_LINE = re.compile(
    r"(?<![\w-])--[a-z][a-z-]+|\$[A-Z][A-Z_]{3,}|\b(?:HUGGINGTWEETS|HF|X_BEARER|TWITTER)_[A-Z_]+"
    r"|\bhuggingtweets [a-z]+\b|`[^`]*`|pip install|environment variable"
)
_CLAUSE = re.compile(r"(?:; |, or |\. (?=[A-Z]))")


def for_browser(text: str) -> str:
    """Return a message without the clauses that only help at a command line.

    What a page can do instead, it offers itself.
    """
    for words, instead in _REPLACED:
        text = text.replace(words, instead)
    if not _COMMAND_LINE.search(text):
        return text
    ends = [match.end() for match in _CLAUSE.finditer(text)]
    clauses = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    kept = "".join(clause for clause in clauses if not _COMMAND_LINE.search(clause))
    kept = re.sub(r"(; |, or |\.? )$", "", kept).rstrip(".")
    return f"{kept}." if kept else "This can’t be done on this page."
