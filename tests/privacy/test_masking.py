from __future__ import annotations

import polars as pl
import pytest
from benchmarks.masking import cases, measure
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingtweets.curation import CurationOptions, clean, curate, without_masked
from huggingtweets.curation._clean import mask_texts
from huggingtweets.data.posts import Post, posts_table
from huggingtweets.errors import InputError
from huggingtweets.privacy import masking
from huggingtweets.privacy.masking import mask

CARD, IBAN = "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00"
KEY = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"key {KEY}!", "key <key>!"),
        ("AKIA" + "ABCD1234" * 2, "<key>"),
        ("my api_key = 0123456789abcdef0123", "my api_key = <key>"),
        ("-----BEGIN RSA PRIVATE KEY----- MIIE abc -----END RSA PRIVATE KEY----- bye", "<key> bye"),
        ("-----BEGIN OPENSSH PRIVATE KEY----- cut off", "<key>"),
        ("postgres://bob:hunter2@db/x", "postgres://bob:<password>@db/x"),
        (f"pay {CARD}, ok", "pay <card>, ok"),
        ("pay 4111111111111111 or 3782 822463 10005", "pay <card> or <card>"),
        (f"to {IBAN} please", "to <iban> please"),
        ("to de89370400440532013000.", "to <iban>."),
        ("password: swordfish, ok", "password: <password>, ok"),
        ("Passwort:Geheim1!", "Passwort:<password>!"),
        ("the wifi password is swordfish", "the wifi password is <password>"),
        ('mot de passe : "deux mots"', 'mot de passe : "<password>"'),
    ],
)
def test_secrets_are_masked_at_every_level(text: str, masked: str) -> None:
    for level in masking.LEVELS:
        assert mask(text, level) == masked


@pytest.mark.parametrize(
    "text", ["bob@mail.example", "020 7946 0958", "12 Maple Street", "bob [at] mail [dot] example"]
)
def test_personal_data_is_masked_unless_it_is_kept(text: str) -> None:
    assert "<" in mask(text)
    assert mask(text, "secrets") == text


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # no valid check digit
        "DE88370400440532013000",
        "id 603275497183846402, 978-3-16-148410-0",
        "my password is on the fridge",
        "Password: never share it",
        "3 Supreme Court judges on Main Street",
        "2015 Rose Parade, 10 Ways To Drive, Spring 2016",
        "05/26/2015 10:30 and 2015-05-26",
    ],
)
def test_what_only_looks_private_stays(text: str) -> None:
    assert mask(text) == text


def test_made_up_posts_of_eleven_countries() -> None:
    posts = cases(seed=1)[::4]
    found, right, wrong, notes = measure(posts)
    hits = [hit for some in found.values() for hit in some]
    assert sum(hits) / len(hits) > 0.98, notes
    assert right / (right + wrong) > 0.98, notes


@pytest.mark.parametrize("level", masking.LEVELS)
def test_a_column_is_masked_as_each_of_its_texts(level: masking.Mask) -> None:
    # Columns are searched first, so that few texts are masked one by one.
    texts = [case.text for case in cases(seed=2)[::12]]
    texts += [f"{first} {second}" for first, second in zip(texts, texts[::-1], strict=True)]
    texts += [change(text) for change in (str.upper, _in_lines) for text in texts]
    expected = [mask(text, level) for text in texts]
    assert mask_texts(pl.Series(texts), CurationOptions(mask=level)).to_list() == expected


def _in_lines(text: str) -> str:
    return text.replace(" ", "\n")


@settings(deadline=None)  # the first telephone number loads phonenumbers
@given(st.sampled_from(cases()), st.sampled_from(masking.LEVELS), st.text(max_size=5))
def test_masking_again_changes_nothing(case: object, level: masking.Mask, more: str) -> None:
    text = more + case.text + more  # type: ignore[attr-defined]
    once = mask(text, level)
    assert mask(once, level) == once


def test_curation_counts_what_it_masked() -> None:
    texts = [
        f"please write to bob@mail.example, he has {KEY}",
        "call me at 202-224-3121 or at 202-224-3122 tonight",
        "nothing in this post at all",
    ]
    posts = posts_table(Post("ann", str(i), text) for i, text in enumerate(texts))
    curated = curate(posts)
    assert curated.masked == {"keys and tokens": 1, "e-mail addresses": 1, "phone numbers": 2}
    assert curate(posts, CurationOptions(mask="secrets")).masked == {"keys and tokens": 1}


def test_what_a_run_stores_holds_nothing_masked_and_the_rest_as_read() -> None:
    texts = [
        "raw &amp; <b> https://t.co/a",
        "bob&#64;mail.example",
        "x https://a.b/?q=bob@c.example",
    ]
    posts = posts_table(Post("ann", str(i), text) for i, text in enumerate(texts))
    stored = without_masked(posts, CurationOptions())["text"].to_list()
    assert stored == ["raw &amp; <b> https://t.co/a", "<email>", "x"]


def test_options_have_one_field_and_take_the_older_spelling() -> None:
    assert CurationOptions(scrub=True) == CurationOptions(mask="mentions")
    assert CurationOptions(False, True, 0.5).mask == "mentions"
    with pytest.raises(InputError, match="Mentions can't be masked"):
        CurationOptions(scrub=True, mask="secrets")
    with pytest.raises(InputError, match="mask must be"):
        CurationOptions(mask="all")  # type: ignore[arg-type]


def test_only_private_data_beyond_the_prompt_counts_as_revealed() -> None:
    prompt = "write to bob@mail.example"
    assert not masking.reveals(f"{prompt} today", prompt, "personal")
    assert masking.reveals(f"{prompt} or 202-224-3121", prompt, "personal")
    assert masking.reveals("call 202-224-3121", "call 202-", "personal")
    assert not masking.reveals("call 202-224-3121", "call", "secrets")
    assert not masking.reveals("hi @bob", "", "mentions")


def test_cleaning_masks_what_an_entity_or_a_control_character_hides() -> None:
    hidden = pl.Series(
        ["bob&#64;mail.example", "bob\u200b@mail.example", "call 202\u00ad-224-3121"]
    )
    assert clean(hidden).to_list() == ["<email>", "<email>", "call <phone>"]
