from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from huggingtweets.errors import InputError, TrainingError
from huggingtweets.generation import batch_engine, bots
from huggingtweets.generation.batch_engine import BatchEngine, Row
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.requests import PostRequest, RequestBatch
from huggingtweets.generation.sampling import GeneratedPost, Sampling
from huggingtweets.serving.batch_scheduler import BatchScheduler, _QueuedRequest
from huggingtweets.serving.bot_cache import BotCache, CachedBot
from huggingtweets.serving.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.storage.run_folder import RunFolder


@pytest.fixture(scope="module")
def opened(finished: RunFolder) -> CachedBot:
    """In fp32: how bfloat16 rounds depends on how many posts are computed together."""
    made = BotCache(1e9).open(finished)
    return replace(made, bot=bots.open_bot(finished.path, "cpu", "fp32"))


@pytest.fixture
def scheduler() -> Iterator[BatchScheduler]:
    made = BatchScheduler(Watchdog())
    made.start()
    yield made
    made.stop()


def texts(
    scheduler: BatchScheduler, opened: CachedBot, prompt: str = "", n: int = 5, seed: int = 1
) -> set[str]:
    return {post.text for post in scheduler.write(opened, prompt, n, Sampling(seed=seed))}


def test_concurrent_requests_get_the_same_posts_as_single_ones(
    scheduler: BatchScheduler, opened: CachedBot
) -> None:
    asked = [("The old cat", 3), ("", 4), ("We", 5), ("Nobody here found", 6), ("The old cat", 7)]
    alone = [texts(scheduler, opened, prompt, seed=seed) for prompt, seed in asked]
    found: dict[int, set[str]] = {}

    def ask(number: int) -> None:
        prompt, seed = asked[number]
        found[number] = texts(scheduler, opened, prompt, seed=seed)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(asked))] == alone
    assert alone[0] != alone[4]  # another seed


def test_batch_capacity_does_not_change_the_posts(
    scheduler: BatchScheduler, opened: CachedBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = texts(scheduler, opened, n=12)
    monkeypatch.setattr(batch_engine, "MAX_ROWS", 3)
    assert batch_engine.rows_at_once(opened.bot.model) == 3
    assert texts(scheduler, opened, n=12) == whole


def test_copies_are_sampled_again(scheduler: BatchScheduler, opened: CachedBot) -> None:
    first = [post.text for post in scheduler.write(opened, "We", 6, Sampling(seed=2))]
    known = replace(opened, key=("known", 0, 0), bot=replace(opened.bot, index=CopyIndex(first)))
    found = list(scheduler.write(known, "We", 6, Sampling(seed=2)))
    assert len(found) == 6
    assert not set(first) & {post.text for post in found}
    assert not any(post.copied for post in found)


def test_loops_are_sampled_again(
    scheduler: BatchScheduler, opened: CachedBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [post.text for post in scheduler.write(opened, "We", 6, Sampling(seed=2))]
    is_loop = "huggingtweets.generation.copy_index.is_loop"
    monkeypatch.setattr(is_loop, lambda text: text in first[:3])
    found = [post.text for post in scheduler.write(opened, "We", 6, Sampling(seed=2))]
    assert len(found) == 6
    assert not set(first[:3]) & set(found)
    assert set(first[3:]) <= set(found)


def test_bot_that_only_copies_gives_up(
    scheduler: BatchScheduler, opened: CachedBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingtweets.generation.copy_index.is_loop", lambda _: False)
    greedy = Sampling(seed=1, temperature=1e-9)
    (only,) = {post.text for post in scheduler.write(opened, "We", 2, greedy)}
    known = replace(opened, key=("known", 0, 0), bot=replace(opened.bot, index=CopyIndex([only])))
    assert list(scheduler.write(known, "We", 2, greedy)) == []


def test_cancelled_request_leaves_the_batch(scheduler: BatchScheduler, opened: CachedBot) -> None:
    posts = scheduler.write(opened, "", 30, Sampling(seed=1))
    next(posts)
    posts.close()  # type: ignore[attr-defined]  # a generator
    assert len(texts(scheduler, opened)) == 5
    assert not scheduler._batches


def test_generation_error_reaches_only_the_waiting_request(
    scheduler: BatchScheduler, opened: CachedBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: BatchEngine) -> list[object]:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(BatchEngine, "step", fail)
        with pytest.raises(TrainingError, match="Generation failed: out of memory"):
            list(scheduler.write(opened, "", 2, Sampling()))
    assert len(texts(scheduler, opened)) == 5


def test_too_long_prompt_is_rejected_at_once(scheduler: BatchScheduler, opened: CachedBot) -> None:
    with pytest.raises(InputError, match="has 280 characters"):
        scheduler.write(opened, "x" * 280, 1, Sampling())


def test_stopping_the_server_fails_waiting_requests(opened: CachedBot) -> None:
    stopped = BatchScheduler(Watchdog())
    stopped.start()
    posts = stopped.write(opened, "", 500, Sampling(seed=1))
    stopped.stop()
    with pytest.raises(InputError, match="stopping"):
        list(posts)
    with pytest.raises(InputError, match="stopping"):
        stopped.write(opened, "", 1, Sampling())


def test_posts_equal_those_of_the_command_line(
    scheduler: BatchScheduler, opened: CachedBot
) -> None:
    alone = {post.text for post in opened.bot.generate("We", 6, seed=4)}
    assert texts(scheduler, opened, "We", 6, seed=4) == alone


def test_models_without_padding_serve_requests_one_by_one(
    scheduler: BatchScheduler, opened: CachedBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_engine, "supports_padding", lambda _: False)
    found = [post.text for post in scheduler.write(opened, "We", 3, Sampling(seed=4))]
    plain = [post.text for post in opened.bot.generate("We", 3, seed=4)]
    assert found == plain
    asked = [scheduler.write(opened, prompt, 3, Sampling(seed=4)) for prompt in ("We", "I")]
    assert [len(list(posts)) for posts in asked] == [3, 3]


def test_clients_take_turns(opened: CachedBot) -> None:
    """Somebody's 300 posts, whatever their cookies, don't delay another's two."""
    batch = RequestBatch(opened.bot.model)
    batch.max_rows = 10

    def request(n: int, client: str) -> PostRequest:
        made = PostRequest(
            opened.bot.model, "", n, Sampling(seed=1), allow_loops=True, client=client
        )
        batch.add(made)
        return made

    many = [request(100, "crowd") for _ in range(3)]
    batch.step()
    few = request(2, "alone")
    assert [row.owner.client for row in batch.waiting][:4] == ["alone", "crowd"] * 2
    while few in batch.requests:
        batch.step()
    assert sum(one.missing for one in many) > 250


def test_a_client_with_many_bots_takes_one_turn(opened: CachedBot) -> None:
    steps: Counter[str] = Counter()
    scheduler = BatchScheduler(Watchdog())  # its thread isn't started: this test takes the steps
    for number in range(6):
        client = "alone" if number == 5 else "crowd"
        cached = replace(opened, key=(f"{client} {number}", 0, 0))
        scheduler._add(_QueuedRequest(cached, "", 20, Sampling(seed=1), client=client))
    for _ in range(5):
        steps.update(key[0] for key in scheduler._due())
        scheduler._step_all()
    assert steps == {"alone 5": 5} | {f"crowd {number}": 1 for number in range(5)}


def test_one_client_cannot_fill_the_waiting_list(
    scheduler: BatchScheduler, opened: CachedBot
) -> None:
    held = [scheduler.write(opened, "", 50, Sampling(), "crowd") for _ in range(2)]
    with pytest.raises(InputError, match="posts of yours are waiting"):
        for _ in range(60):
            held.append(scheduler.write(opened, "", 50, Sampling(), "crowd"))
            time.sleep(0.02)
    assert len(list(scheduler.write(opened, "", 1, Sampling(), "alone"))) <= 1


@pytest.mark.parametrize("value", [1.5, float("nan"), "3", True, None, [2], 0, -1, 10**30])
def test_a_number_of_posts_that_is_not_one_is_refused(
    scheduler: BatchScheduler, opened: CachedBot, value: object
) -> None:
    with pytest.raises(InputError, match="n must be a whole number from 1 to 10,000, not"):
        scheduler.write(opened, "", value, Sampling())  # type: ignore[arg-type]
    assert len(texts(scheduler, opened)) == 5


def test_a_fault_while_a_request_joins_costs_only_that_request(
    scheduler: BatchScheduler, opened: CachedBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `n=1.5` did, when nothing checked it."""
    rows = PostRequest.rows

    def fail_for_two(request: PostRequest, most: int) -> list[Row]:
        if request.missing == 2:
            raise ValueError("odd")
        return rows(request, most)

    expected = texts(scheduler, opened)
    monkeypatch.setattr(PostRequest, "rows", fail_for_two)
    others = scheduler.write(opened, "", 5, Sampling(seed=1))
    with pytest.raises(TrainingError, match="Generation failed: odd"):
        list(scheduler.write(opened, "", 2, Sampling()))
    assert {post.text for post in others} == texts(scheduler, opened) == expected


def test_a_fault_of_one_post_costs_only_its_request(
    scheduler: BatchScheduler, opened: CachedBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `max_chars=1.5` did, when nothing checked it."""
    accept = PostRequest.accept

    def fail_for_we(request: PostRequest, text: str) -> GeneratedPost | None:
        if request.prompt == "We":
            raise TypeError("odd")
        return accept(request, text)

    expected = texts(scheduler, opened)
    monkeypatch.setattr(PostRequest, "accept", fail_for_we)
    asked = [scheduler.write(opened, prompt, 5, Sampling(seed=1)) for prompt in ("", "We", "")]
    with pytest.raises(TrainingError, match="Generation failed: odd"):
        list(asked[1])
    for posts in (asked[0], asked[2]):
        assert {post.text for post in posts} == expected


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_started_again_and_its_requests_end_with_an_error(
    scheduler: BatchScheduler,
    opened: CachedBot,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def die(_: BatchEngine) -> list[object]:
        raise SystemExit  # ends a thread, and no `except Exception` catches it

    with monkeypatch.context() as patch:
        patch.setattr(BatchEngine, "step", die)
        with pytest.raises(TrainingError, match="its thread ended"):
            list(scheduler.write(opened, "", 2, Sampling()))
    assert len(texts(scheduler, opened)) == 5
    assert "The thread 'batch scheduler' ended; it is started again." in caplog.messages


def test_a_thread_that_dies_again_and_again_is_started_after_growing_pauses() -> None:
    started: list[float] = []

    def run() -> None:
        started.append(time.monotonic())

    watchdog = Watchdog()
    watchdog.start("brief", run)
    deadline = time.monotonic() + 200
    while len(started) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    watchdog.join("brief")
    count = len(started)
    time.sleep(1.5)
    assert len(started) == count  # it is no longer watched
    assert started[3] - started[2] > started[1] - started[0]
