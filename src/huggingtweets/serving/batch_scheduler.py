"""One thread writes for everybody: all requests to a bot are one batch.

Fifty people who ask for ten posts each are five hundred rows, drawn a token at a time together;
alone, each would wait for the others. A request joins at the next token, whatever is under way.
Several bots take turns, a token each.
"""

from __future__ import annotations

import queue
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from huggingtweets.errors import HuggingTweetsError, InputError, TrainingError
from huggingtweets.generation.batch_engine import BatchEngine, Row, chance_of, supports_batching
from huggingtweets.generation.writer import (
    GeneratedPost,
    Sampling,
    encode_prompt,
    goes_round,
    rows_at_once,
    to_generated_post,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data import batching
    from huggingtweets.serving.bot_cache import CachedBot, Key

_DRAWS_PER_POST = 20  # as alone: give up when nearly all are copies
_MOST_WAITING = 5_000
"""Posts that may be asked for and not be drawn yet."""


@dataclass(eq=False)
class Request:
    """Posts that somebody waits for.

    Attributes:
        opened: the bot.
        prompt: what they begin with.
        start: the same as tokens.
        sampling: how they are drawn.
        seed: with the rows' numbers it decides everything.
        missing: posts not handed over yet.
        draws_left: before giving up.
        posts: handed over; None ends them, an error too.
        gone: nobody waits any more.
        numbers: rows so far.
        under_way: rows that have not ended.
    """

    opened: CachedBot
    prompt: str
    start: batching.Row
    sampling: Sampling
    seed: int
    missing: int
    draws_left: int
    posts: queue.SimpleQueue[GeneratedPost | HuggingTweetsError | None] = field(
        default_factory=queue.SimpleQueue
    )
    gone: bool = False
    numbers: int = 0
    under_way: int = 0

    def rows(self, count: int) -> list[Row]:
        """New rows, fewer when there are no draws left."""
        count = min(count, self.draws_left)
        self.draws_left -= count
        self.under_way += count
        first, self.numbers = self.numbers, self.numbers + count
        return [
            Row(self.start, self.sampling, chance_of(self.seed, number), self)
            for number in range(first, first + count)
        ]


class _BotBatch:
    """The rows of one bot: those that are drawn, and those that wait for room."""

    def __init__(self, opened: CachedBot) -> None:
        self.opened = opened
        self.drawing = BatchEngine(opened.bot.model)
        self.room = rows_at_once(opened.bot.model)
        self.waiting: deque[Row] = deque()
        self.requests: set[Request] = set()

    def take(self, request: Request) -> None:
        self.requests.add(request)
        self.waiting.extend(request.rows(request.missing))

    def step(self) -> None:
        """One token for every row, and hand over what ended."""
        for request in [one for one in self.requests if one.gone]:
            self._end(request)
        joining: list[Row] = []
        while self.waiting and len(self.drawing.rows) + len(joining) < self.room:
            joining.append(self.waiting.popleft())
        self.drawing.add(joining)
        if self.drawing.rows:
            for row, text in self.drawing.step():
                self._hand_over(row.owner, text)

    def _hand_over(self, request: Request, text: str) -> None:
        request.under_way -= 1
        if request not in self.requests:
            return
        post = to_generated_post(text, request.prompt, self.opened.bot.index)
        if post is not None and not post.copied and not goes_round(post):
            request.posts.put(post)
            request.missing -= 1
        else:
            # at once, not when the others have ended: nobody's seed depends on when
            self.waiting.extendleft(request.rows(1))
        if not request.under_way:
            self._end(request)

    def _end(self, request: Request) -> None:
        request.posts.put(None)
        self.requests.discard(request)
        self.waiting = deque(row for row in self.waiting if row.owner is not request)
        self.drawing.drop(lambda row: row.owner is request)

    def fail(self, error: HuggingTweetsError) -> None:
        for request in self.requests:
            request.posts.put(error)


class BatchScheduler:
    """Writes; see the module."""

    def __init__(self) -> None:
        self._arriving: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._batches: dict[Key, _BotBatch] = {}
        self._thread: threading.Thread | None = None
        self._alone = threading.Lock()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="batch scheduler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; who still waits is told."""
        self._arriving.put(None)
        if self._thread:
            self._thread.join()
        self._thread = None

    def write(
        self, opened: CachedBot, prompt: str, n: int, sampling: Sampling
    ) -> Iterator[GeneratedPost]:
        """New posts as they finish; fewer when nearly all draws are copies.

        Args:
            opened: the bot.
            prompt: what they begin with.
            n: how many.
            sampling: how they are drawn.

        Raises:
            InputError: at once, when the prompt is too long or too much is asked for already.
        """
        lm = opened.bot.model
        start = encode_prompt(lm, prompt, sampling)
        if self._thread is None:
            raise InputError("The server is stopping; try again in a moment.")
        if sum(len(batch.waiting) for batch in list(self._batches.values())) + n > _MOST_WAITING:
            raise InputError("Too many people are asking for posts just now; try again soon.")
        if not supports_batching(lm):
            return self._write_alone(opened, prompt, n, sampling)
        seed = random.SystemRandom().getrandbits(62) if sampling.seed is None else sampling.seed
        draws = n * _DRAWS_PER_POST
        request = Request(opened, prompt, start, sampling, seed, n, draws)
        self._arriving.put(request)
        return self._wait(request)

    def _wait(self, request: Request) -> Iterator[GeneratedPost]:
        try:
            while True:
                post = request.posts.get()
                if post is None:
                    return
                if isinstance(post, HuggingTweetsError):
                    raise post
                yield post
        finally:
            request.gone = True

    def _write_alone(
        self, opened: CachedBot, prompt: str, n: int, sampling: Sampling
    ) -> Iterator[GeneratedPost]:
        with self._alone:
            yield from opened.bot.writer(sampling).write(prompt, n)

    def _run(self) -> None:
        while True:
            try:
                request = self._arriving.get(block=not self._batches)
            except queue.Empty:
                self._step_all()
                continue
            if request is None:
                break
            self._take(request)
        for batch in self._batches.values():
            batch.fail(InputError("The server is stopping; try again in a moment."))
        self._batches.clear()

    def _take(self, request: Request) -> None:
        key = request.opened.key
        if key not in self._batches:
            self._batches[key] = _BotBatch(request.opened)
        self._batches[key].take(request)

    def _step_all(self) -> None:
        for key, batch in list(self._batches.items()):
            try:
                batch.step()
            except Exception as error:  # noqa: BLE001 - the other bots go on writing
                batch.fail(TrainingError(f"The bot can't write: {str(error)[:200]}"))
                batch.requests.clear()
            if not batch.requests:
                del self._batches[key]
