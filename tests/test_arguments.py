"""What the library, the command line and the server accept as arguments."""

from __future__ import annotations

import math
from typing import Any

import pytest

from huggingtweets.arguments import PostCount, Secret, Text, check, checked
from huggingtweets.errors import InputError
from huggingtweets.generation.sampling import Sampling
from huggingtweets.serving.schemas import TrainingRequest

WRONG: dict[str, list[object]] = {
    "max_chars": [1.5, "280", True, None, 0, 10**400, math.nan, [1]],
    "seed": [1.5, "1", False, -1, 2**63, math.inf, {}],
    "temperature": ["hot", None, True, 0, -1, 1e308, math.nan, 10**400],
    "top_p": ["1", 0.0, 1.01, math.inf, -math.inf, []],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_sampling_refuses_other_kinds_and_numbers(field: str, value: object) -> None:
    with pytest.raises(InputError) as raised:
        Sampling(**{field: value})  # type: ignore[arg-type]
    text = str(raised.value)
    assert text.startswith(
        "These settings can't be used: " + field.replace("_", "-") + " must be a"
    )
    assert len(text) < 200


def test_one_sentence_names_every_invalid_value() -> None:
    with pytest.raises(InputError) as raised:
        Sampling(temperature=math.nan, top_p=2.0, max_chars=1.5, seed=-1)  # type: ignore[arg-type]
    assert str(raised.value) == (
        "These settings can't be used: temperature must be a number over 0 and at most 100, not "
        "nan; top-p must be a number over 0 and at most 1, not 2.0; max-chars must be a whole "
        "number from 1 to 100,000, not 1.5; seed must be a whole number from 0 to 2^63 - 1, not -1."
    )


def test_a_whole_number_with_a_decimal_point_is_whole() -> None:
    assert check({"n": 3.0}, {"n": PostCount}) == {"n": 3}
    assert isinstance(Sampling(max_chars=280.0).max_chars, int)  # type: ignore[arg-type]


WRONG_REQUESTS: list[dict[str, object]] = [
    *({"sources": value} for value in [*"s1", None, [1], [["a"]], ["a\0"], ["\ud800"], {}]),
    *({"epochs": value} for value in [1.5, "1", True, 0, 1e308]),
    *({"name": value} for value in [1, ["x"], "a\0b", "x" * 5_001]),
    {"learning_rate": math.nan},
    {"i_am_the_author": "yes"},
]


@pytest.mark.parametrize("values", WRONG_REQUESTS)
def test_a_request_for_a_training_refuses_other_kinds(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="These settings can't be used"):
        TrainingRequest(**{"sources": ("sample",), **values})


def test_a_list_of_sources_becomes_a_tuple() -> None:
    assert TrainingRequest(["sample"]).sources == ("sample",)  # type: ignore[arg-type]


def test_a_secret_is_not_shown() -> None:
    @checked
    def publish(token: Secret, repo: Text) -> str:
        return token + repo

    with pytest.raises(InputError) as raised:
        publish("hf_secret\ud800", "a")
    assert "hf_secret" not in str(raised.value)
    assert publish("hf_secret", repo="/a") == "hf_secret/a"
