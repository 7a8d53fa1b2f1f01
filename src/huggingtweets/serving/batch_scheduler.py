"""Generation for all visitors in one thread: all requests to a bot share one batch.

Fifty visitors who request ten posts each make a batch of 500 rows that advance one token at a time.
A new request joins the batch at the next token (continuous batching). Bots take turns, one token
each.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from huggingtweets.errors import HuggingTweetsError, InputError, TrainingError
from huggingtweets.generation.requests import PostRequest, RequestBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.generation.sampling import GeneratedPost, Sampling
    from huggingtweets.serving.bot_cache import CachedBot, Key

_MAX_WAITING_POSTS = 5_000
_MAX_WAITING_POSTS_OF_A_CLIENT = 1_000
_STOPPING = "The server is stopping; try again in a moment."


class _QueuedRequest(PostRequest):
    """A request whose posts are delivered to another thread.

    Attributes:
        bot: the bot that generates the posts.
        posts: finished posts; None or an error comes last.
        abandoned: whether the caller has stopped reading.
    """

    def __init__(
        self, bot: CachedBot, prompt: str, n: int, sampling: Sampling, client: str
    ) -> None:
        super().__init__(bot.bot.model, prompt, n, sampling, bot.bot.index, client=client)
        self.bot = bot
        self.posts: queue.SimpleQueue[GeneratedPost | HuggingTweetsError | None] = (
            queue.SimpleQueue()
        )
        self.abandoned = False


class BatchScheduler:
    """Runs the generation thread and takes requests from other threads."""

    def __init__(self) -> None:
        self._incoming: queue.SimpleQueue[_QueuedRequest | None] = queue.SimpleQueue()
        self._batches: dict[Key, RequestBatch] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="batch scheduler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; waiting requests end with an error."""
        self._incoming.put(None)
        if self._thread:
            self._thread.join()
        self._thread = None

    def write(
        self, opened: CachedBot, prompt: str, n: int, sampling: Sampling, client: str = ""
    ) -> Iterator[GeneratedPost]:
        """Generate posts and yield each one when it is finished.

        There are fewer than ``n`` if nearly all samples are copies or loops.

        Args:
            opened: the bot.
            prompt: text that each post begins with.
            n: number of posts.
            sampling: sampling settings.
            client: who requests them; clients take turns.

        Raises:
            InputError: the prompt is too long or the server is busy; raised before the first post
                is requested.
        """
        request = _QueuedRequest(opened, prompt, n, sampling, client)
        if self._thread is None:
            raise InputError(_STOPPING)
        rows = [row for batch in list(self._batches.values()) for row in list(batch.waiting)]
        own = sum(row.owner.client == client for row in rows)
        if own + n > _MAX_WAITING_POSTS_OF_A_CLIENT:
            raise InputError(f"{own} posts of yours are waiting; try again when they are written.")
        if len(rows) + n > _MAX_WAITING_POSTS:
            raise InputError("The server is busy; try again in a minute.")
        self._incoming.put(request)
        return self._results(request)

    def _results(self, request: _QueuedRequest) -> Iterator[GeneratedPost]:
        try:
            while True:
                post = request.posts.get()
                if post is None:
                    return
                if isinstance(post, HuggingTweetsError):
                    raise post
                yield post
        finally:
            request.abandoned = True

    def _run(self) -> None:
        while True:
            try:
                request = self._incoming.get(block=not self._batches)
            except queue.Empty:
                self._step_all()
                continue
            if request is None:
                break
            self._add(request)
        for batch in self._batches.values():
            _fail(batch, InputError(_STOPPING))
        self._batches.clear()

    def _add(self, request: _QueuedRequest) -> None:
        key = request.bot.key
        if key not in self._batches:
            self._batches[key] = RequestBatch(request.bot.bot.model)
        self._batches[key].add(request)

    def _step_all(self) -> None:
        for key, batch in list(self._batches.items()):
            try:
                _step(batch)
            except Exception as error:  # noqa: BLE001 - other bots must not be affected
                _fail(batch, TrainingError(f"Generation failed: {str(error)[:200]}"))
                batch.requests.clear()
            if not batch.requests:
                del self._batches[key]


def _step(batch: RequestBatch) -> None:
    """Sample one token for every row and deliver finished posts."""
    for request in [r for r in batch.requests if _queued(r).abandoned]:
        _queued(request).posts.put(None)
        batch.remove(request)
    for request, post in batch.step():
        _queued(request).posts.put(post)


def _fail(batch: RequestBatch, error: HuggingTweetsError) -> None:
    for request in batch.requests:
        _queued(request).posts.put(error)


def _queued(request: PostRequest) -> _QueuedRequest:
    assert isinstance(request, _QueuedRequest)  # noqa: S101 - no other kind is added here
    return request
