"""The table of commands; only the module of the command that runs is imported."""

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

MODULES = {
    "demo": "demo",
    "app": "web",
    "serve": "serve",
    "train": "train",
    "curate": "curate",
    "download": "download",
    "generate": "generate",
    "hashtags": "hashtags",
    "evaluate": "evaluate",
    "update": "update",
    "versions": "update",
    "rollback": "update",
    "merge": "merge",
    "shrink": "small_bots",
    "expand": "small_bots",
    "runs": "runs",
    "show": "runs",
    "compare": "compare",
    "explore": "explore",
    "publish": "publish",
    "export": "export",
    "picture": "picture",
    "share": "share",
    "delete": "privacy",
    "opt-out": "privacy",
    "forget": "privacy",
    "track": "track",
    "dashboard": "track",
    "base": "base",
    "pretrain": "pretrain",
    "sweep": "sweep",
    "fleet": "fleet",
}
"""Module of each command, in the order of ``--help``."""


class Commands(Mapping[str, Any]):
    """Commands by name, created on first access."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's own copy of click.Command
        if name not in self._loaded:
            module = importlib.import_module(f"huggingtweets.cli.{MODULES[name]}")
            app = typer.Typer()
            module.register(app)
            self._loaded |= typer.main.get_group(app).commands
        return self._loaded[name]

    def __iter__(self) -> Any:  # noqa: ANN401
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


class Group(TyperGroup):
    """The program's commands."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's
        super().__init__(**settings)
        self.commands = Commands()  # type: ignore[assignment]  # it is read-only
