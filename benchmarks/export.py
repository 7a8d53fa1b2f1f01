r"""How much of a bot is left in llama.cpp, by number format: the table of docs/lab/export.md.

    python benchmarks/export.py runs/nasa --models smollm2-posts --json docs/lab/export.json \
        --markdown docs/lab/export.md

The first argument is a finished run; its held-out posts are what everything is measured on. Each
model (the run's bot, then ``--models``: bases, folders) is written in each format and measured in
llama.cpp: bits per byte, divergence from the model before the export, tokens a second. All numbers
of a model are in --json before the next begins; what is there is not measured again. ``--quick``
tests the command in seconds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.scripts_of_the_world import texts

from benchmarks import markers
from huggingtweets.generation import bots
from huggingtweets.generation.sampling import Sampling
from huggingtweets.nn import gguf_writer, language_model, llama_cpp
from huggingtweets.publish.gguf import held_out_posts
from huggingtweets.storage import files

PROMPT = "My dream is"
BEGIN, END = "<!-- export: begin -->", "<!-- export: end -->"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one format.

    Attributes:
        model: its name.
        kind: number format.
        megabytes: size of the file.
        divergence: mean, in nats a token.
        bits_per_byte: in llama.cpp.
        bits_per_byte_here: before the export, in fp32.
        retokenized: posts and made-up texts that llama.cpp splits into other tokens.
        texts: number of these posts and texts.
        tokens_per_second: written by llama.cpp, one post at a time, in one thread.
        posts: that llama.cpp wrote.
    """

    model: str
    kind: str
    megabytes: float
    divergence: float
    bits_per_byte: float
    bits_per_byte_here: float
    retokenized: int
    texts: int
    tokens_per_second: float
    posts: list[str]


def main(arguments: list[str] | None = None) -> None:
    """Read the command line; measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="a finished run")
    parser.add_argument("--models", nargs="*", default=[], help="more models: bases or folders")
    parser.add_argument("--kinds", nargs="*", default=list(gguf_writer.KINDS))
    parser.add_argument("--posts", type=int, default=100, help="held-out posts to measure on")
    parser.add_argument("--json", type=Path, default=Path("export.json"))
    parser.add_argument("--markdown", type=Path, help="page to write the table into")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    if given.markdown:
        markers.check(given.markdown, BEGIN, END)
    run = bots.find_run_folder(given.run)
    number, kinds, made_up, tokens = given.posts, given.kinds, 2_000, 80
    if given.quick:
        number, kinds, made_up, tokens = 2, ["q8_0"], 20, 4
    posts = held_out_posts(run)[-number:]
    done: dict[str, Any] = {"rows": [], "ours": {}}
    if given.json.is_file():
        done = files.read_json(given.json)
    for name in [run.path.name, *given.models]:
        source = run.bot if name == run.path.name else name
        label = Path(name).name
        missing = [
            kind
            for kind in kinds
            if not any((row["model"], row["kind"]) == (label, kind) for row in done["rows"])
        ]
        for kind in missing:
            row = measure(str(source), label, kind, posts, texts(made_up), tokens=tokens)
            print(json.dumps({k: v for k, v in asdict(row).items() if k != "posts"}), flush=True)
            done["rows"].append(asdict(row))
            files.write_json(given.json, done)
        if missing:
            writer = bots.open_bot(source, "cpu", "fp32").writer(Sampling(seed=0))
            done["ours"][label] = [post.text for post in writer.write(PROMPT, _SHOWN)]
            files.write_json(given.json, done)
    table = to_markdown(done)
    print(table)
    if given.markdown:
        markers.put(given.markdown, BEGIN, END, table)


def measure(
    source: str, label: str, kind: str, posts: list[str], made_up: list[str], *, tokens: int
) -> Row:
    """Write a model in one format and measure it in llama.cpp; it writes posts of ``tokens``."""
    lm = language_model.load(source)
    lm.model.float()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "bot.gguf")
        gguf_writer.write(lm, file, gguf_writer.KINDS[kind], gguf_writer.About(label))
        found = llama_cpp.compare(lm, file, posts)
        with llama_cpp.opened(file, lm.context) as program:
            other = sum(program.encode(text) != lm.encode(text) for text in made_up)
        speed, written = write_in_llama_cpp(file, tokens)
        return Row(
            label,
            kind,
            file.stat().st_size / 1e6,
            found.divergence,
            found.bits_per_byte,
            found.bits_per_byte_here,
            found.retokenized + other,
            len(posts) + len(made_up),
            speed,
            written,
        )


def write_in_llama_cpp(file: Path, tokens: int) -> tuple[float, list[str]]:
    """Return the tokens that llama.cpp's server writes a second, and posts with the prompt."""
    xllamacpp: Any = importlib.import_module("xllamacpp")  # without types
    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_ctx, settings.n_parallel = str(file), 512, 1
    settings.verbosity, settings.warmup = -1, True
    settings.cpuparams.n_threads = 1  # more wait busily for each other beside other work
    server = xllamacpp.Server(settings)

    def ask(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        body = json.dumps({"prompt": PROMPT, **values}).encode()
        address = f"{server.listening_address}/completion"
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(address, body, headers), timeout=600) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
            return answer

    timed = ask(n_predict=tokens, ignore_eos=True, seed=0)["timings"]["predicted_per_second"]
    posts = [ask(n_predict=tokens, seed=seed)["content"] for seed in range(_SHOWN)]
    return float(timed), [PROMPT + post for post in posts]


def to_markdown(done: dict[str, Any]) -> str:
    """Return the table, and posts of llama.cpp beside ours."""
    lines = [
        "| model | format | MB | KL, nats a token | bits per byte in llama.cpp | before the export "
        "| texts with other tokens | tokens/s, one thread |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['model']} | {row['kind']} | {row['megabytes']:.1f} | {row['divergence']:.2g} "
        f"| {row['bits_per_byte']:.4f} | {row['bits_per_byte_here']:.4f} "
        f"| {row['retokenized']} of {row['texts']:,} | {row['tokens_per_second']:.0f} |"
        for row in done["rows"]
    ]
    first = done["rows"][0]
    lines += [
        "",
        f"{first['model']} with the prompt “{PROMPT}” (seeds 0 to {_SHOWN - 1}; the two programs "
        "draw other random numbers):",
        "",
        f"| llama.cpp, {first['kind']} | huggingtweets |",
        "|---|---|",
    ]
    for theirs, ours in zip(first["posts"], done["ours"][first["model"]], strict=False):
        lines.append(f"| {_cell(theirs)} | {_cell(ours)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
