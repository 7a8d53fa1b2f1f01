from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt
from tests.helpers.runs import done_record, finished_run, likeness, posts
from tests.servers.hub import HubServer
from tests.servers.hub_cards import metadata

from huggingtweets.errors import BotError
from huggingtweets.evaluation.report import BotAndBase, Sizes
from huggingtweets.publish import Facts, render_card, write_card
from huggingtweets.publish.card import pipeline_drawing
from huggingtweets.publish.escaping import escape_markdown, one_line
from huggingtweets.publish.facts import iso_code, languages
from huggingtweets.publish.publication import Publication

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingface_hub import ModelCard

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "](javascript:alert(1)) [click](javascript:alert(2))",
    "![x](https://evil.example/x.png)",
    "a\n---\ntags: [evil]\n---\n",
    "\n---\n# A heading\n- a list\n> a quote\n```\ncode",
    "{{ 7 * 7 }} {% raw %} {# no #}",
    "*bold* _it_ ~~gone~~ `code` | cell | \\| \\",
    "&anchor *alias !!python/object:os.system {a: [b",
    "'\" \"quoted\": 'x' # comment",
    "\u202eright to left\u202c \u2066x\u2069",
    "nul\x00 bell\x07 esc\x1b[31m nel\x85 line\u2028end",
    "https://evil.example www.evil.example ann@mastodon.social",
    "$$x$$ \\(y\\) :smile: <!-- c --> &lt;b&gt; &#60;b&#62;",
    "</div></bdi><h1>out</h1>",
    "مرحبا 日本語 👩‍👩‍👧",
    "@",
    "\u200f",
]
PUBLISHED = Publication("me/nasa", "https://huggingface.co/me/nasa")


def facts(*authors: str, **config: object) -> Facts:
    chosen = authors or ("NASA",)
    return Facts(done_record(*chosen, **config), likeness(chosen[0]), languages=("en",))


def parsed(markdown: str) -> ModelCard:
    from huggingface_hub import ModelCard

    return ModelCard(markdown)


class Page(HTMLParser):
    """A card as a browser would parse it."""

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.text = ""
        body = parsed(markdown).text
        renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        self.feed(renderer.render(body))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attr for attr in attrs if attr[0] != "style")

    def handle_data(self, data: str) -> None:
        self.text += data


def links(page: Page) -> set[str | None]:
    return {value for name, value in page.attributes if name in ("src", "href")}


def test_metadata() -> None:
    assert metadata(render_card(facts("NASA", base="gpt2"))) == {
        "language": "en",
        "tags": ["huggingtweets"],
        "widget": [
            {"text": "My dream is"},
            {"text": "I like"},
            {"text": "I don't like"},
            {"text": "My favorite place is"},
        ],
        "pipeline_tag": "text-generation",
        "library_name": "transformers",
        "base_model": "gpt2",
        "license": "other",
        "license_name": "author-and-base",
        "model-index": [
            {
                "name": "nasa",
                "results": [
                    {
                        "task": {"type": "text-generation", "name": "Text Generation"},
                        "dataset": {"name": "held-out posts of @NASA", "type": "custom"},
                        "metrics": [
                            {
                                "type": "bits_per_byte",
                                "name": "held-out bits per byte",
                                "value": 1.7365,
                            }
                        ],
                    }
                ],
            }
        ],
    }


def test_languages_in_metadata() -> None:
    assert metadata(render_card(replace(facts(), languages=("en", "ja"))))["language"] == [
        *("en", "ja")
    ]
    assert "language" not in metadata(render_card(replace(facts(), languages=())))


@pytest.mark.parametrize(
    ("base", "on_the_hub", "told"),
    [
        ("pocket", None, "`pocket`, the base model that comes with huggingtweets"),
        (
            *("smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct"),
            "licensed under Apache-2.0, and am a modified copy of it, fine-tuned on the posts of",
        ),
        ("gpt2", "gpt2", "[gpt2](https://huggingface.co/gpt2)"),
        ("a-b/c_d.e", "a-b/c_d.e", r"[a\-b/c\_d.e](https://huggingface.co/a-b/c_d.e)"),
        ("/home/ann/my secret/base", None, "the base model base, which is not on"),
        ("C:\\Users\\ann\\tiny", None, "the base model tiny, which is not on"),
    ],
)
def test_base_is_linked_only_if_it_is_on_the_hub(
    base: str, on_the_hub: str | None, told: str
) -> None:
    card = render_card(facts("NASA", base=base))
    assert metadata(card).get("base_model") == on_the_hub
    assert told in card
    assert "ann" not in card


def test_body_has_all_figures_of_the_run() -> None:
    page = Page(render_card(facts()))
    assert page.text.count("🤖") == 4
    for words in (
        "🤖 AI BOT 🤖",
        "AI bot of @NASA",
        "241 were held out and 2,170 were used for training",
        "fine-tuned on the posts of @NASA",
        "Linux x86_64",
        "train took 436.0 s",
        "3.5 % of the unfiltered posts",
        "13 words",
        "15 words in a row, or 70 % of its own",
        "seed 42, temperature 0.7, top p 0.9",
    ):
        assert words in page.text, words
    card = render_card(facts())
    for row in (
        "| @NASA | 3,200 | 770 | 3 | 25 | 2,402 |",
        "| steps | 1,234 |",
        "| learning rate | 0.001 |",
        "| epochs run | 2 |",
        "| bits per byte | 1.736 | base 2.325 · compressor 1.929 | lower is better |",
    ):
        assert row in card
    assert "9.0 s" not in card  # duration of the evaluation, which varies
    assert "SECRET" not in card


def test_chats_and_what_was_left_out_are_shown() -> None:
    assert "private chats" not in render_card(facts())
    assert "Left out" not in render_card(facts())
    record = replace(facts().record, chats=["whatsapp"], left_out={"of other people": 1312})
    card = render_card(replace(facts(), record=record))
    assert "messages that the author wrote in private chats (whatsapp)" in card
    assert "other people's messages were not learnt, and the names" in card
    assert "Left out of the sources: 1,312 of other people." in card
    kept = replace(record, config=record.config | {"keep_names": True})
    assert "masked." not in render_card(replace(facts(), record=kept))


def test_interpolated_weights_are_shown() -> None:
    record = done_record("NASA")
    between = replace(facts(), record=replace(record, result={**record.result, "way": 0.55}))
    assert "| weights | 55 % of the way from the base to the last step |" in render_card(between)
    assert "| weights |" not in render_card(facts())


def test_no_figure_is_hard_coded() -> None:
    other = replace(
        facts(),
        record=replace(done_record("NASA"), result={"steps": 5, "tokens": 6, "history": []}),
        report=replace(likeness("NASA"), sizes=Sizes(7, 8, 9, 10)),
    )
    card = render_card(other)
    for number in ("1,234", "69,468", "2,170", "241 "):
        assert number not in card


def test_several_authors_show_three_avatars_and_all_figures() -> None:
    authors = ("ann", "bob", "cy", "dee")
    bits = dict.fromkeys(authors, BotAndBase(1.5, 2.5))
    several = likeness("ann")
    several = replace(several, bits_per_byte=replace(several.bits_per_byte, by_author=bits))
    card = render_card(replace(facts(*authors), report=several))
    assert "🤖 AI CYBORG 🤖" in card
    assert card.count("border-radius: 50%") == 3
    assert "@ann &amp; @bob &amp; @cy &amp; @dee" in card
    assert card.count("| 1.500 | 2.500 |") == 4
    assert "those of an AI cyborg" in card


def test_a_name_that_is_no_handle_has_no_at_sign() -> None:
    known, unknown = done_record("posts"), done_record("posts")
    known.handles, unknown.handles = ["posts"], []
    assert "@posts" in render_card(Facts(known, likeness("posts")))
    card = render_card(Facts(unknown, likeness("posts")))
    assert "@" not in card
    assert "AI bot of posts" in card
    # runs of earlier versions don't say; an author called like a table is taken for its name
    assert done_record("posts", sources=["posts.csv"]).names == ["posts"]
    assert done_record("NASA", sources=["NASA.zip"]).names == ["@NASA"]


def test_thumbnail_is_absolute_once_published() -> None:
    drawn = replace(facts(), picture=True)
    assert metadata(render_card(drawn))["thumbnail"] == "predictions.png"
    assert "](predictions.png)" in render_card(drawn)
    assert "predictions.png" not in render_card(facts())
    published = render_card(replace(drawn, publication=PUBLISHED))
    where = "https://huggingface.co/me/nasa/resolve/main/predictions.png"
    assert metadata(published)["thumbnail"] == where
    assert 'model="me/nasa")' in published


def test_forced_publication_shows_the_reason() -> None:
    assert "publisher's reason" not in render_card(replace(facts(), publication=PUBLISHED))
    reason = "slogans | of <b>the</b> author"
    forced = replace(facts(), publication=replace(PUBLISHED, reason=reason))
    assert reason in Page(render_card(forced)).text


def test_deleted_posts_and_links_are_shown() -> None:
    base = facts()
    card = render_card(replace(base, record=replace(base.record, forgotten=2)))
    assert "Out of date: 2 more posts used for training" in card
    assert "## Runs" not in card
    tracked = render_card(replace(base, links=("https://wandb.ai/me/x/runs/1",)))
    assert "https://wandb.ai/me/x/runs/1" in links(Page(tracked))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_stays_text(name: str) -> None:
    plain, hostile = facts("NASA"), facts(name)
    published = replace(hostile, publication=replace(PUBLISHED, reason=name), picture=True)
    for mine, theirs in ((plain, hostile), (replace(plain, picture=True), published)):
        card, expected = render_card(theirs), Page(render_card(mine))
        page = Page(card)
        assert page.tags == expected.tags
        assert page.attributes == expected.attributes
        assert " ".join(f"@{one_line(name)}".split()) in " ".join(page.text.split())
        data = metadata(card)
        assert data["tags"] == ["huggingtweets"]
        dataset = data["model-index"][0]["results"][0]["dataset"]["name"]
        assert dataset == f"held-out posts of @{one_line(name)}"
        assert data.keys() - {"thumbnail"} == metadata(render_card(plain)).keys()
        assert not any(mark in card for mark in "\u202e\u2066\x00\x07\x1b\x85\u2028")
        headings = re.findall(r"^#+ .*$", parsed(card).text, re.MULTILINE)
        assert len(headings) == len(re.findall(r"^#+ .*$", render_card(mine), re.MULTILINE))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("my_name", r"my\_name"),
        ("a\n b", "a b"),
        ("ann@mastodon.social", "ann<!-- -->@mastodon.social"),
        ("https://x.org", "https&#58;<!-- -->//x.org"),
        ("www.x.org", "www<!-- -->.x.org"),
        ("a\\b", "a&#92;b"),
    ],
)
def test_markdown_is_escaped(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


def test_diagram_is_a_static_svg() -> None:
    root = ET.fromstring(pipeline_drawing())  # noqa: S314 - our own
    assert root.tag.endswith("svg")
    assert {part.tag.rpartition("}")[2] for part in root.iter()} == {
        *("svg", "style", "defs", "marker", "path", "g", "rect", "text")
    }
    assert "http" not in pipeline_drawing().replace("http://www.w3.org/2000/svg", "")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as server:
        server.use(monkeypatch, tmp_path)
        yield server


@pytest.mark.parametrize("name", HOSTILE)
def test_hub_accepts_the_card(hub: HubServer, name: str) -> None:
    for some in (facts(name), replace(facts(name), picture=True, publication=PUBLISHED)):
        parsed(render_card(some)).validate()
    assert hub.asked_for("POST /api/validate-yaml")
    bad = render_card(facts()).replace("license: other", "license: [1]")
    with pytest.raises(ValueError, match="license"):
        parsed(bad).validate()


# -- from the files of a run ---------------------------------------------------------------------


def test_card_is_written_from_the_run(tmp_path: Path, tiny_base: Path) -> None:
    run = finished_run(tmp_path / "nasa", tiny_base)
    run.track_file.parent.mkdir()
    run.track_file.write_text(json.dumps({"message": "W&B: https://wandb.ai/me/x"}))
    write_card(run)
    card = (run.bot / "README.md").read_text("utf-8")
    assert metadata(card)["language"] == "de"
    assert "<https://wandb.ai/me/x>" in card
    assert (run.bot / "pipeline.svg").read_text("utf-8") == pipeline_drawing()
    before = (run.bot / "README.md").read_bytes()
    write_card(run)
    assert (run.bot / "README.md").read_bytes() == before
    replace(PUBLISHED, reason="why").save(run)
    write_card(run)
    assert "publish the bot anyway: why" in (run.bot / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "content",
    [
        *('{"url": "javascript:alert(1)"}', '{"url": "https://x.org/) <script>"}'),
        *('{"message": "look at https://x.org and more"}', "[1]", "{", '{"url": ["https://x"]}'),
    ],
)
def test_invalid_addresses_are_not_linked(tmp_path: Path, tiny_base: Path, content: str) -> None:
    run = finished_run(tmp_path / "nasa", tiny_base)
    run.track_file.parent.mkdir()
    run.track_file.write_text(content)
    assert Facts.of(run).links == ()


@pytest.mark.parametrize("damaged", ["report/likeness.json", "published.json"])
def test_damaged_file_is_named(tmp_path: Path, tiny_base: Path, damaged: str) -> None:
    run = finished_run(tmp_path / "nasa", tiny_base)
    (run.path / damaged).write_text("{")
    with pytest.raises(BotError, match=damaged):
        write_card(run)


# -- languages -----------------------------------------------------------------------------------


def test_language_tags_of_most_posts_are_used() -> None:
    text = "The rocket stands on the launch pad and waits for good weather."
    told = [("ann", text, "fr-CA"), ("ann", text, "fr"), ("ann", text, None)]
    assert languages(posts(*told), ["ann"]) == ("fr",)
    few = [("ann", text, "fr"), ("ann", text, "und"), ("ann", text, None)]
    assert languages(posts(*few), ["ann"]) == ("en",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Heute starten wir zur Raumstation, und ihr könnt alle zusehen.", "de"),
        ("Ce soir nous partons vers la station, regardez avec nous.", "fr"),
        ("今夜、宇宙ステーションに向けて出発します。みんな見てね。", "ja"),
        ("Сегодня мы летим на космическую станцию, смотрите с нами.", "ru"),
    ],
)
def test_language_is_detected_from_all_posts(text: str, code: str) -> None:
    assert languages(posts(*[("ann", text, None)] * 3), ["ann"]) == (code,)


def test_languages_have_no_duplicates() -> None:
    text = "The rocket stands on the launch pad and waits for good weather."
    both = posts(("ann", text, None), ("bob", "x", "ja"), ("cy", "y", "en"))
    assert languages(both, ["bob", "ann", "cy", "nobody"]) == ("ja", "en")


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        *[("EN", "en"), ("pt-BR", "pt"), ("iw", "he"), ("in", "id"), ("zh_TW", "zh")],
        *[("und", None), ("qme", None), ("english", None), ("", None)],
    ],
)
def test_iso_code(tag: str, code: str | None) -> None:
    assert iso_code(tag) == code


def test_the_card_says_what_was_masked_and_what_was_kept() -> None:
    assert "Private data in them was kept." in render_card(facts())  # an older run
    curation = {"mask": "personal"}
    config = facts().record.config
    record = replace(
        facts().record, masked={"passwords": 2}, config=config | {"curation": curation}
    )
    card = render_card(replace(facts(), record=record))
    assert "street addresses was masked first (2 passwords)." in card
    record = replace(record, masked={}, config=config | {"curation": {"mask": "secrets"}})
    card = render_card(replace(facts(), record=record))
    assert "IBANs was masked first (none was found). Personal data" in card
    assert "was kept" in card
