from __future__ import annotations

import ast
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.web.test_web_pages import HOSTILE

import huggingtweets
from huggingtweets.fleet.progress import AuthorProgress, FleetProgress
from huggingtweets.serving.schemas import (
    BotSummary,
    Dropped,
    Question,
    Quiz,
    SampleAt,
    SourcePreview,
    Status,
)
from huggingtweets.storage import files
from huggingtweets.storage.fleets import FleetFolder
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.web import components
from huggingtweets.web.loss_curve import loss_curve
from huggingtweets.web.pages.bot import card_html
from huggingtweets.web.pages.fleets import fleets_html
from huggingtweets.web.pages.gallery import gallery_html
from huggingtweets.web.pages.quiz import question_html
from huggingtweets.web.pages.train import progress_html
from huggingtweets.web.templating import duration, link_to, times_in_ten
from huggingtweets.web.wording import for_browser

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED_ATTRIBUTES = {
    "href", "class", "id", "aria-labelledby", "data-say", "style", "aria-hidden", "dir", "role",
    "data-live", "data-run", "data-go", "aria-label", "max", "value", "type", "hidden", "data-do",
    "data-text",
}  # fmt: skip


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_posts_is_escaped(text: str) -> None:
    pages = [
        components.message(text, error=True),
        components.source_preview(
            SourcePreview(
                (text,),
                {"kept": 1},
                {},
                (text,) * 10,
                (Dropped("short", 1, text),),
                text,
                9,
                {"not public": 3},
                (text,),
                text,
                {"phone numbers": 2},
                (),
                1.0,
            )
        ),
        progress_html(Status("me", "training", samples=(SampleAt(1, text, text),), message=text)),
        progress_html(Status("me", "failed", error=text)),
        question_html(Quiz("q", "me", (Question(1, text),), 0, 0)),
        question_html(Quiz("q", "me", (Question(1, text, True, False),), 1, 0), False, True),
    ]
    for page in pages:
        tags = Tags(page)
        assert tags.names.isdisjoint({"script", "img", "iframe", "style", "b", "object"})
        assert tags.attributes <= ALLOWED_ATTRIBUTES
        assert all(link.startswith("/") for link in tags.links)
        assert "\u202e" not in page
        assert "\x1b" not in page


def test_card_is_rendered_without_its_html_and_with_its_own_pictures_only() -> None:
    html = card_html(
        "---\ntags:\n- x\n---\n# Bot of <script>1</script>\n\n![x](https://evil.example/x.png)\n\n"
        "<img src=x onerror=1>\n\n[a](javascript:alert(1)) [b](https://huggingface.co/x)\n\n"
        "![A post](predictions.png) ![How](pipeline.svg)\n\n<div align=center>\ntop\n</div>\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "a&b",
    )
    tags = Tags(html)
    assert tags.names.isdisjoint({"script", "div", "h1", "h2"})
    assert tags.links == [
        "https://evil.example/x.png",  # a link, no picture
        "https://huggingface.co/x",
        "/picture/a%26b",
        "/ui/pipeline.svg",
    ]
    assert html.count("<img") == 2
    assert "onerror" not in html
    assert "&lt;" not in html  # no raw HTML is shown
    assert {"h3", "table"} <= tags.names
    assert "tags:" not in html


def _messages(folder: Path) -> Iterator[str]:
    """Texts in raise statements; a value in an f-string becomes ``x``."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Raise):
                for part in ast.walk(node):
                    if isinstance(part, ast.JoinedStr):
                        values = [
                            v.value if isinstance(v, ast.Constant) else "x" for v in part.values
                        ]
                        yield "".join(map(str, values))
                    elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value


@pytest.mark.parametrize("package", ["sources", "data", "nn", "generation", "storage", "serving"])
def test_no_words_of_the_command_line_reach_the_browser(package: str) -> None:
    root = Path(huggingtweets.__file__).parent
    shown = [for_browser(text) for text in _messages(root / package)]
    assert [text for text in shown if re.search(r"(^|\s|`)--[a-z]|\$HUGG|[A-Z]+_TOKEN", text)] == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a.csv has no text column (b, c); name the column with `--text-column NAME`.",
         "a.csv has no text column (b, c)."),
        ("@a asks not to be read; if it is your account, use --i-am-the-author.",
         "@a asks not to be read; if it is your account, tick “These accounts are mine” under "
         "“More”."),
        ("The file is damaged. Download it again.", "The file is damaged. Download it again."),
        ("Run `pip install huggingtweets[x]`.", "This can’t be done on this page."),
    ],
)  # fmt: skip
def test_messages_for_the_browser(said: str, shown: str) -> None:
    assert for_browser(said) == shown


def test_names_in_addresses_are_quoted() -> None:
    assert link_to("bot", name="a&b=/../?#\"'<") == "/bot?name=a%26b%3D%2F..%2F%3F%23%22%27%3C"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "unknown"), (0.2, "1 second"), (45, "45 seconds"), (180, "3 minutes"),
     (4800, "80 minutes"), (9000, "2 h 30 min")],
)  # fmt: skip
def test_durations_are_readable(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "never"), (0.01, "almost never"), (0.1, "1 time in 10"), (0.945, "9 times in 10"),
     (0.99, "almost every time"), (1.0, "every time")],
)  # fmt: skip
def test_shares_are_said_in_words(share: float, said: str) -> None:
    assert times_in_ten(share) == said


def test_loss_curve_has_points_and_a_description() -> None:
    html = loss_curve([(1, 5.0), (50, 3.0)], [(0, 2.3), (50, 1.8)], 100)
    assert html.count("<circle") == 2
    assert "from 5.00 to 3.00 nats per token by step 50" in html
    assert "2.300 at step 0, 1.800 at step 50" in html
    assert loss_curve([], [], 10) == ""
    assert "<circle" in loss_curve([], [(0, 2.0)], 0)  # a single point is drawn, too
    assert '<circle class="train"' in loss_curve([(9, 2.0)], [], 9)


def test_the_preview_says_what_was_masked() -> None:
    masked = {"phone numbers": 1_234, "passwords": 2}
    preview = SourcePreview(
        ("ann",), {"kept": 1}, {}, (), (), None, 9, {}, ("Ann",), None, masked, (), None
    )
    page = components.source_preview(preview)
    assert "Masked: 1,234 phone numbers, 2 passwords." in page
    assert "Masked" not in components.source_preview(replace(preview, masked={}))


@pytest.mark.parametrize("text", HOSTILE)
def test_fleets_show_states_and_escape_names(tmp_path: Path, text: str) -> None:
    fleet = FleetFolder(tmp_path / "many")
    fleet.save_settings({})
    authors = {
        "a": AuthorProgress(text, "a", "failed", reason=text),
        "b": AuthorProgress("@bob", "b", "done", posts=1200, seconds=75.0, bits_per_byte=1.5),
        "c": AuthorProgress("cat", "c", "running", posts=90),
    }
    run = RunFolder(fleet.authors / "c")
    run.path.mkdir(parents=True)
    run.append_event({"stage": "train", "done": 3, "total": 4})
    progress = FleetProgress(authors, stage="training", seconds_left=300.0)
    files.write_json(fleet.progress_file, asdict(progress))
    html = fleets_html(tmp_path / "runs")
    assert "3 authors: 1 done · 1 running · 1 failed · about 5 minutes left" in html
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", html.partition("@bob")[2])
    assert cells == [
        "done",
        '1,200<span class="unit"> posts</span>',
        '1.500<span class="unit"> bits per byte</span>',
        "75 seconds",
    ]
    assert "training 75 %" in html
    assert f"huggingtweets app --fleet {fleet.path}" in html
    offered = fleets_html(tmp_path / "runs", fleet.path)
    assert "app --fleet" not in offered
    assert 'href="/gallery"' in offered
    assert Tags(html).names <= {
        "code",
        "progress",
        "span",
        "section",
        "h2",
        "p",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert "There is no fleet here yet" in fleets_html(None)


def summary(name: str, *, mine: bool = False) -> BotSummary:
    return BotSummary(
        name=name,
        title="AI bot of Ann",
        authors=("Ann",),
        names=("Ann",),
        made_at="2026-11-29T12:00:00+00:00",
        base="pocket",
        state="done",
        playable=True,
        bits_per_byte=1.5,
        copied_share=0.0,
        taken_for_author=0.9,
        has_picture=False,
        has_dark_picture=False,
        mine=mine,
        out_of_date=None,
    )


def test_two_bots_of_one_name_are_told_apart() -> None:
    bots = [summary("ann", mine=True), summary("ann~fleet"), summary("bob~fleet")]
    html = components.bot_picker(bots, "ann", lambda name: f"/play?bot={name}")
    chips = [re.sub(r'<span class="face.*?</span>', "", chip) for chip in html.split("<li>")[1:]]
    shown = [re.findall(r'<span class="([a-z-]+)"> shared</span>', chip) for chip in chips]
    assert shown == [[], ["tag"], ["visually-hidden"]]


def test_a_gallery_of_many_bots_has_pages() -> None:
    many = [summary(f"bot-{number:03}") for number in range(130)]

    def shown(wanted: str) -> tuple[list[str], list[str]]:
        html = gallery_html(many, (), wanted)
        assert "130 bots" in html
        return re.findall(r"bot\?name=(bot-\d+)", html), re.findall(r"gallery\?page=(\d+)", html)

    names = [bot.name for bot in many]
    assert shown("") == (names[:60], ["2"])
    assert shown("2") == (names[60:120], ["1", "3"])
    assert shown("3") == (names[120:], ["2"])
    for odd in ("0", "-1", "x", "²", "9" * 5000):
        assert shown(odd)[0] == names[:60]
    assert shown("99")[0] == names[120:]
    assert "Pages" not in gallery_html(many[:60], ())


def test_gradio_has_the_intervals_that_the_server_makes_longer() -> None:
    """An idle app took 6.5 % of a core; a renamed attribute would bring that back unnoticed."""
    gradio = distribution("gradio").locate_file("gradio/queueing.py")
    waits = re.findall(r"asyncio\.sleep\(self\.(\w+)\)", Path(str(gradio)).read_text("utf-8"))
    assert {"sleep_when_free", "progress_update_sleep_when_free"} <= set(waits)
