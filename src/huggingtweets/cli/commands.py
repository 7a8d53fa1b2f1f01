"""The commands and where they are: only the file of the one that is asked for is loaded."""

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

MODULES = {
    "demo": "demo",
    "app": "web",
    "train": "train",
    "curate": "curate",
    "download": "download",
    "generate": "generate",
    "evaluate": "evaluate",
    "runs": "runs",
    "show": "runs",
    "compare": "compare",
    "publish": "publish",
    "picture": "picture",
    "share": "share",
    "opt-out": "privacy",
    "forget": "privacy",
    "track": "track",
    "dashboard": "track",
    "base": "base",
    "pretrain": "pretrain",
    "sweep": "sweep",
}
"""Each command's file, in the order in which ``--help`` lists them."""


class Commands(Mapping[str, Any]):
    """Commands by name, made when they are looked up, as typer makes those it knows beforehand."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's own copy of click.Command
        if name not in self._made:
            module = importlib.import_module(f"huggingtweets.cli.{MODULES[name]}")
            some = typer.Typer()
            module.register(some)
            self._made |= typer.main.get_group(some).commands
        return self._made[name]

    def __iter__(self) -> Any:  # noqa: ANN401
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


class Group(TyperGroup):
    """The program's commands."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's
        super().__init__(**settings)
        self.commands = Commands()  # type: ignore[assignment]  # nobody changes it
