"""A chat that a visitor uploads: whose messages to learn from is asked, on the page too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from huggingtweets.errors import SpeakerError
from huggingtweets.serving.schemas import LOCAL_USER, Settings, TrainingRequest
from huggingtweets.serving.worker import options_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service

    Start = Callable[..., Service]


def _upload(service: Service, folder: Path) -> str:
    chat = folder / "_chat.txt"
    lines = [
        f"[13.02.21, 16:{minute:02}:06] {name}: I told {other} about number {minute} of mine"
        for minute in range(60)
        for name, other in (("Ada", "Bob"), ("Ada", "Bob"), ("Bob", "Ada"))
    ]
    chat.write_text("\n".join(lines))
    return str(service.keep_upload(LOCAL_USER, chat, "_chat.txt"))


def test_the_people_of_a_chat_come_with_the_error(tmp_path: Path, start_service: Start) -> None:
    service = start_service()
    chat = _upload(service, tmp_path)
    with pytest.raises(SpeakerError, match=r"^chat.txt has messages of several") as caught:
        service.inspect(LOCAL_USER, TrainingRequest((chat,)))
    assert caught.value.people == {"Ada": 120, "Bob": 60}
    found = service.inspect(LOCAL_USER, TrainingRequest((chat,), speaker="Bob"))
    assert found.authors == ("Bob",)
    assert found.left_out == {"of other people": 120}
    assert found.counts["downloaded"] == 60


def test_the_page_asks_whose_messages_to_use(tmp_path: Path, start_service: Start) -> None:
    from huggingtweets.web.context import PageContext
    from huggingtweets.web.pages import source

    service = start_service()
    chat = _upload(service, tmp_path)
    handlers = source._SourcePageHandlers(PageContext(service, service.settings))
    visitor = SimpleNamespace(id=LOCAL_USER)
    request = cast(
        "Any", SimpleNamespace(request=SimpleNamespace(state=SimpleNamespace(visitor=visitor)))
    )
    chosen = source.Chosen(("_chat.txt",), (chat,))

    def last(*options: Any) -> list[Any]:  # noqa: ANN401
        return list(handlers.refresh(request, chosen, *options))[-1]

    asked = last("", "fast", 0, "", "", False, None, None, False, False)
    assert asked[1] == chosen  # the file stays
    assert "Choose whose" in asked[2]
    assert asked[7]["visible"]
    assert asked[7]["choices"] == [("Ada (120 messages)", "Ada"), ("Bob (60 messages)", "Bob")]
    assert asked[8]["visible"]  # joining messages, and keeping names
    found = last("", "fast", 0, "", "", False, "Ada", None, False, False)
    assert "Not read: 60 of other people." in found[4]
    assert "<dd>120</dd>" in found[4]
    assert "I told @user about number" in found[4]
    found = last("", "fast", 0, "", "", False, "Ada", None, True, True)
    assert "<dd>60</dd>" in found[4]  # Ada writes two messages, then Bob one
    assert "I told Bob about number" in found[4]


def test_a_training_takes_the_options_of_chats(tmp_path: Path) -> None:
    order = TrainingRequest(("chat",), speaker="Ada", join=True, keep_names=True)
    options = options_of(order, Settings(), tmp_path, "ada")
    assert (options.speaker, options.join, options.keep_names) == ("Ada", True, True)
