"""How small a bot gets, and what that costs: full bots, LoRA, and full bots made small.

    python benchmarks/adapters.py --base smollm2-posts --final --posts 150 \
        --json docs/research/adapters.json --markdown docs/research/adapters.md

For each author and seed, one bot is trained as a whole model and one for each rank with ``--adapter
lora:RANK``. The full one is made small at each rank as ``huggingtweets shrink`` does. The best
weights are chosen on validation posts, and bits per byte are measured on later posts, with the bot
as it is saved. Each training is in the JSON file before the next one begins.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import studies
from huggingtweets.errors import InputError
from huggingtweets.events import counted
from huggingtweets.nn import adapters, devices, language_model, likelihood
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.studies import Author, Cell

    from huggingtweets.nn.adapters import Adapter
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

_KEYS = ("author", "seed", "kind")


def cell_of(
    chosen: argparse.Namespace, author: Author, machine: ComputeDevice, *, kind: str, seed: int
) -> Cell:
    """Train a bot of one kind and measure it; of a full one also its small forms."""
    lm = load(chosen, machine)
    recipe = RECIPES["fast"].changed(adapter=kind, epochs=chosen.epochs)
    if kind != "none":
        recipe = replace(recipe, learning_rate=recipe.learning_rate * chosen.rate)
    digest = lm.digest()
    posts = author.train[-chosen.posts :]
    result = studies.train(lm, posts, author, recipe, machine, seed=seed)
    trained: Cell = {"seconds": round(result.seconds, 1), "steps": result.steps, "way": result.way}
    if result.adapter:
        adapter = replace(result.adapter, base=chosen.base, base_digest=digest)
        return trained | measure_adapter(author, machine, adapter)
    from huggingtweets.training import shrinking

    base = load(chosen, machine)
    small = {}
    for rank in chosen.ranks:
        made = shrinking.shrink(lm.model, base.model, rank)
        made = replace(made, base=chosen.base, base_digest=digest)
        small[str(rank)] = measure_adapter(author, machine, made)
    with tempfile.TemporaryDirectory() as folder:
        lm.save(Path(folder))
        size = (Path(folder) / "model.safetensors").stat().st_size
    untouched = likelihood.bits_per_byte(base.to(machine), author.test)
    bits = likelihood.bits_per_byte(lm.to(machine), author.test)
    return trained | {"bits_per_byte": bits, "bytes": size, "base": untouched, "shrunk": small}


def measure_adapter(author: Author, machine: ComputeDevice, adapter: Adapter) -> Cell:
    """Save an adapter, load it as a bot, and measure that."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adapters.write(adapter, folder)
        bot = language_model.load(folder).to(machine)
        return {
            "bits_per_byte": likelihood.bits_per_byte(bot, author.test),
            "bytes": (folder / adapters.WEIGHTS).stat().st_size,
        }


def set_size_of_a(size: float) -> None:
    """Start LoRA's A with other values; its product with the same B stays the same."""
    from huggingtweets.training import lora

    lora.ALPHA *= lora.A_SIZE / size
    lora.A_SIZE = size


def load(chosen: argparse.Namespace, machine: ComputeDevice) -> LanguageModel:
    """Load the base as a training does."""
    return language_model.load(chosen.base, attention=RECIPES["fast"].attention(machine.device))


def table(cells: Sequence[Cell]) -> str:
    """Bits per byte of each author, and what small bots lose, in Markdown."""
    by_key = {tuple(cell[name] for name in _KEYS): cell for cell in cells}
    lora = sorted({c["kind"] for c in cells} - {"none"}, key=lambda kind: int(kind[5:]))
    pairs = sorted({(c["author"], c["seed"]) for c in cells})
    complete = [p for p in pairs if all((*p, kind) in by_key for kind in ("none", *lora))]
    if not complete:
        raise InputError("There is nothing to show yet: no author has a bot of every kind.")
    full = [by_key[*pair, "none"] for pair in complete]
    ranks = list(full[0]["shrunk"])
    columns = {"untouched base": [c["base"] for c in full]}
    columns["full bot"] = whole = [c["bits_per_byte"] for c in full]
    for kind in lora:
        columns[f"`--adapter {kind}`"] = [by_key[*p, kind]["bits_per_byte"] for p in complete]
    for rank in ranks:
        columns[f"`shrink --rank {rank}`"] = [c["shrunk"][rank]["bits_per_byte"] for c in full]
    sizes = {"full bot": full[0]["bytes"]}
    sizes |= {f"`--adapter {kind}`": by_key[*complete[0], kind]["bytes"] for kind in lora}
    sizes |= {f"`shrink --rank {rank}`": full[0]["shrunk"][rank]["bytes"] for rank in ranks}
    authors = list(dict.fromkeys(author for author, _ in complete))
    rows = []
    for author in authors:
        own = [i for i, (name, _) in enumerate(complete) if name == author]
        values = (studies.summary([of[i] for i in own]) for of in columns.values())
        rows.append([f"{author} ({counted(len(own), 'seed')})", *values])
    rows.append(["mean", *(f"{statistics.fmean(of):.3f}" for of in columns.values())])
    lost = [
        statistics.fmean(100 * (b / a - 1) for a, b in zip(whole, of, strict=True))
        for of in columns.values()
    ]
    rows.append(["against the full bot", *(f"{value:+.2f} %" for value in lost)])
    sized = (f"{sizes[name] / 1e6:.1f} MB" if name in sizes else "–" for name in columns)
    rows.append(["size of the weights", *sized])
    shown = [by_key[*pair, "none"] for pair in complete]
    return (
        studies.ran(shown) + "\n\n" + studies.markdown(["held-out bits per byte", *columns], rows)
    )


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write the table."""
    studies.check_document(chosen.markdown)
    sources = studies.sources_of(chosen)
    setting = {"study": "adapters", "base": chosen.base, "posts": chosen.posts}
    setting |= {"held_out": chosen.held_out, "epochs": chosen.epochs}
    if chosen.rate != 1:
        setting["rate"] = chosen.rate
    if chosen.a_size is not None:
        setting["a_size"] = chosen.a_size
        set_size_of_a(chosen.a_size)
    cells = studies.Cells(chosen.json, None if chosen.render else setting, _KEYS)
    if not chosen.render:
        machine = devices.select_device(None, RECIPES["fast"].precision)
        authors = [studies.read_author(source, chosen.held_out) for source in sources]
        for seed in range(chosen.seeds):
            for author in authors:
                for kind in ("none", *(f"lora:{rank}" for rank in chosen.lora)):
                    one = partial(cell_of, chosen, author, machine, kind=kind, seed=seed)
                    cells.need(one, author=author.name, seed=seed, kind=kind)
    studies.write_table(chosen.markdown, table(cells.cells))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is the program's."""
    options = studies.parser(__doc__)
    add = options.add_argument
    add("--posts", type=int, default=1000, help="training posts, the newest (%(default)s)")
    add("--epochs", type=int, help="most passes over the posts. Default: the recipe's")
    add("--lora", nargs="+", type=int, default=[16], metavar="RANK", help="ranks to train")
    add("--ranks", nargs="+", type=int, default=[16, 64], help="ranks of full bots made small")
    add("--rate", type=float, default=1.0, help="factor on LoRA's learning rate (%(default)s)")
    add("--a-size", type=float, help="first values of A over a linear layer's. Default: LoRA's own")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.posts, chosen.held_out = 1, studies.QUICK_POSTS, 20
    return studies.exit_status(lambda: run(chosen))


if __name__ == "__main__":
    sys.exit(main())
