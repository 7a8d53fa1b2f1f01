"""The plug-in for `llm <https://llm.datasette.io>`_: ``llm -m nasa "My dream is"``.

It offers the bots of ``$HUGGINGTWEETS_RUNS``, a folder of runs, or else of ``runs`` in the current
folder, under the names of their folders. A bot knows no conversation: each prompt begins a post.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import llm
from pydantic import Field

from huggingtweets.errors import HuggingTweetsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingtweets.generation.bots import Bot
    from huggingtweets.storage.run_folder import RunFolder

_PREFIX = "huggingtweets/"
"""A second name of each bot, should another plug-in have a model of the same name."""


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Offer all bots to llm."""
    from huggingtweets.storage.run_folder import list_runs

    for run in list_runs(Path(os.environ.get("HUGGINGTWEETS_RUNS") or "runs").expanduser()):
        if run.has_bot:
            name = run.path.name
            aliases = dict.fromkeys((name.lower(), f"{_PREFIX}{name}", f"{_PREFIX}{name.lower()}"))
            register(BotModel(run), aliases=tuple(alias for alias in aliases if alias != name))


class BotModel(llm.Model):
    """A bot as a model of llm.

    Args:
        run: its run folder.
    """

    can_stream = True

    class Options(llm.Options):
        """Sampling settings; the same as those of ``huggingtweets generate``."""

        temperature: float | None = Field(
            default=None, description="Sampling temperature: lower is safer, higher more varied."
        )
        top_p: float | None = Field(
            default=None, description="Sample from the likeliest tokens with this probability."
        )
        seed: int | None = Field(default=None, description="The same seed gives the same post.")
        max_tokens: int | None = Field(default=None, description="Most new tokens of the post.")
        max_chars: int | None = Field(default=None, description="Most characters of the post.")

    def __init__(self, run: RunFolder) -> None:
        self.model_id = run.path.name
        self._run = run
        self._bot: Bot | None = None

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None,
    ) -> Iterator[str]:
        """Yield a post that begins with the prompt, in parts.

        Raises:
            llm.ModelError: the bot or a setting can't be used.
        """
        del conversation
        if prompt.system:
            raise llm.ModelError(
                f"{self.model_id} takes no system prompt: it continues the beginning of a post."
            )
        try:
            yield from self._post(prompt, stream=stream, response=response)
        except HuggingTweetsError as error:
            raise llm.ModelError(str(error)) from error

    def _post(self, prompt: llm.Prompt, *, stream: bool, response: llm.Response) -> Iterator[str]:
        from huggingtweets.generation.batch_engine import Limits
        from huggingtweets.generation.completions import CompletionRequest, Wanted, parts_of
        from huggingtweets.generation.sampling import Sampling

        given = prompt.options.model_dump(exclude_none=True)
        most_tokens = given.pop("max_tokens", None)
        if most_tokens is not None and most_tokens < 1:
            raise llm.ModelError(f"max_tokens must be a whole number from 1, not {most_tokens}.")
        wanted = Wanted(stream=stream, limits=Limits(most_tokens))
        request = CompletionRequest(self._opened(), prompt.prompt or "", Sampling(**given), wanted)
        tokens = 0
        ending = None
        yield request.shown_prompt
        for part in parts_of(request):
            tokens, ending = tokens + part.tokens, part.finish
            yield part.text
        response.set_usage(input=len(request.start), output=tokens)
        if ending == "content_filter":
            raise llm.ModelError(
                "All attempts were copies of real posts, or loops. Try another prompt or seed."
            )

    def _opened(self) -> Bot:
        if self._bot is None:
            from huggingtweets.generation import bots

            self._bot = bots.open_bot(self._run.path)
            if self._bot.warning:
                print(f"warning: {self.model_id} is {self._bot.warning}", file=sys.stderr)
        return self._bot
