"""Write posts for one caller: an iterator over a batch of its own."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from huggingtweets.generation import tagged
from huggingtweets.generation.requests import (
    PostRequest,
    RequestBatch,
    encode_prompt,
    fit_context,
)
from huggingtweets.generation.sampling import NewPost, Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from huggingtweets.data.hashtags import Hashtag
    from huggingtweets.generation.copy_index import CopyIndex
    from huggingtweets.generation.sampling import GeneratedPost
    from huggingtweets.generation.tagged import TaggedStarts
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.privacy.masking import Mask

__all__ = ["NewPost", "Sampling", "Writer"]


class Writer:
    """Writes posts with a bot.

    Args:
        lm: the bot.
        sampling: settings.
        index: the training posts, to catch copies, to mention only accounts that they mention, and
            to begin as they do; None does neither.
        allow_copies: hand over copies too, marked.
        allow_loops: hand over posts that repeat themselves too.
        mask: private data that is replaced by placeholders; None replaces nothing.
        context: posts to imitate, oldest first. The model reads as many of the newest as leave room
            for a new post. They are never part of its text.

    Attributes:
        rejected: copies that were written again so far.
        loops: posts that repeated themselves and were written again so far.
        masked: posts in which private data was replaced so far.
        misplaced: posts without the wanted hashtag at its place that were written again so far.
    """

    def __init__(
        self,
        lm: LanguageModel,
        sampling: Sampling,
        index: CopyIndex | None = None,
        *,
        allow_copies: bool = False,
        allow_loops: bool = False,
        mask: Mask | None = "personal",
        context: Sequence[str] = (),
    ) -> None:
        if sampling.seed is None:
            sampling = replace(sampling, seed=random.SystemRandom().getrandbits(62))
        self.lm, self.sampling, self.index = lm, sampling, index
        self.allow_copies, self.allow_loops = allow_copies, allow_loops
        self.mask = mask
        self.rejected = self.loops = self.masked = self.misplaced = 0
        self._context = lm.encode_all(context)
        self._numbers = count()

    def write(
        self, prompt: str = "", n: int = 10, hashtag: Hashtag | None = None
    ) -> Iterator[GeneratedPost]:
        """Return ``n`` new posts as they finish; fewer when nearly all are copies or loops.

        Args:
            prompt: text that each post begins with.
            n: number of posts.
            hashtag: a tag that each post has (:mod:`huggingtweets.generation.tagged`).

        Raises:
            InputError: at once, when the prompt is longer than a post or the model's context, or it
                leaves no room for a single post to imitate.
        """
        if hashtag is None:
            return self._request(prompt, n, self.sampling, None)
        return tagged.write(
            self.lm, hashtag, prompt, n, sampling=self.sampling, request=self._request
        )

    def _request(
        self, prompt: str, n: int, sampling: Sampling, starts: TaggedStarts | None
    ) -> Iterator[GeneratedPost]:
        request = PostRequest(
            self.lm,
            prompt,
            n,
            sampling,
            self.index,
            context=self._context,
            allow_copies=self.allow_copies,
            allow_loops=self.allow_loops,
            mask=self.mask,
            starts=starts,
            numbers=self._numbers,
        )
        return self._posts(request, starts)

    def context_post_count(self, prompt: str = "") -> int:
        """Return how many posts of the context are read before a post with this prompt."""
        start = encode_prompt(self.lm, prompt, self.sampling)
        return len(fit_context(self.lm, start, self._context))

    def _posts(self, request: PostRequest, starts: TaggedStarts | None) -> Iterator[GeneratedPost]:
        batch = RequestBatch(self.lm)
        batch.add(request)
        while batch.requests:
            rejected, loops, masked = request.copies, request.loops, request.masked
            posts = []
            for _, post in batch.step():
                if isinstance(post, Exception):
                    raise post
                if post is not None:
                    posts.append(post)
            self.rejected += request.copies - rejected
            self.loops += request.loops - loops
            self.masked += request.masked - masked
            yield from posts
        self.misplaced += starts.misplaced if starts else 0
