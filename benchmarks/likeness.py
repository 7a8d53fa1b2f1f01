"""The likeness of several authors' bots, one table.

    python benchmarks/likeness.py NASA.zip SenSanders.parquet ... [--holdout 0.1] [--recipe fast]

Each source is one bot, trained with the defaults from the embedded base; the anchors (the untouched
base, PPMd, markovify, real posts) come from the likeness report itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from huggingtweets import pipeline
from huggingtweets.evaluation import LikenessReport
from huggingtweets.evaluation.report import percent
from huggingtweets.training import RECIPES

COLUMNS = (
    "author",
    "posts",
    "bits/byte bot",
    "base",
    "PPMd",
    "copied",
    "markovify",
    "distinct-2",
    "real",
    "taken for author",
    "real",
    "others",
    "train s",
)


def main() -> None:
    """Train a bot of each source and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--holdout", type=float, default=0.1)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="fast")
    parser.add_argument("--json", type=Path, help="write the reports there as well")
    chosen = parser.parse_args()
    reports = []
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for source in chosen.sources:
            options = pipeline.TrainOptions(
                out=Path(folder), holdout=chosen.holdout, recipe=RECIPES[chosen.recipe]
            )
            run = pipeline.train([source], options)
            report = LikenessReport.from_json(json.loads(run.report_json.read_text("utf-8")))
            print(row(report, run.record().seconds["train"]), flush=True)
            reports.append(report.to_json())
    bits = [report["bits_per_byte"]["bot"] for report in reports]
    print(f"\nmedian bits per byte: {statistics.median(bits):.3f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(reports, indent=2) + "\n", "utf-8")


def row(report: LikenessReport, seconds: float) -> str:
    """One line of the table."""
    bits, taken = report.bits_per_byte, report.taken_for_author
    distinct = report.diversity.distinct_2
    cells = (
        " & ".join(report.authors),
        f"{report.sizes.train + report.sizes.held_out:,}",
        f"{bits.bot:.3f}",
        f"{bits.base:.3f}",
        "–" if bits.ppmd is None else f"{bits.ppmd:.3f}",
        percent(report.copied.bot),
        percent(report.copied.markovify),
        percent(distinct.bot),
        percent(distinct.held_out),
        percent(taken.bot if taken else None),
        percent(taken.held_out if taken else None),
        percent(taken.panel if taken else None),
        f"{seconds:.0f}",
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
