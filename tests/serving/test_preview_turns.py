from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from tests.serving.conftest import ANN, BOB, until

from huggingtweets.errors import InputError, Interrupted
from huggingtweets.serving.preview_turns import PreviewTurns


def test_one_visitor_cannot_take_all_places_of_waiting_previews() -> None:
    turns, ended = PreviewTurns(each=1), threading.Event()

    def wait_for_a_turn() -> None:
        with suppress(Interrupted), turns.take(ANN, ended.is_set):
            pass

    with turns.take(ANN, lambda: False), ThreadPoolExecutor() as pool:
        waiting = [pool.submit(wait_for_a_turn) for _ in range(4)]
        until(lambda: len(turns._waiting) == 4, "four previews wait")
        try:
            with pytest.raises(InputError, match="try again"), turns.take(ANN, ended.is_set):
                pass
            with turns.take(BOB, ended.is_set):
                pass
        finally:
            ended.set()
        for each in waiting:
            each.result(timeout=30)
