"""Requests for posts of one model, served by one batch.

A post that is a copy, a loop or empty is not handed over; another row takes its place at once.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import replace
from itertools import count, islice, zip_longest
from typing import TYPE_CHECKING, Any

from huggingtweets.arguments import PostCount, Prompt, checked
from huggingtweets.data import batching
from huggingtweets.errors import InputError
from huggingtweets.generation import batch_engine, copy_index
from huggingtweets.generation.batch_engine import BatchEngine, DamagedBotError, Limits, Row, row_rng
from huggingtweets.generation.sampling import GeneratedPost
from huggingtweets.generation.token_rules import TokenRules
from huggingtweets.nn import multi_adapter
from huggingtweets.privacy import masking

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from huggingtweets.generation.copy_index import CopyIndex
    from huggingtweets.generation.sampling import Sampling
    from huggingtweets.generation.tagged import TaggedStarts
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.privacy.masking import Mask

_TRIES_PER_POST = 20
"""Give up after so many rows a post whose texts were all copies, loops or empty."""
_JOINING_SHARE = 1 / 16
"""Of the batch's rows. Joining copies the cache, so waiting rows join in groups of this size."""


class PostRequest:
    """Posts that somebody wants.

    Args:
        lm: the model.
        prompt: what each post begins with.
        n: how many posts.
        sampling: settings; without a seed a random one is taken.
        index: posts of which no copy is wanted, and which say what tokens are
            (:mod:`huggingtweets.generation.token_rules`); None checks nothing.
        context: posts as tokens that the model reads before each new one, oldest first. As many of
            the newest as leave room for a new post are read.
        allow_copies: hand over copies too, marked.
        allow_loops: hand over loops too.
        mask: private data that is replaced by placeholders, unless it stands in the prompt
            (:mod:`huggingtweets.privacy.masking`); None replaces nothing.
        starts: what the posts begin with, and which of them are wanted; None begins each with the
            prompt. See :mod:`huggingtweets.generation.tagged`.
        numbers: of its rows; seed and number decide a row's random numbers. Default: from 0.
        client: who wants them; clients take turns.

    Attributes:
        missing: posts not handed over yet.
        copies: copies that were rejected.
        loops: loops that were rejected.
        masked: posts in which private data was replaced.
        running: rows that have not ended.

    Raises:
        InputError: the number of posts is not a whole number from 1 to 10,000, or the prompt is
            longer than a post or the model's context, or it leaves no room for a single post of
            the context.
    """

    @checked
    def __init__(
        self,
        lm: LanguageModel,
        prompt: Prompt,
        n: PostCount,
        sampling: Sampling,
        index: CopyIndex | None = None,
        *,
        context: Sequence[batching.Row] = (),
        allow_copies: bool = False,
        allow_loops: bool = False,
        mask: Mask | None = "personal",
        starts: TaggedStarts | None = None,
        numbers: Iterator[int] | None = None,
        client: str = "",
    ) -> None:
        self.prompt, self.sampling, self.index, self.client = prompt, sampling, index, client
        self.allow_copies, self.allow_loops = allow_copies, allow_loops
        self.start = encode_prompt(lm, prompt, sampling)
        self.fitting = fit_context(lm, self.start, context)
        self._context = tuple(batching.concat_with_separators(self.fitting, lm.separator))
        seed = sampling.seed
        self.seed = random.SystemRandom().getrandbits(62) if seed is None else seed
        self.missing, self._tries = n, n * _TRIES_PER_POST
        self.running = 0
        self._numbers = count() if numbers is None else numbers
        self.copies = self.loops = self.masked = 0
        self._mask, self.lm, self._tagged = mask, lm, starts
        self._slot = multi_adapter.slot_of(lm)
        self._limits = Limits()
        self._rules = None if index is None else TokenRules(lm, index)

    def rows(self, most: int) -> list[Row]:
        """Return new rows; fewer than ``most`` when the tries run out."""
        number = min(most, self._tries)
        self._tries -= number
        self.running += number
        return [
            Row(
                self._next_start(),
                self.sampling,
                row_rng(self.seed, i),
                self,
                self._context,
                self._limits,
                self._slot,
                self._rules,
            )
            for i in islice(self._numbers, number)
        ]

    def _next_start(self) -> batching.Row:
        if self._tagged is None:
            return self.start
        # cut to the model's context like any other row
        ids = self.lm.encode(self._tagged.next_start())
        return [self.lm.separator, *ids][: self.lm.context - 1]

    def finish(self, row: Row, text: str) -> Any:  # noqa: ANN401 - its kind of result
        """Return what to hand over for a finished row, or None when another must replace it."""
        del row
        return self.accept(text)

    def replacements(self, row: Row) -> list[Row]:
        """Return the row that replaces a rejected one; none when the tries run out."""
        del row
        return self.rows(1)

    def progress(self) -> Iterable[Any]:
        """Return what to hand over of the rows that haven't finished."""
        return ()

    def accept(self, text: str) -> GeneratedPost | None:
        """Return a finished row's text as a post, or None when another row must replace it."""
        self.running -= 1
        post = to_generated_post(text, self.prompt, self.index)
        if post is None:
            return None
        if not self.allow_loops and is_new_loop(post):
            self.loops += 1
            return None
        if post.copied and not self.allow_copies:
            self.copies += 1
            return None
        if self._tagged is not None and not self._tagged.accepts(post.text):
            return None
        self.missing -= 1
        if self._mask and masking.reveals(post.text, self.prompt, self._mask):
            self.masked += 1
            text = masking.mask(post.text, self._mask)
            text = batch_engine.cut_at_word(text, self.sampling.max_chars)
            post = replace(post, text=text, masked=True)
        return post


class RequestBatch:
    """All requests for one model, or for bots that share a base.

    Args:
        lm: the model, or any of the bots.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self.engine = BatchEngine(lm)
        self.max_rows = batch_engine.rows_at_once(lm)
        self.waiting: deque[Row] = deque()
        self.requests: dict[PostRequest, None] = {}  # ordered, unlike a set

    def add(self, request: PostRequest) -> None:
        """Take a request; its rows join at the next step."""
        self.waiting.extend(request.rows(request.missing))
        self._take_turns()
        self.requests[request] = None

    def _take_turns(self) -> None:
        """Order the waiting rows by turns of their clients; who has fewest rows at work begins."""
        by_client: dict[str, deque[Row]] = {}
        for row in self.waiting:
            by_client.setdefault(row.owner.client, deque()).append(row)
        if len(by_client) > 1 and self.engine.supports_padding:  # else equal beginnings go together
            running = Counter(row.owner.client for row in self.engine.rows)
            clients = sorted(by_client, key=lambda client: running[client])
            turns = zip_longest(*(by_client[client] for client in clients))
            self.waiting = deque(row for turn in turns for row in turn if row is not None)

    def remove(self, request: PostRequest) -> None:
        """Forget a request and its rows."""
        self.requests.pop(request, None)
        self.waiting = deque(row for row in self.waiting if row.owner is not request)
        self.engine.drop(lambda row: row.owner is request)

    def step(self) -> Iterable[tuple[PostRequest, Any]]:
        """Sample one token for every row.

        Returns:
            Results with their requests, in the order in which they ended: posts, or what a kind of
            request makes of its rows. None comes after a request's last result. A request may end
            before it has all its posts, when the tries ran out. The exception that a request's post
            raised ends that request alone.
        """
        self._join()
        results: list[tuple[PostRequest, Any]] = []
        try:
            ended = self.engine.step() if self.engine.rows else ()
        except DamagedBotError as error:
            return self._remove_damaged(error)
        for row, text in ended:
            request: PostRequest = row.owner
            if request not in self.requests:
                continue
            try:
                post = request.finish(row, text)
            except Exception as error:  # noqa: BLE001 - other requests must not be affected
                self.remove(request)
                results.append((request, error))
                continue
            if post is not None:
                results.append((request, post))
            else:
                # goes first, as its caller waits already
                self.waiting.extendleft(request.replacements(row))
        for request in list(self.requests):
            try:
                results += [(request, part) for part in request.progress()]
            except Exception as error:  # noqa: BLE001 - as above
                self.remove(request)
                results.append((request, error))
        for request in [r for r in self.requests if not r.running]:
            results.append((request, None))
            self.remove(request)
        return results

    def _remove_damaged(self, error: DamagedBotError) -> list[tuple[PostRequest, Any]]:
        """End the requests for damaged bots, without those for other bots of the same base."""
        damaged = list(dict.fromkeys(row.owner for row in error.rows))
        if not damaged:
            raise error
        for request in damaged:
            self.remove(request)
        return [(request, error) for request in damaged]

    def _join(self) -> None:
        free = self.max_rows - len(self.engine.rows)
        enough = min(len(self.waiting), max(1, int(self.max_rows * _JOINING_SHARE)))
        if free < enough:
            return
        candidates = [self.waiting[i] for i in range(min(free, len(self.waiting)))]
        count = self.engine.count_joinable(candidates)
        self.engine.add([self.waiting.popleft() for _ in range(count)])


def encode_prompt(lm: LanguageModel, prompt: str, sampling: Sampling) -> batching.Row:
    """Return the tokens that a post with this prompt begins with, the separator first.

    Raises:
        InputError: the prompt is longer than a post or the model's context.
    """
    if len(prompt) >= sampling.max_chars:
        raise InputError(
            f"The prompt has {len(prompt)} characters and a post at most "
            f"{sampling.max_chars}; shorten it or raise --max-chars."
        )
    # the space before the next word belongs to that word's token
    ids = lm.encode(prompt.rstrip())
    if len(ids) + 2 > lm.context:
        raise InputError(
            f"The prompt has {len(ids)} tokens and the model reads at most "
            f"{lm.context}; shorten it."
        )
    return [lm.separator, *ids]


def fit_context(
    lm: LanguageModel, start: batching.Row, context: Sequence[batching.Row]
) -> list[batching.Row]:
    """Return the newest posts of the context that leave room for a new post after ``start``.

    Raises:
        InputError: there are posts and none of them fits.
    """
    room = lm.context - len(start) - lm.max_post_tokens
    fitting = list(batching.fit_recent_posts(context, room))
    if context and not fitting:
        raise InputError(
            f"No post of those to imitate fits into the {lm.context} tokens that the model reads, "
            "beside the prompt and a new post; shorten the prompt, or take more or shorter posts."
        )
    return fitting


def to_generated_post(text: str, prompt: str, index: CopyIndex | None) -> GeneratedPost | None:
    """Return a text as a post, compared with the training posts; None when it is empty.

    Args:
        text: prompt included.
        prompt: what it had to begin with.
        index: the training posts; None compares with nothing.
    """
    if "\ufffd" not in prompt:  # tokens are bytes: some stand for half a character
        text = text.replace("\ufffd", "").strip()
    if not text.strip() or text.strip() == prompt.strip():
        return None
    if index is None:
        return GeneratedPost(text, prompt)
    run = index.longest_run(text)
    return GeneratedPost(text, prompt, run.words, index.is_copy(text))


def is_new_loop(post: GeneratedPost) -> bool:
    """Whether a post repeats itself and its prompt doesn't."""
    return copy_index.is_loop(post.text) and not copy_index.is_loop(post.prompt)
