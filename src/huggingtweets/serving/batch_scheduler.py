"""Generation for all visitors in one thread: all requests to a bot share one batch.

Fifty visitors who request ten posts each make a batch of 500 rows that advance one token at a time.
A new request joins the batch at the next token (continuous batching). Clients take turns, one token
each: who writes with many bots advances one of them at a time.
"""

from __future__ import annotations

import queue
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from huggingtweets.errors import HuggingTweetsError, InputError, TrainingError
from huggingtweets.generation import tagged
from huggingtweets.generation.requests import PostRequest, RequestBatch
from huggingtweets.nn import devices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingtweets.data.hashtags import Hashtag
    from huggingtweets.generation.sampling import GeneratedPost, Sampling
    from huggingtweets.generation.tagged import TaggedStarts
    from huggingtweets.serving.bot_cache import CachedBot, Key
    from huggingtweets.serving.watchdog import Watchdog

_MAX_WAITING_POSTS = 5_000
_MAX_WAITING_POSTS_OF_A_CLIENT = 1_000
_THREAD = "batch scheduler"

_TRIM_SECONDS = 1.0
"""How often freed memory is returned to the system while posts are written, in seconds. Batches of
changing sizes leave free blocks all over the heap: 0.6 GB after 300 requests, 50 at a time."""


class BusyError(InputError):
    """Too much is waiting, or the server is stopping; the same request may succeed later."""


_STOPPING = "The server is stopping; try again in a moment."


class Sink(Protocol):
    """Where results go; called from the generation thread."""

    def put(self, item: Any, /) -> None:  # noqa: ANN401 - what the kind of request makes
        """Take a result; None or an error comes last."""


class Queued(PostRequest):
    """A request whose results are delivered to another thread.

    Attributes:
        bot: the bot that generates the posts.
        posts: takes the results; None or an error comes last.
        abandoned: whether the caller has stopped reading.
        taken: whether the thread has taken it from the queue.
    """

    bot: CachedBot
    posts: Sink
    abandoned = False
    taken = False


class _QueuedRequest(Queued):
    """A request for whole posts, which wait in a queue."""

    posts: queue.SimpleQueue[GeneratedPost | HuggingTweetsError | None]

    def __init__(
        self,
        bot: CachedBot,
        prompt: str,
        n: int,
        sampling: Sampling,
        *,
        client: str,
        starts: TaggedStarts | None = None,
    ) -> None:
        super().__init__(
            bot.bot.model,
            prompt,
            n,
            sampling,
            bot.bot.index,
            mask=bot.bot.mask,
            starts=starts,
            client=client,
        )
        self.bot = bot
        self.posts = queue.SimpleQueue()


class BatchScheduler:
    """Runs the generation thread and takes requests from other threads.

    No exception ends the thread: a fault costs the request that caused it, or the requests to one
    bot if it can't be told whose fault it was. Every request gets an answer.

    Args:
        watchdog: starts the thread again, should it end all the same.
    """

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._running = False
        self._open: set[Queued] = set()
        self._incoming: queue.SimpleQueue[Queued | None] = queue.SimpleQueue()
        self._batches: OrderedDict[Key, RequestBatch] = OrderedDict()  # longest waiting first
        self._trimmed = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._running = True
        self._watchdog.start(_THREAD, self._run)

    def stop(self) -> None:
        """Stop the thread; waiting requests end with an error."""
        self._running = False
        self._incoming.put(None)
        self._watchdog.join(_THREAD)
        self._fail_all(BusyError(_STOPPING))

    def write(
        self,
        opened: CachedBot,
        prompt: str,
        n: int,
        sampling: Sampling,
        client: str = "",
        *,
        hashtag: Hashtag | None = None,
    ) -> Iterator[GeneratedPost]:
        """Generate posts and yield each one when it is finished.

        There are fewer than ``n`` if nearly all samples are copies or loops.

        Args:
            opened: the bot.
            prompt: text that each post begins with.
            n: number of posts.
            sampling: sampling settings.
            client: who requests them; clients take turns.
            hashtag: a tag that each post has (:mod:`huggingtweets.generation.tagged`).

        Raises:
            InputError: the prompt is too long or the server is busy; raised before the first post
                is requested.
        """
        request = self._requests(opened, client)
        if hashtag is None:
            return request(prompt, n, sampling, None)
        return tagged.write(
            opened.bot.model, hashtag, prompt, n, sampling=sampling, request=request
        )

    def tagged_beginnings(
        self,
        opened: CachedBot,
        prompt: str,
        n: int,
        sampling: Sampling,
        *,
        client: str,
        hashtag: Hashtag,
    ) -> list[str]:
        """Return what ``n`` posts with a hashtag begin with, the tag last.

        The arguments and errors are those of :meth:`write`; it takes as long as 32 posts or more.
        """
        request = self._requests(opened, client)
        return tagged.beginnings(
            opened.bot.model, hashtag, prompt, n, sampling=sampling, request=request
        )

    def _requests(self, opened: CachedBot, client: str) -> tagged.Request:
        """Return the function that queues posts of a bot."""

        def request(
            prompt: str, n: int, sampling: Sampling, starts: TaggedStarts | None
        ) -> Iterator[GeneratedPost]:
            queued = _QueuedRequest(opened, prompt, n, sampling, client=client, starts=starts)
            self.submit(queued)
            return self._results(queued)

        return request

    @property
    def waiting(self) -> int:
        """Number of posts that wait for a place in a batch."""
        return sum(len(batch.waiting) for batch in list(self._batches.values()))

    def submit(self, request: Queued) -> None:
        """Queue a request, whose sink gets its results.

        Raises:
            BusyError: the server is busy or stopping.
        """
        if not self._running:
            raise BusyError(_STOPPING)
        n, client = request.missing, request.client
        rows = [row for batch in list(self._batches.values()) for row in list(batch.waiting)]
        own = sum(row.owner.client == client for row in rows)
        if own + n > _MAX_WAITING_POSTS_OF_A_CLIENT:
            raise BusyError(f"{own} posts of yours are waiting; try again when they are written.")
        if len(rows) + n > _MAX_WAITING_POSTS:
            raise BusyError("The server is busy; try again in a minute.")
        self._open.add(request)
        self._incoming.put(request)

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
        # what a thread that ended too early has left behind; empty at the first start
        self._batches.clear()
        lost = TrainingError("Generation failed: its thread ended. Try again.")
        for taken in [request for request in self._open if request.taken]:
            self._end(taken, lost)
        while True:
            try:
                request = self._incoming.get(block=not self._batches)
            except queue.Empty:
                self._step_all()
                continue
            if request is None:
                break
            request.taken = True
            self._add(request)

    def _add(self, request: Queued) -> None:
        key = request.bot.batch
        try:
            batch = self._batches.get(key) or RequestBatch(request.bot.bot.model)
            batch.add(request)
        except Exception as error:  # noqa: BLE001 - other requests must not be affected
            self._end(request, _failure(error))
        else:
            self._batches[key] = batch

    def _step_all(self) -> None:
        for key, batch in self._due().items():
            self._batches.move_to_end(key)
            try:
                self._step(batch)
            except Exception as error:  # noqa: BLE001 - other bots must not be affected
                for request in batch.requests:
                    self._end(_queued(request), _failure(error))
                batch.requests.clear()
            if not batch.requests:
                del self._batches[key]
        if not self._batches or time.monotonic() - self._trimmed > _TRIM_SECONDS:
            devices.trim_heap()  # a few milliseconds
            self._trimmed = time.monotonic()

    def _due(self) -> dict[Key, RequestBatch]:
        """The bot of each client whose last token is longest ago; clients may share one."""
        due: dict[Key, RequestBatch] = {}
        served: set[str] = set()
        for key, batch in self._batches.items():
            clients = {request.client for request in batch.requests}
            if clients - served:
                due[key] = batch
                served |= clients
        return due

    def _step(self, batch: RequestBatch) -> None:
        """Sample one token for every row and deliver finished posts."""
        for request in [r for r in batch.requests if _queued(r).abandoned]:
            self._end(_queued(request), None)
            batch.remove(request)
        for request, post in batch.step():
            if isinstance(post, Exception):
                self._end(_queued(request), _failure(post))
            elif post is None:
                self._end(_queued(request), None)
            else:
                _queued(request).posts.put(post)

    def _fail_all(self, error: HuggingTweetsError) -> None:
        self._batches.clear()
        for request in list(self._open):
            self._end(request, error)

    def _end(self, request: Queued, last: HuggingTweetsError | None) -> None:
        """Tell a request's reader that no further post comes."""
        self._open.discard(request)
        request.posts.put(last)


def _failure(error: Exception) -> HuggingTweetsError:
    if isinstance(error, HuggingTweetsError):
        return error
    return TrainingError(f"Generation failed: {str(error)[:200]}")


def _queued(request: PostRequest) -> Queued:
    assert isinstance(request, Queued)  # noqa: S101 - no other kind is added here
    return request
