"""The table of commands; only the module of the command that runs is imported."""

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

PANELS = {
    "Make a bot": {
        "demo": "demo",
        "app": "web",
        "curate": "curate",
        "download": "download",
        "train": "train",
        "update": "update",
        "versions": "update",
        "rollback": "update",
        "merge": "merge",
    },
    "Write posts": {
        "generate": "generate",
        "hashtags": "hashtags",
        "picture": "picture",
        "share": "share",
    },
    "Look at bots and authors": {
        "runs": "runs",
        "show": "runs",
        "evaluate": "evaluate",
        "compare": "compare",
        "explore": "explore",
        "track": "track",
        "dashboard": "track",
    },
    "Take a bot elsewhere": {
        "publish": "publish",
        "export": "export",
        "serve": "serve",
        "shrink": "small_bots",
        "expand": "small_bots",
    },
    "Respect people": {
        "delete": "privacy",
        "forget": "privacy",
        "opt-out": "privacy",
    },
    "Many authors, and bases": {
        "fleet": "fleet",
        "sweep": "sweep",
        "base": "base",
        "pretrain": "pretrain",
    },
}
"""Module of each command by its panel, in the order of ``--help``."""

MODULES = {name: module for panel in PANELS.values() for name, module in panel.items()}


class Commands(Mapping[str, Any]):
    """Commands by name, created on first access."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's own copy of click.Command
        if name not in self._loaded:
            module = importlib.import_module(f"huggingtweets.cli.{MODULES[name]}")
            app = typer.Typer()
            module.register(app)
            command: Any  # click's type lacks the attribute of typer's
            for loaded, command in typer.main.get_group(app).commands.items():
                command.rich_help_panel = _panel_of(loaded)
                _refuse_plainly(command)
                self._loaded[loaded] = command
        return self._loaded[name]

    def __iter__(self) -> Any:  # noqa: ANN401
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


def _panel_of(name: str) -> str:
    return next(panel for panel, commands in PANELS.items() if name in commands)


def _refuse_plainly(command: Any) -> None:  # noqa: ANN401 - typer's own copy of click.Command
    """Let numbers of a command and its own commands be refused without names of Python's types."""
    for one in getattr(command, "commands", {}).values():
        _refuse_plainly(one)
    for parameter in command.params:
        if parser := _NUMBERS.get(parameter.type.name):
            name = parameter.type.name
            parameter.type = typer.main.get_click_type(
                annotation=str, parameter_info=typer.Option(parser=parser)
            )
            parameter.type.name = name  # --help shows it


def _whole_number(text: str | int) -> int:
    """Parse an integer, also in the form ``1024.0``, which W&B's agents may pass."""
    with suppress(ValueError, OverflowError):
        return int(text)
    with suppress(ValueError):
        if (number := float(text)).is_integer():
            return int(number)
    raise typer.BadParameter(f"{text!r} is not a whole number.")


def _number(text: str | float) -> float:
    with suppress(ValueError):
        return float(text)
    raise typer.BadParameter(f"{text!r} is not a number.")


_NUMBERS: dict[str, Callable[[Any], float]] = {"int": _whole_number, "float": _number}


class Group(TyperGroup):
    """The program's commands."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's
        super().__init__(**settings)
        self.commands = Commands()  # type: ignore[assignment]  # it is read-only
