"""Which layers learn what: bots of which only a part of the weights was trained.

    python benchmarks/layers.py --json docs/research/layers.json \
        --markdown docs/research/layers.md --plot docs/research/layers.svg

Each choice of ``train --layers`` is trained at several learning rates, because the best one differs
between choices. The rate is chosen on validation posts and everything else is measured on later
posts. Bits are also counted on two kinds of words: the author's distinctive ones (log-odds against
the panel of other people, with the panel as prior: Monroe et al. 2008, "Fightin' Words", section
3.5) and function words (scikit-learn's English stop words).
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import studies
from huggingtweets.data import batching
from huggingtweets.errors import InputError
from huggingtweets.evaluation.authorship import panel_posts
from huggingtweets.generation.copy_index import words
from huggingtweets.nn import devices, language_model
from huggingtweets.storage import files
from huggingtweets.training import RECIPES
from huggingtweets.training.budget import depth_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.studies import Author, Cell

    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.language_model import LanguageModel

RATES = (1.0, 2.25, 5.0)
"""Factors on the recipe's learning rate."""

DISTINCTIVE = 150
"""Number of distinctive words of each author."""

_MIN_USES = 5
_KEYS = ("author", "seed", "layers", "rate")
_COLUMNS = (
    ("bits per byte", "bits_per_byte", 3),
    ("bits per distinctive word", "distinctive", 2),
    ("bits per function word", "function", 2),
    ("copied", "copied", 3),
    ("longest run", "longest_run", 1),
    ("distinct-2", "distinct_2", 3),
    ("authorship", "authorship", 3),
    ("seconds", "seconds", 0),
)


def choices_of(depth: int) -> list[str]:
    """The compared choices for a base of this many layers: a third of them at each place."""
    third = max(1, depth // 3)
    places = [f"{place}:{third}" for place in ("top", "middle", "bottom")]
    return ["all", *places, "embeddings", "attention", "mlp"]


def distinctive_words(posts: Sequence[str], others: Sequence[str]) -> set[str]:
    """The words that tell an author from others most clearly, without function words."""
    own, theirs = _counts(posts), _counts(others)
    prior = own + theirs
    total_own, total_theirs, total = own.total(), theirs.total(), prior.total()

    def z(word: str) -> float:
        a, b, p = own[word], theirs[word], prior[word]
        odds_own = math.log((a + p) / (total_own + total - a - p))
        odds_theirs = math.log((b + p) / (total_theirs + total - b - p))
        return (odds_own - odds_theirs) / math.sqrt(1 / (a + p) + 1 / (b + p))

    skipped = function_words()
    found = [word for word, uses in own.items() if uses >= _MIN_USES and word not in skipped]
    return {word for word in sorted(found, key=lambda w: (-z(w), w))[:DISTINCTIVE] if z(word) > 0}


def function_words() -> frozenset[str]:
    """Words such as *the*, *of* and *with*."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


def _counts(posts: Sequence[str]) -> Counter[str]:
    return Counter(word for post in posts for word in words(post))


def bits_on_words(
    lm: LanguageModel, posts: Sequence[str], kinds: dict[str, frozenset[str] | set[str]]
) -> dict[str, float | None]:
    """Mean bits of a word of each kind; None where no post has such a word.

    A word is a piece between white space. Its bits are those of all tokens that begin in it or in
    the space before it.

    Args:
        lm: a model with a fast tokenizer.
        posts: the posts to predict; those longer than the context are left out.
        kinds: words by name of the kind, as :func:`words` gives them.
    """
    import torch

    sums, counts = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0)
    encoded = lm.tokenizer(
        list(posts),
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
    )
    for post, ids, offsets in zip(
        posts, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        if not ids or len(ids) + 1 > lm.context:
            continue
        row = [lm.separator, *ids, lm.separator]
        with torch.inference_mode():
            inputs = batching.to_batch([row]).inputs.to(lm.device)
            logits = lm.model(input_ids=inputs, use_cache=False).logits[0].float().cpu()
        nats = -logits.log_softmax(-1).gather(1, torch.tensor(row[1:])[:, None])[:, 0]
        bits = (nats[:-1] / math.log(2)).tolist()
        for word, cost in _word_costs(post, offsets, bits):
            for kind, members in kinds.items():
                if word in members:
                    sums[kind] += cost
                    counts[kind] += 1
    return {kind: sums[kind] / counts[kind] if counts[kind] else None for kind in kinds}


def _word_costs(
    post: str, offsets: Sequence[tuple[int, int]], bits: Sequence[float]
) -> list[tuple[str, float]]:
    """Each piece of a post as a word, with the sum of its tokens' bits."""
    found, start = [], 0
    costs = dict.fromkeys(range(len(post)), 0.0)
    for (begin, end), cost in zip(offsets, bits, strict=True):
        visible = next((i for i in range(begin, end) if not post[i].isspace()), begin)
        costs[min(visible, len(post) - 1)] += cost
    for piece in post.split():
        begin = post.index(piece, start)
        start = begin + len(piece)
        split = words(piece)
        if len(split) == 1:
            found.append((split[0], sum(costs[i] for i in range(begin, start))))
    return found


def cell_of(
    chosen: argparse.Namespace,
    author: Author,
    machine: ComputeDevice,
    *,
    layers: str | None,
    rate: float,
    seed: int,
) -> Cell:
    """Train one choice at one rate and measure it; without ``layers`` measure the base."""
    recipe = RECIPES["fast"]
    base = language_model.load(chosen.base, attention=recipe.attention(machine.device))
    posts = author.train[-chosen.posts :]
    trained: Cell = {"seconds": 0.0, "epochs": 0, "way": None}
    if layers is not None:
        recipe = recipe.for_base(base.width).changed(layers=layers)
        recipe = recipe.changed(learning_rate=recipe.learning_rate * rate)
        result = studies.train(base, posts, author, recipe, machine, seed=seed)
        epochs = result.history[-1]["epoch"]
        trained = {"seconds": round(result.seconds, 1), "epochs": epochs, "way": result.way}
    measured = studies.measure(base, posts, author, machine, seed=seed, generated=chosen.generated)
    kinds: dict[str, frozenset[str] | set[str]] = {
        "distinctive": distinctive_words(author.train, panel_posts(without=[author.name])),
        "function": function_words(),
    }
    return trained | measured | bits_on_words(base, author.test, kinds)


def best_rates(cells: Sequence[Cell]) -> list[Cell]:
    """For each author, seed and choice the rate that is best on the validation posts."""
    best: dict[tuple[Any, ...], Cell] = {}
    for cell in cells:
        key = (cell["author"], cell["seed"], cell["layers"])
        value = cell["validation_bits_per_byte"]
        if key not in best or value < best[key]["validation_bits_per_byte"]:
            best[key] = cell
    return list(best.values())


def complete(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of the authors and seeds for which every choice is measured at every rate."""
    sizes = Counter((cell["author"], cell["seed"]) for cell in cells)
    full = max(sizes.values(), default=0)
    return [cell for cell in cells if sizes[cell["author"], cell["seed"]] == full]


def table(cells: Sequence[Cell]) -> str:
    """Mean and spread of every measure for each choice, in Markdown."""
    best = best_rates(complete(cells))
    by_choice: dict[str, list[Cell]] = {}
    for cell in best:
        by_choice.setdefault(cell["layers"], []).append(cell)
    rows = [
        [
            f"`{layers}`" if layers != "base" else "untouched base",
            *(studies.summary((c[key] for c in group), digits) for _, key, digits in _COLUMNS),
            studies.summary((c["rate"] for c in group), 2) if layers != "base" else "–",
        ]
        for layers, group in by_choice.items()
    ]
    head = ["trained", *(name for name, _, _ in _COLUMNS), "rate"]
    return studies.ran(best) + "\n\n" + studies.markdown(head, rows)


def picture(cells: Sequence[Cell]) -> str:
    """What each choice gains over the untouched base, as SVG: on both kinds of words, in bits."""
    import altair as alt
    import vl_convert

    best = best_rates(complete(cells))
    bases = {(c["author"], c["seed"]): c for c in best if c["layers"] == "base"}
    kinds = {"distinctive": "distinctive words", "function": "function words"}
    values = [
        {
            "choice": cell["layers"],
            "kind": name,
            "gain": bases[cell["author"], cell["seed"]][key] - cell[key],
        }
        for cell in best
        for key, name in kinds.items()
        if cell["layers"] != "base" and cell[key] is not None
    ]
    order = list(dict.fromkeys(value["choice"] for value in values))
    colours = alt.Scale(domain=list(kinds.values()), range=["#0a6ebd", "#d9822b"])
    shapes = alt.Scale(domain=list(kinds.values()), range=["circle", "diamond"])
    y = alt.Y("choice:N", sort=order, title=None, axis=alt.Axis(grid=True, ticks=False))
    chart = alt.Chart({"values": values}).encode(y=y)
    spans = chart.mark_rule(color="#b8bec6", size=2).encode(
        x="min(gain):Q", x2="max(gain):Q", detail="kind:N"
    )
    points = chart.mark_point(filled=True, size=85, opacity=1).encode(
        x=alt.X("mean(gain):Q", title="bits saved for each word, against the untouched base"),
        color=alt.Color("kind:N", title=None, scale=colours),
        shape=alt.Shape("kind:N", title=None, scale=shapes),
    )
    title = alt.TitleParams("What the trained part of a bot learns", anchor="start", fontSize=15)
    drawn = (
        alt.layer(spans, points)
        .properties(width=460, height=alt.Step(26), title=title, background="white", padding=10)
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_legend(orient="top", labelFontSize=12, columnPadding=28)
        .configure_axis(domain=False, gridColor="#e3e6ea", labelFontSize=12, titleFontSize=12)
    )
    return str(vl_convert.vegalite_to_svg(drawn.to_dict(), allowed_base_urls=[]))


def run(chosen: argparse.Namespace) -> None:
    """Measure what is missing, then write table and picture."""
    studies.check_document(chosen.markdown)
    sources = studies.sources_of(chosen)
    setting = {"study": "layers", "base": chosen.base, "posts": chosen.posts}
    setting |= {"held_out": chosen.held_out, "generated": chosen.generated}
    cells = studies.Cells(chosen.json, None if chosen.render else setting, _KEYS)
    if not chosen.render:
        measure_all(chosen, cells, sources)
    if not cells.cells:
        raise InputError("There is nothing to show: no cell is measured.")
    studies.write_table(chosen.markdown, table(cells.cells))
    if chosen.plot:
        files.write_text(chosen.plot, picture(cells.cells))


def measure_all(chosen: argparse.Namespace, cells: studies.Cells, sources: Sequence[Path]) -> None:
    """Measure the cells that are missing, one author after the other."""
    machine = devices.select_device(None, RECIPES["fast"].precision)
    choices = chosen.layers or choices_of(depth_of(language_model.load(chosen.base)))
    authors = [studies.read_author(source, chosen.held_out) for source in sources]
    for seed in range(chosen.seeds):
        for author in authors:
            one = partial(cell_of, chosen, author, machine)
            name = author.name
            base = partial(one, layers=None, rate=1.0, seed=seed)
            cells.need(base, author=name, seed=seed, layers="base", rate=0)
            for layers in choices:
                for rate in chosen.rates:
                    measured = partial(one, layers=layers, rate=rate, seed=seed)
                    cells.need(measured, author=name, seed=seed, layers=layers, rate=rate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is the program's."""
    options = studies.parser(__doc__)
    add = options.add_argument
    add("--posts", type=int, default=1000, help="training posts, the newest (%(default)s)")
    add("--layers", nargs="+", metavar="CHOICE", help="default: a third at each place, and parts")
    add("--rates", nargs="+", type=float, default=list(RATES), help="factors on the rate")
    add("--plot", type=Path, metavar="FILE.svg", help="draw what each choice gains")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.posts, chosen.rates = 1, studies.QUICK_POSTS, [1.0]
        chosen.held_out, chosen.generated = 20, 20
    return studies.exit_status(lambda: run(chosen))


if __name__ == "__main__":
    sys.exit(main())
