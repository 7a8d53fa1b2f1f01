"""Exploring authors: topics, vectors, style, distances, the result and its page."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.helpers.posts import made_up_posts, write_csv

from huggingtweets.data.posts import Post, posts_table
from huggingtweets.errors import BaseModelError, InputError, InsufficientTextError, OptedOutError
from huggingtweets.exploration import authors, charts, page, posts, style, topics, vectors
from huggingtweets.exploration.explore import explore
from huggingtweets.exploration.words import WordCounts, words_of
from huggingtweets.nn import language_model
from huggingtweets.privacy import opt_out

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.exploration.result import Exploration

SUBJECTS = {
    "bread": ["oven", "flour", "yeast", "crust", "dough", "loaf", "baker", "knead"],
    "boats": ["harbour", "sail", "anchor", "rudder", "tide", "deck", "captain", "knots"],
    "chess": ["rook", "bishop", "pawn", "gambit", "checkmate", "opening", "castling", "endgame"],
}


def about(subject: str, number: int, seed: int = 0) -> list[str]:
    """Posts of eight words, five of them about a subject."""
    rng = random.Random(f"{subject}{seed}")
    fillers = ["morning", "really", "yesterday", "people", "thinking", "small", "friends", "year"]
    return [
        " ".join([*rng.sample(SUBJECTS[subject], 5), *rng.sample(fillers, 3), str(number)])
        for number in range(number)
    ]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Exploration:
    """Two authors with three subjects, explored by words."""
    folder = tmp_path_factory.mktemp("authors")
    first = write_csv(folder / "ann.csv", "ann", about("bread", 60) + about("boats", 60))
    second = write_csv(folder / "ben.csv", "ben", about("chess", 80) + about("boats", 40, seed=1))
    return explore([first, second], base="words", number=3)


# -- topics ----------------------------------------------------------------------------------------


def test_topics_are_the_subjects_and_are_named_after_their_words(found: Exploration) -> None:
    sizes = [topic.size for topic in found.topics]
    assert sizes == sorted(sizes, reverse=True)
    subjects = set()
    for topic in found.topics:
        (subject,) = {
            name for name, words in SUBJECTS.items() if set(words) >= set(topic.name.split(" · "))
        }
        subjects.add(subject)
        assert all(any(w in text for w in SUBJECTS[subject]) for _, text in found.examples(topic))
    assert subjects == set(SUBJECTS)


def test_the_number_of_topics_has_the_highest_silhouette() -> None:
    texts = [text for subject in SUBJECTS for text in about(subject, 80)]
    counts = WordCounts(texts)
    placed = vectors.vectors_of(texts, counts, None)
    chosen = topics.find_topics(placed.matrix, counts, placed.rows)
    assert chosen.silhouette[3] == max(chosen.silhouette.values())
    assert len(chosen.words) == 3
    assert set(chosen.silhouette) == {2, 3, 4, 6, 8}  # 25 posts a topic at least


def test_posts_beyond_the_sample_get_their_topic_by_their_words() -> None:
    import numpy as np

    texts = [text for subject in SUBJECTS for text in about(subject, 60)]
    counts = WordCounts(texts)
    placed = vectors.vectors_of(texts, counts, None)
    rows = np.arange(0, len(texts), 3)
    chosen = topics.find_topics(placed.matrix[rows], counts, rows, 3)
    by_subject = [set(chosen.labels[at : at + 60].tolist()) for at in (0, 60, 120)]
    assert [len(labels) for labels in by_subject] == [1, 1, 1]
    assert len(set.union(*by_subject)) == 3


def test_words_leave_out_mentions_numbers_and_masked_data() -> None:
    text = "RT @ann: the <email> and #BreadClub don't open 2024, 東京都のタワーへ isn't café-bar's"
    assert list(words_of(text)) == [*("#breadclub", "open", "東京", "京都", "タワー", "café-bar")]


def test_posts_without_words_are_one_topic() -> None:
    texts = ["the and of"] * 30
    counts = WordCounts(texts)
    placed = vectors.vectors_of(texts, counts, None)
    chosen = topics.find_topics(placed.matrix, counts, placed.rows)
    assert chosen.names == ["other"]
    assert len(vectors.on_a_map(placed).rows) == 30


# -- the base --------------------------------------------------------------------------------------


def test_hidden_states_are_those_of_the_first_layer(tiny_base: Path) -> None:
    import numpy as np
    import torch

    base = language_model.load(tiny_base)
    texts = ["a lantern by the harbour", "two kites", "a lantern by the harbour and a cat"]
    states = vectors.hidden_states(base, texts)
    for text, state in zip(texts, states, strict=True):
        ids = torch.tensor([[base.separator, *base.encode(text)]])
        with torch.inference_mode():
            hidden = base.model(input_ids=ids, output_hidden_states=True).hidden_states[1]
        assert np.allclose(hidden[0, 1:].mean(0).numpy(), state, atol=1e-5)


def test_the_base_reads_a_sample_of_many_posts(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "MOST_READ", 50)
    monkeypatch.setattr(vectors, "MOST_ON_MAP", 40)
    source = write_csv(tmp_path / "ann.csv", "ann", about("bread", 60) + about("boats", 60))
    outcome = explore([source], base=str(tiny_base))
    assert (outcome.method.read, outcome.method.posts) == (50, 120)
    assert len(outcome.labels) == 120
    assert len(outcome.places.rows) == 40
    assert any("random sample of 50 of 120 posts" in note for note in outcome.notes)
    assert any("map shows a random sample of 40 of 120" in note for note in outcome.notes)


def test_the_same_seed_gives_the_same_result(tiny_base: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "ann.csv", "ann", made_up_posts(60))
    first, second = (explore([source], base=str(tiny_base)).to_json() for _ in range(2))
    assert first == second


# -- style -----------------------------------------------------------------------------------------


def features(*texts: str) -> dict[str, float | None]:
    return style.features_by_author(pl.DataFrame({"author": "a", "text": texts}))["a"]


def test_features_count_what_they_say() -> None:
    measured = features("Look at THIS now! 🚀 #moon", "Is @ann here? Yes. No.")
    assert measured["characters"] == (25 + 22) / 2
    assert measured["words"] == (4 + 4) / 2
    assert measured["emoji"] == measured["exclamations"] == measured["questions"] == 0.5
    assert measured["hashtags"] == measured["mentions"] == 0.5
    assert measured["capitals"] == 1 / 8
    assert measured["punctuation"] == pytest.approx(100 * 4 / 47)
    assert measured["readability"] == 8 / 4  # a sentence, and three; no long word


def test_readability_is_words_a_sentence_and_the_share_of_long_ones() -> None:
    measured = features("Remarkable contraptions fly. Cats do not.")
    assert measured["readability"] == pytest.approx(6 / 2 + 100 * 2 / 6)
    assert features("今日は東京タワーに行きました。")["readability"] is None


def test_the_panel_excludes_those_who_are_explored() -> None:
    assert style.panel([]).authors == 15
    assert style.panel(["@SENSANDERS"]).authors == 14
    low, mean, high = style.panel([]).features["characters"]
    assert low < mean < high


def test_hours_are_shares_of_the_dated_posts() -> None:
    start = datetime(2024, 1, 1, 7, 30, tzinfo=UTC)
    times = [start, start + timedelta(hours=1), start + timedelta(days=1), None]
    table = posts_table(Post("a", str(i), "text", at) for i, at in enumerate(times))
    shares = style.hours(table)
    assert shares is not None
    assert (shares[7], shares[8]) == (2 / 3, 1 / 3)
    assert sum(shares) == pytest.approx(1)
    days = posts_table(
        Post("a", str(day), "text", datetime(2024, 1, day, tzinfo=UTC)) for day in (1, 2, 3)
    )
    assert style.hours(days) is None  # an export that gives only days


# -- authors ---------------------------------------------------------------------------------------


def test_authors_of_one_style_are_near_whatever_their_subject() -> None:
    import numpy as np

    def formal(subject: str) -> list[str]:
        return [f"The {a}, and the {b}, which is of note." for a, b in _pairs(subject)]

    def loud(subject: str) -> list[str]:
        return [f"omg my {a} so {b}!!! can't even!!!" for a, b in _pairs(subject)]

    texts = {
        "formal bread": formal("bread"),
        "formal chess": formal("chess"),
        "loud bread": loud("bread"),
        "loud boats": loud("boats"),
    }
    measured = authors.distances(texts, {})
    assert measured.nearest("formal bread")[0] == "formal chess"
    assert measured.nearest("loud bread")[0] == "loud boats"
    assert measured.own("loud bread") < measured.nearest("loud bread")[1]
    matrix = np.array(measured.matrix)
    assert np.allclose(matrix, matrix.T)


def _pairs(subject: str) -> list[tuple[str, str]]:
    rng = random.Random(subject)
    return [tuple(rng.sample(SUBJECTS[subject], 2)) for _ in range(60)]  # type: ignore[misc]


def test_two_authors_are_not_opposites_by_construction(found: Exploration) -> None:
    assert found.distances is not None
    _, distance = found.distances.nearest("ann")
    assert 0 <= distance < 1.2
    assert len(found.distances.panel) == 15
    note = "Distances of authors with under 200 posts are largely chance (2 of 2 here)."
    assert note in found.notes


# -- input -----------------------------------------------------------------------------------------


def test_private_data_is_masked_before_anything_is_measured(tmp_path: Path) -> None:
    texts = [f"{text} ann{at}@example.org" for at, text in enumerate(about("bread", 40))]
    outcome = explore([write_csv(tmp_path / "ann.csv", "ann", texts)], base="words")
    assert outcome.masked == {"e-mail addresses": 40}
    html = page.render(outcome)
    assert "private data masked: 40 e-mail addresses." in html
    assert "example.org" not in json.dumps(outcome.to_json()) + html


def test_authors_with_few_posts_are_left_out_and_named(tmp_path: Path) -> None:
    many = write_csv(tmp_path / "ann.csv", "ann", about("bread", 40))
    few = write_csv(tmp_path / "ben.csv", "ben", about("boats", 5))
    none = write_csv(tmp_path / "cat.csv", "cat", ["ok"])
    outcome = explore([many, few, none], base="words")
    assert list(outcome.names) == ["ann"]
    assert outcome.notes == (
        "Left out with under 20 posts after curation: ben (5), cat (0).",
        "The map of authors and who writes like whom need two authors with 20 posts or more; here "
        "is one, @ann.",
    )
    assert outcome.distances is None
    assert outcome.to_json()["authors"][0]["nearest"] is None


def test_ten_posts_are_refused(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "ann.csv", "ann", about("bread", 10))
    with pytest.raises(InsufficientTextError, match=r"at least 20 posts .* ann has 10"):
        explore([source], base="words")


def test_who_opted_out_is_not_explored(tmp_path: Path, config: Path) -> None:
    source = write_csv(tmp_path / "ann.csv", "ann", about("bread", 40))
    opt_out.add(["@ann"])
    assert config.is_dir()
    with pytest.raises(OptedOutError):
        explore([source], base="words")


def test_an_unknown_base_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no model folder"):
        explore([tmp_path / "missing.csv"], base="./nowhere")


@pytest.mark.parametrize(("number", "seed"), [(0, 0), (51, 0), (None, -1)])
def test_numbers_out_of_range_are_refused(number: int | None, seed: int) -> None:
    with pytest.raises(InputError, match="must be from"):
        explore([], number=number, seed=seed)


def test_most_authors_keeps_those_with_the_most_posts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posts, "MOST_AUTHORS", 1)
    first = write_csv(tmp_path / "ann.csv", "ann", about("bread", 30))
    second = write_csv(tmp_path / "ben.csv", "ben", about("boats", 40))
    outcome = explore([first, second], base="words")
    assert list(outcome.names) == ["ben"]
    assert "Left out with fewer posts than the 1 shown: 1 author." in outcome.notes


def test_authors_of_another_language_are_not_said_to_write_like_anybody(tmp_path: Path) -> None:
    """They share only marks with others, by which they would be near to each other."""
    arabic = ("اليوم كان الجو جميلا", "ذهبت إلى السوق واشتريت الخضار", "أحب قراءة الكتب في المساء")
    sources = [
        write_csv(tmp_path / f"{who}.csv", who, about(who, 30)) for who in ("bread", "boats")
    ]
    posts = [f"{arabic[at % 3]} {arabic[at // 3 % 3]} #يوم{at}" for at in range(30)]
    sources.append(write_csv(tmp_path / "leila.csv", "leila", posts))
    outcome = explore(sources, base="words")
    assert outcome.distances is not None
    assert not outcome.distances.can_compare("leila")
    assert outcome.distances.nearest("bread")[0] == "boats"
    nearest = {author["author"]: author["nearest"] for author in outcome.to_json()["authors"]}
    assert nearest["leila"] is None
    assert nearest["boats"]["author"] == "bread"
    assert any("Whom @leila write like can't be told" in note for note in outcome.notes)
    alone = explore([sources[0], sources[2]], base="words")  # nobody is left to compare with
    assert alone.to_json()["authors"][0]["nearest"] is None
    assert any("Whom @leila write like can't be told" in note for note in alone.notes)
    assert page.render(outcome).count("<td><bdi>@leila</bdi></td>") == 0


def test_emoji_alone_make_topics_of_different_names(tmp_path: Path) -> None:
    posts = [f"{mark} {mark} day {at} wow" for at in range(30) for mark in "😀🎉🚀🔥"]
    source = write_csv(tmp_path / "emo.csv", "emo", posts)
    outcome = explore([source], base="words", number=2)
    assert len({topic.name for topic in outcome.topics}) == len(outcome.topics)


# -- output ----------------------------------------------------------------------------------------


def test_json_adds_up(found: Exploration) -> None:
    value: dict[str, Any] = json.loads(json.dumps(found.to_json()))
    total = sum(topic["posts"] for topic in value["topics"])
    assert total == sum(author["posts"] for author in value["authors"]) == 240
    for author in value["authors"]:
        assert sum(author["topics"]) == pytest.approx(1)
        assert set(author["style"]) == set(style.FEATURES) == set(value["panel"]["style"])
        assert author["counts"]["kept"] == author["posts"]
    assert len(value["map"]) == 240
    assert {"author", "id", "topic", "x", "y"} == set(value["map"][0])
    assert all(0 <= point["x"] <= 1 and 0 <= point["y"] <= 1 for point in value["map"])
    assert value["authors"][0]["nearest"]["author"] == "ben"


def test_charts_tell_authors_of_one_short_name_apart() -> None:
    svg = charts.hours(["@a_very_long_handle_1", "@a_very_long_handle_2"], [[1 / 24] * 24] * 2)
    assert "@a_very_long_ha…" in svg
    assert "@a_very_long_ha… (2)" in svg


def test_authors_beyond_the_colours_share_one(tmp_path: Path) -> None:
    names = [f"author{at}" for at in range(page.COLOURS + 2)]
    files = [
        write_csv(tmp_path / f"{n}.csv", n, about("bread", 20, at)) for at, n in enumerate(names)
    ]
    html = page.render(explore(files, base="words", number=1))
    assert "the others</span>" in html
    assert html.count('class="owner"') == page.COLOURS + 1
    assert len(re.findall(r'<circle [^>]* as"', html)) == 40


def test_page_is_self_contained_and_escapes_posts(tmp_path: Path) -> None:
    hostile = [f"<script>alert(1)</script> {text} &\"'" for text in about("bread", 40)]
    first = write_csv(tmp_path / "a.csv", "<b>ann", hostile)
    second = write_csv(tmp_path / "b.csv", "ben", about("boats", 40))
    outcome = explore([first, second], base="words")
    html = page.render(outcome)
    assert "<script" not in html
    assert "<b>ann" not in html
    assert "default-src 'none'" in html
    assert not re.search(r"""(?:src|href)=["']?(?!#)\w""", html)
    assert html.count("<circle") == 80
    assert "This page holds posts" in html
