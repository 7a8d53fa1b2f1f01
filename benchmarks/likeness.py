r"""How similar bots are to their authors: the project's main quality benchmark.

    python benchmarks/likeness.py --json docs/lab/likeness.json --plot docs/likeness.svg \
        --markdown docs/benchmarks.md --samples docs/lab/samples.md

One bot is trained for each author (17 by default, a minute or two each) and measured beside its
anchors: the untouched base, a compressor, a Markov chain, real posts. With --json each finished
author is saved, and the same command continues an interrupted benchmark; table, plot and samples
are made from the file without training. ``--quick`` tests the whole command in a minute.

With several bases, each has its own table and files, whose names include the base's name.
``--beside FILE.json`` adds the tables and posts of a base measured before. ``--anchors`` trains
nothing: it measures the compressor anew for what --json and --beside hold, and writes the files.
``--render`` measures nothing: it only writes the files anew.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks.likeness_measure import (
    Plan,
    fingerprint,
    identity,
    make_and_measure,
    slug,
    with_new_anchors,
)
from benchmarks.likeness_results import DEMO, Result, Results, Setup, load_results, read_results

from benchmarks import likeness_pictures as pictures
from benchmarks import likeness_samples as texts
from benchmarks import likeness_tables as tables
from huggingtweets import pipeline
from huggingtweets.errors import BaseModelError, HuggingTweetsError, InputError, Interrupted
from huggingtweets.nn import devices, language_model
from huggingtweets.pipeline.preparing import DEFAULT_MINUTES
from huggingtweets.storage import files
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PEERS = ("gpt2", "HuggingFaceTB/SmolLM2-135M")
SAMPLE_AUTHORS = ("NASA", "SenSanders", "ChuckGrassley", "RepJeffries")
QUICK_POSTS = 400


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, then print and write; the exit status is the program's."""
    chosen = _options().parse_args(arguments)
    try:
        run(chosen)
    except KeyboardInterrupt:
        return _stopped("Stopped.", Interrupted.exit_code)
    except HuggingTweetsError as error:
        return _stopped(str(error), error.exit_code)
    return 0


def _stopped(why: str, status: int) -> int:
    print(why, file=sys.stderr)
    if status == Interrupted.exit_code:
        print("With --json FILE the same command goes on with this author.", file=sys.stderr)
    return status


def run(chosen: argparse.Namespace) -> None:
    """Everything that can be refused is refused before the first bot is trained."""
    if chosen.markdown:
        tables.check_markers(chosen.markdown)
    others = [read_results(file) for file in chosen.beside]
    if chosen.anchors or chosen.render:
        from_stored(chosen, others)
        return
    plan = planned(chosen)
    peers = PEERS if chosen.peers else ()
    asked = list(dict.fromkeys([*(chosen.base or [language_model.POCKET]), *peers]))
    bases = usable(asked, optional=peers)
    several = len(asked) > 1
    all_results = []
    for base in bases:
        file = chosen.json and own_file(chosen.json, base, several=several)
        setup = Setup(
            {"name": base, "sha256": fingerprint(base)},
            asdict(plan.recipe),
            plan.holdout,
            plan.posts,
            plan.minutes,
        )
        print(f"\nBase {base}\n\n{tables.head()}", flush=True)
        results = measured(plan, load_results(file, setup), file)
        print("\n".join(tables.medians(results.reports)), flush=True)
        all_results.append(results)
        if chosen.plot:
            plot = own_file(chosen.plot, base, several=several)
            files.write_text(plot, pictures.dots(results))
    print("\n" + tables.NOTES.replace("\\*", "*"))
    write_documents(chosen, [*all_results, *others])


def from_stored(chosen: argparse.Namespace, others: list[Results]) -> None:
    """Write the files from stored results; with --anchors, measure the compressor anew before.

    Raises:
        InputError: --json is missing, or the posts of a result are not what they were.
    """
    if chosen.json is None:
        raise InputError("--anchors and --render need --json FILE, the stored results.")
    own = read_results(chosen.json)
    if chosen.anchors:
        for file, results in zip([chosen.json, *chosen.beside], [own, *others], strict=True):
            results.reports = [
                with_new_anchors(found, results.setup, chosen.data) for found in results.reports
            ]
            files.write_json(file, results.to_json())
    if chosen.plot:
        files.write_text(chosen.plot, pictures.dots(own))
    write_documents(chosen, [own, *others])


def write_documents(chosen: argparse.Namespace, all_results: Sequence[Results]) -> None:
    """Write the tables, the posts and the card that were asked for."""
    if chosen.markdown:
        tables.put_markdown(chosen.markdown, all_results)
    if chosen.samples:
        shown = texts.samples(all_results, chosen.sample_authors)
        files.write_text(chosen.samples, shown)
    if chosen.card:
        texts.put_card(chosen.card, all_results, chosen.sample_authors)


def measured(
    plan: Plan,
    results: Results,
    file: Path | None,
    measure: Callable[[Plan, Path, Setup], Result] | None = None,
) -> Results:
    """Measure the sources that ``results`` lacks; each is in ``file`` before the next begins.

    Returns:
        The results of this plan's sources; ``file`` may hold those of others as well.
    """
    named = [identity(source) for source in plan.sources]
    for number, (source, name) in enumerate(zip(plan.sources, named, strict=True), 1):
        found = results.find(name)
        if found is None:
            print(f"{number} of {len(named)}: {source.name}", file=sys.stderr, flush=True)
            found = (measure or make_and_measure)(plan, source, results.setup)
            results.date = datetime.now(UTC).isoformat(timespec="seconds")
            results.machine = devices.select_device(None, plan.recipe.precision).as_dict()
            results.versions = devices.package_versions()
            results.reports.append(found)
            if file:
                files.write_json(file, results.to_json())
        print(tables.row(found), flush=True)
    return results.only(named)


def planned(chosen: argparse.Namespace) -> Plan:
    """The plan that the options describe.

    Raises:
        InputError: a source isn't there, or a number is out of range.
    """
    epochs = 1 if chosen.quick and chosen.epochs is None else chosen.epochs
    recipe = RECIPES[chosen.recipe].changed(epochs=epochs, learning_rate=chosen.learning_rate)
    pipeline.TrainOptions(holdout=chosen.holdout, minutes=chosen.minutes)  # refuses bad numbers
    sources = chosen.sources or default_sources(chosen.data, quick=chosen.quick)
    if missing := [str(source) for source in sources if not source.exists()]:
        raise InputError(f"There is no {', no '.join(missing)}; name sources or another --data.")
    posts = QUICK_POSTS if chosen.quick else None
    usual = DEFAULT_MINUTES if recipe.enough_steps else None
    minutes = chosen.minutes or usual
    return Plan(sources, recipe, chosen.holdout, posts, chosen.out, minutes)


def default_sources(data: Path, *, quick: bool = False) -> list[Path]:
    """NASA alone, or all authors: those of ``bench`` by name, then the two of ``demo``.

    Raises:
        InputError: the folder lacks ``bench``.
    """
    demo = [data / "demo" / f"{author}.parquet" for author in sorted(DEMO)]
    if quick:
        return demo[:1]
    bench = sorted((data / "bench").glob("*.parquet"))
    if not bench:
        raise InputError(f"There is no {data / 'bench'}/*.parquet; name sources or another --data.")
    return bench + demo


def usable(asked: Sequence[str], optional: Sequence[str]) -> list[str]:
    """The bases that can be loaded; a line tells which optional ones can't.

    Raises:
        BaseModelError: one that was asked for by name can't be.
    """
    found = []
    for base in asked:
        try:
            language_model.load(base)
        except BaseModelError as error:
            if base not in optional:
                raise
            print(f"Left out: {error}", flush=True)
        else:
            found.append(base)
    return found


def own_file(file: Path, base: str, *, several: bool) -> Path:
    """``likeness.json`` becomes ``likeness-gpt2.json`` where several bases have a file each."""
    return file.with_name(f"{file.stem}-{slug(base)}{file.suffix}") if several else file


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("sources", nargs="*", type=Path, help="one bot each; default: all authors under --data")
    add("--data", type=Path, default=DATA, help="folder with bench/ and demo/ (%(default)s)")
    add("--base", action="append", help="a built-in base, a folder or a Hub id; may be repeated")
    add("--peers", action="store_true", help=f"also {' and '.join(PEERS)}, where they can be had")
    add("--holdout", type=float, default=0.2, help="share of the newest posts (%(default)s)")
    add("--recipe", choices=sorted(RECIPES), default="fast")
    add("--epochs", type=int, help="instead of the recipe's")
    add("--learning-rate", type=float, help="instead of the recipe's")
    add("--minutes", type=float, help="each bot may take; train's default if not given")
    add("--out", type=Path, metavar="FOLDER", help="keep the runs there")
    add("--json", type=Path, metavar="FILE", help="keep results there and go on from them")
    add("--markdown", type=Path, metavar="FILE", help="put the tables between its markers")
    add("--plot", type=Path, metavar="FILE.svg", help="draw all authors")
    add("--samples", type=Path, metavar="FILE.md", help="write unpicked posts")
    add("--sample-authors", nargs="+", metavar="AUTHOR", default=list(SAMPLE_AUTHORS))
    add("--beside", type=Path, action="append", default=[], metavar="FILE.json")
    add("--card", type=Path, metavar="README.md", help="put the results into the base's card")
    add("--anchors", action="store_true", help="only measure the compressor of files anew")
    add("--render", action="store_true", help="only write the files from --json anew")
    add("--quick", action="store_true", help=f"NASA's first {QUICK_POSTS} posts, one epoch")
    return parser


if __name__ == "__main__":
    sys.exit(main())
