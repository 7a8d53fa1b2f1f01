from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from huggingtweets.evaluation.authorship import Authorship
from huggingtweets.evaluation.diversity import Diversity
from huggingtweets.evaluation.page import render
from huggingtweets.evaluation.report import (
    BitsPerByte,
    BotAndBase,
    Copied,
    DiversityPair,
    HumanJudgements,
    LikenessReport,
    LongestCopiedRun,
    LossPoint,
    Sizes,
)

HOSTILE = [
    "<script>alert(1)</script>",
    "]]> </svg> </li> <!-- ",
    "\"' onload=alert(2) <img src=x onerror=alert(3)>",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt;",
    "\u202eright to left\x00 \ud83d\ude80",
]


def report(text: str = "text", author: str = "NASA") -> LikenessReport:
    return LikenessReport(
        authors=(author, "WhiteHouse"),
        sizes=Sizes(2_170, 241, 22_431, 200),
        bits_per_byte=BitsPerByte(
            1.736, 2.325, 1.929, {author: BotAndBase(1.7, 2.3), "WhiteHouse": BotAndBase(1.8, 2.4)}
        ),
        copied=Copied(0.035, 0.395),
        longest_copied_run=LongestCopiedRun(13, 21, text, text),
        diversity=DiversityPair.of(Diversity(0.83, 0.01), Diversity(0.85, 0.0)),
        taken_for_author=Authorship(0.945, 0.9876, 0.0733),
        seed=42,
        settings={"temperature": 1.0, "note": text},
        loss=(LossPoint(0, 0, None, 2.325), LossPoint(1, 120, 3.1, 1.736)),
    )


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_numbers_plots_and_twenty_posts() -> None:
    page = render(
        report(),
        [f"post number {i}" for i in range(200)],
        ["a real post"],
        "NASA bot",
        ["@NASA", "@WhiteHouse"],
    )
    tags = Tags(page)
    assert tags.tags.count("svg") == 5
    assert tags.tags.count("li") == 20
    for text in ("AI bot", "1.736", "1.929", "39.5%", "@NASA, @WhiteHouse", "post number 19"):
        assert text in tags.text
    assert "NaN" not in page


def test_the_page_is_self_contained() -> None:
    page = render(report(), ["post"], ["real"], "NASA bot")
    tags = Tags(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(tags.tags)
    assert not {"src", "href", "onload", "xlink:href"} & tags.attributes
    assert "url(" not in page
    # The only addresses are XML namespaces, which are not fetched.
    assert set(re.findall(r"https?://[^\"\s]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_texts_is_escaped(text: str) -> None:
    plain = Tags(render(report(), ["post"], ["real"], "bot"))
    tags = Tags(render(report(text, author=text), [text], [text], text))
    assert tags.tags == plain.tags
    assert tags.attributes == plain.attributes
    assert text in tags.text


def test_missing_measurements_are_omitted() -> None:
    bare = replace(
        report(),
        bits_per_byte=BitsPerByte(1.7, 2.3, None),
        copied=Copied(0.0, None),
        longest_copied_run=LongestCopiedRun(0, None, "", ""),
        taken_for_author=None,
        loss=(),
    )
    tags = Tags(render(bare, [], [], "bot"))
    assert tags.tags.count("svg") == 3
    assert "The longest copied run" not in tags.text


def test_quiz_results_are_shown_if_there_are_any() -> None:
    judged = replace(
        report(), human=HumanJudgements(quizzes=1, bot=4, bot_taken=1, real=4, real_taken=4)
    )
    tags = Tags(render(judged, [], [], "bot"))
    assert "Do people take it for the author?" in tags.text
    assert "25 %" in tags.text
    assert "From 1 quiz of" in tags.text
    assert "Do people" not in Tags(render(report(), [], [], "bot")).text


def test_length_bins_are_contiguous() -> None:
    from huggingtweets.plots.charts import _bins

    bins = _bins("real", ["x" * n for n in (0, 19, 20, 299, 300, 5_000)])
    assert [row["share"] * 6 for row in bins if row["share"]] == pytest.approx([2, 1, 1, 2])
    assert all(left["end"] == right["start"] for left, right in pairwise(bins))
