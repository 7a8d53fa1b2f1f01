"""``huggingtweets export``: take a bot to other programs."""

import shlex
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huggingtweets.cli import options
from huggingtweets.cli.console import ConsoleOutput, print_json
from huggingtweets.errors import InputError, Interrupted

if TYPE_CHECKING:
    from huggingtweets.publish.export import Exported
    from huggingtweets.publish.facts import AdapterFacts
    from huggingtweets.publish.onnx import OnnxFacts
    from huggingtweets.storage.run_folder import RunFolder


_VLLM_RANKS = (16, 32, 64, 128, 256)
"""Values of vLLM's --max-lora-rank, from its default; docs.vllm.ai, LoRA Adapters."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: huggingtweets export runs/me --to gguf --quantize q8_0")(export)


def export(
    bot: options.Bot,
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="gguf|safetensors|adapter|web|onnx",
            help="gguf for llama.cpp, Ollama and LM Studio; safetensors for Hugging Face tools; "
            "adapter, the difference to the base, for peft and vLLM; "
            "web for a page that runs the bot in the visitor's browser; onnx for ONNX runtimes.",
        ),
    ] = "gguf",
    quantize: Annotated[
        str | None,
        typer.Option(
            metavar="f16|q8_0|q5_1|q5_0|q4_1|q4_0|q4_k",
            help="Number format of a GGUF file or a page's model, from the most exact to the "
            "smallest. Default: q8_0.",
            show_default=False,
        ),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(
            help="With --to adapter: rank of a full bot's pairs of matrices, 1 to 256. Default: "
            "16.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder to write, which must not exist. Default: exports/RUN-FORMAT.",
            show_default=False,
        ),
    ] = None,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="With --to web: show the page on this machine, until Ctrl-C. A page that is there "
            "already is not written again.",
        ),
    ] = False,
    port: Annotated[int, typer.Option(help="Port of --serve; 0 takes any free one.")] = 7870,
    as_json: options.Json = False,
) -> None:
    """Write a bot to a folder for other programs: the model and its card, never the posts."""
    from huggingtweets.generation import bots
    from huggingtweets.publish.export import current_page
    from huggingtweets.publish.export import export as write

    options.check_port(port)
    if serve and (to != "web" or as_json):
        raise InputError("--serve shows the page of --to web, and can't be used with --json.")
    run = bots.find_run_folder(bot)
    screen = ConsoleOutput(quiet=as_json)
    if serve and (page := current_page(run, out)) is not None:
        _serve(screen, page, port)
        return
    try:
        with screen.watching():
            exported = write(run, to, quantize, out, rank=rank, listen=screen)
    except KeyboardInterrupt as error:
        raise Interrupted("Stopped. Nothing was written.") from error
    if as_json:
        found = {"export": str(exported.path), "to": exported.to, "files": exported.sizes}
        facts = {"gguf": exported.gguf, "onnx": exported.onnx, "adapter": exported.adapter}
        print_json(found | {name: asdict(it) if it else None for name, it in facts.items()})
        return
    _show(screen, exported)
    if exported.to == "web" and not serve:
        screen.say("Put the folder on any static host, or look at it here:")
        at = "" if out is None else f" --out {shlex.quote(str(out))}"
        screen.commands([f"huggingtweets export {shlex.quote(bot)} --to web --serve{at}"])
    _warn(screen, run)
    if serve:
        _serve(screen, exported.path, port)


def _serve(screen: ConsoleOutput, page: Path, port: int) -> None:
    """Serve a page until Ctrl-C."""
    from huggingtweets.publish.page_server import PageServer

    with PageServer(page, port) as server, suppress(KeyboardInterrupt):
        screen.say(f"{page} is at {server.address}. Stop with Ctrl-C.", "bold")
        server.serve_forever()


def _show(screen: ConsoleOutput, exported: "Exported") -> None:
    """Show the files, how they measure, and how to use them."""
    screen.say(f"Exported to {exported.path}", "bold")
    for name, size in exported.sizes.items():
        screen.say(f"{size:>14,} bytes  {name}")
    if exported.onnx is not None:
        _show_onnx(screen, exported.path, exported.onnx)
        return
    if exported.adapter is not None:
        _show_adapter(screen, exported.path, exported.adapter)
        return
    made = exported.gguf
    if made is None:
        screen.say("From Python:")
        screen.commands(
            [
                "from transformers import pipeline",
                f'pipeline("text-generation", model={str(exported.path)!r})("My dream is")',
            ]
        )
        return
    if exported.to == "web":
        return
    where = "in llama.cpp" if made.in_llama_cpp else "of the file, read back"
    divergence = "" if made.divergence is None else f", KL {made.divergence:.2g} nats a token"
    screen.say(
        f"held-out bits per byte: {made.bits_per_byte:.4f} {where}, {made.bits_per_byte_here:.4f} "
        f"before{divergence}"
    )
    file = exported.path / made.file
    screen.heading("Use it in")
    for program, command in {
        "Ollama": f"ollama create {made.tag} -f {exported.path / 'Modelfile'}",
        "LM Studio": f"lms import {file}",
        "llama.cpp": f"llama-server -m {file} -n {made.post_tokens}",
        "huggingtweets": f"huggingtweets generate {file}",
    }.items():
        screen.say(program)
        screen.commands([command])


def _show_onnx(screen: ConsoleOutput, folder: Path, made: "OnnxFacts") -> None:
    screen.say(
        f"held-out bits per byte: {made.bits_per_byte:.4f} in onnxruntime, "
        f"{made.bits_per_byte_here:.4f} before, KL {made.divergence:.2g} nats a token"
    )
    screen.say(f"{folder / 'README.md'} has a program of 30 lines that writes a post. It needs:")
    screen.commands(["pip install onnxruntime tokenizers"])


def _show_adapter(screen: ConsoleOutput, folder: Path, made: "AdapterFacts") -> None:
    from huggingtweets.cli.small_bots import show_made
    from huggingtweets.nn import adapters, bases

    show_made(screen, made)
    base = adapters.read_base(folder)
    model = f'"$(huggingtweets base path {base})"' if base in bases.BUILT_IN else shlex.quote(base)
    rank = f" --max-lora-rank {_vllm_rank(made.rank)}" if made.rank > _VLLM_RANKS[0] else ""
    screen.say(f"{folder / 'README.md'} shows how peft loads it. In vLLM:")
    name = shlex.quote(f"bot={folder}")
    screen.commands([f"vllm serve {model} --enable-lora{rank} --lora-modules {name}"])


def _vllm_rank(rank: int) -> int:
    """Return the smallest value of vLLM's --max-lora-rank for a rank."""
    return next(most for most in _VLLM_RANKS if most >= rank)


def _warn(screen: ConsoleOutput, run: "RunFolder") -> None:
    """Say what other programs don't do."""
    from huggingtweets.publish.facts import read_report

    copied = read_report(run).copied.bot
    screen.say(
        f"Other programs don't replace copies of real posts: {copied:.1%} of this bot's posts are. "
        "Ask the author before you pass the bot on.",
        "yellow" if copied else "dim",
    )
