"""Opening a bot: its model, and the posts it was trained on where they are at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.data import batching
from huggingtweets.errors import BaseModelError, BotError, InputError
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.writer import GeneratedPost, Sampling, Writer
from huggingtweets.nn import bases, devices, int8, language_model
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from huggingtweets.nn.language_model import LanguageModel


@dataclass(frozen=True)
class Bot:
    """A bot ready to write.

    Attributes:
        model: the fine-tuned model.
        index: posts it has seen, to catch copies: those it was trained on and those it imitates;
            None for a bot without its run folder that imitates none.
        context: posts to read before each new one, oldest first.
        warning: a sentence on what is wrong with it, or None.
    """

    model: LanguageModel
    index: CopyIndex | None
    context: Sequence[str] = ()
    warning: str | None = None

    def with_few_shot(self, posts: Sequence[str], most: int = 8) -> Bot:
        """The same bot, which reads the newest of an author's posts before it writes each one.

        Args:
            posts: curated and oldest first; copies of any are caught, read or not.
            most: so many at most, fewer where the model's context has no room for more.
        """
        if most < 1:
            raise InputError(f"At least one post must be read to imitate an author, not {most}.")
        seen = self.index.posts if self.index else ()
        return replace(self, index=CopyIndex([*seen, *posts]), context=posts[-most:])

    def writer(self, sampling: Sampling, *, allow_copies: bool = False) -> Writer:
        """A :class:`~huggingtweets.generation.writer.Writer` with its own random numbers."""
        return Writer(
            self.model, sampling, self.index, allow_copies=allow_copies, context=self.context
        )

    def generate(
        self,
        prompt: str = "",
        n: int = 10,
        *,
        temperature: float = language_model.TEMPERATURE,
        top_p: float = language_model.TOP_P,
        max_chars: int = 280,
        seed: int | None = None,
        allow_copies: bool = False,
    ) -> Iterator[GeneratedPost]:
        """New posts as they finish; see :class:`~huggingtweets.generation.writer.Sampling`.

        Raises:
            InputError: a setting is out of range, or the prompt is too long.
        """
        sampling = Sampling(temperature, top_p, max_chars, seed)
        return self.writer(sampling, allow_copies=allow_copies).write(prompt, n)


def open_bot(spec: str | Path, device: str | None = None, precision: str | None = None) -> Bot:
    """Open a run folder, a bot folder, a bot of the Hugging Face Hub, or a base.

    Args:
        spec: which bot.
        device: ``cpu``, ``cuda``, ``mps`` or None for the fastest there is.
        precision: ``bf16``, ``fp32``, ``int8`` or None for the fastest that writes the same.

    Raises:
        BotError: there is no such bot.
        InputError: there is no such device, or it doesn't compute in this precision.
    """
    where = devices.select_device(device, None if precision == "int8" else precision)
    run = _find_run(spec)
    if run is None:
        bot = Bot(_load(spec).to(where), None)
    else:
        bot = with_copy_index(load_from_run(run).to(where), run)
    if precision == "int8":
        if where.device != "cpu":
            raise InputError("Only a CPU writes in int8; add --device cpu.")
        return replace(bot, model=int8.quantize_int8(bot.model))
    if precision is None:
        return replace(
            bot, model=int8.quantize_if_faster(bot.model, bot.index.posts if bot.index else ())
        )
    return bot


def with_copy_index(model: LanguageModel, run: RunFolder) -> Bot:
    """A run's bot beside the posts it was trained on, so that copies are caught."""
    kept = batching.texts_by_author(run.table("kept"), "train", run.record().authors)
    index = CopyIndex(text for texts in kept.values() for text in texts)
    return Bot(model, index, warning=run.staleness_warning())


def load_from_run(run: RunFolder) -> LanguageModel:
    """The bot of a run as it was saved.

    Raises:
        BotError: there is none yet.
    """
    if not (run.bot / "config.json").is_file():
        raise BotError(
            f"{run.path} has no bot yet ({run.display_state()}); "
            f"go on with: huggingtweets train --resume {run.path}"
        )
    return _load(run.bot)


def find_run_folder(spec: str | Path) -> RunFolder:
    """The run folder of a bot.

    Raises:
        BotError: there is none; a bot alone lacks the posts it must be judged on.
    """
    run = _find_run(spec)
    if run is None:
        raise BotError(
            f"{spec} is not a run folder. Judging and publishing a bot take what stays in the run "
            "folder it was made in; name that one (huggingtweets runs lists them)."
        )
    return run


def _find_run(spec: str | Path) -> RunFolder | None:
    """The run a path belongs to: itself, or the folder around its ``bot/``."""
    path = Path(spec)
    candidates = [path, path.parent] if path.name == "bot" else [path]
    return next((RunFolder(p) for p in candidates if RunFolder(p).record_file.is_file()), None)


def _load(spec: str | Path) -> LanguageModel:
    try:
        return language_model.load(spec)
    except BaseModelError as error:
        if str(spec) in bases.BUILT_IN or Path(spec).suffix == ".gguf":
            raise  # it tells more than what follows
        if Path(spec).is_dir():
            raise BotError(f"{spec} is not a whole bot folder; make the bot anew.") from error
        raise BotError(
            f"There is no bot {str(spec)!r} here, and none that can be loaded from the Hugging "
            "Face Hub. huggingtweets runs lists those you have."
        ) from error
