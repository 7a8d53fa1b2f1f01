"""Open a bot: load its model, and its training posts to catch copies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.arguments import Share, check
from huggingtweets.data import batching
from huggingtweets.errors import BaseModelError, BotError, InputError, MissingBaseError
from huggingtweets.generation.copy_index import CopyIndex
from huggingtweets.generation.sampling import GeneratedPost, Sampling
from huggingtweets.nn import bases, devices, language_model
from huggingtweets.nn.model_folder import UnusableModelError
from huggingtweets.privacy import masking, opt_out
from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from huggingtweets.data.hashtags import Hashtags
    from huggingtweets.generation.writer import Writer
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.privacy.masking import Mask


@dataclass(frozen=True)
class Bot:
    """A bot ready to write.

    Attributes:
        model: the fine-tuned model.
        index: its training posts and few-shot posts, to catch copies; None for a bot without its
            run folder and without few-shot posts.
        context: few-shot posts that the model reads before each new post, oldest first.
        warning: a problem with the bot to show to the user, or None.
        mask: private data that is masked in what it writes: that which was masked in its posts.
    """

    model: LanguageModel
    index: CopyIndex | None
    context: Sequence[str] = ()
    warning: str | None = None
    mask: Mask = "personal"

    def with_few_shot(self, posts: Sequence[str], most: int = 30) -> Bot:
        """Return a bot that reads an author's newest posts before it writes each new post.

        Args:
            posts: curated posts, oldest first. Copies of all of them are caught.
            most: maximum number of posts to read; fewer where they don't fit into the context.

        Raises:
            InputError: ``most`` is less than 1.
        """
        if most < 1:
            raise InputError(f"The number of few-shot posts must be at least 1, not {most}.")
        indexed = self.index.posts if self.index else ()
        return replace(self, index=CopyIndex([*indexed, *posts]), context=posts[-most:])

    def blended(self, other: Bot, share: float) -> Bot:
        """Return a bot that mixes the probabilities of two, token by token.

        Args:
            other: a bot with the same tokenizer.
            share: weight of its probabilities, 0 to 1; the rest is this bot's.

        Raises:
            BotError: the tokenizers differ, or a bot can't be mixed.
            InputError: the share is out of range.
        """
        from huggingtweets.generation import batch_engine
        from huggingtweets.nn import blended

        share = check({"share": share}, {"share": Share})["share"]
        for bot in (self, other):
            if not batch_engine.supports_padding(bot.model):
                raise BotError(
                    f"The bot {bot.model.source} can't be mixed with another while they write: its "
                    "model doesn't read all tokens before a new one. Merge them instead: "
                    "huggingtweets merge"
                )
        indices = [bot.index for bot in (self, other) if bot.index]
        index = CopyIndex([post for index in indices for post in index.posts]) if indices else None
        warnings = list(dict.fromkeys(bot.warning for bot in (self, other) if bot.warning))
        return replace(
            self,
            model=blended.blend(self.model, other.model, share),
            index=index,
            warning="; ".join(warnings) or None,
        )

    def hashtags(self, least: int = 1) -> Hashtags:
        """Return the hashtags in at least ``least`` of the posts that the bot learnt.

        Raises:
            BotError: the posts are not known.
        """
        from huggingtweets.data.hashtags import Hashtags

        if self.index is None:
            raise BotError(
                f"{self.model.source} is only a model without the posts it learnt, so its author's "
                "hashtags aren't known. Name a run folder."
            )
        return Hashtags(self.index.posts, least)

    def writer(self, sampling: Sampling, *, allow_copies: bool = False) -> Writer:
        """Return a :class:`~huggingtweets.generation.writer.Writer` with its own random numbers."""
        from huggingtweets.generation.writer import Writer

        return Writer(
            self.model,
            sampling,
            self.index,
            allow_copies=allow_copies,
            mask=self.mask,
            context=self.context,
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
        hashtag: str | None = None,
    ) -> Iterator[GeneratedPost]:
        """Yield ``n`` new posts as they finish, fewer when nearly all are copies or loops.

        The settings are those of :class:`~huggingtweets.generation.sampling.Sampling`. ``hashtag``,
        with or without ``#``, is one of the author's own that each post shall have.

        Raises:
            InputError: a setting is out of range, the prompt is too long, or the author never used
                the hashtag.
        """
        sampling = Sampling(temperature, top_p, max_chars, seed)
        tag = None if hashtag is None else self.hashtags().find(hashtag)
        return self.writer(sampling, allow_copies=allow_copies).write(prompt, n, tag)


def open_bot(spec: str | Path, device: str | None = None, precision: str | None = None) -> Bot:
    """Open a bot or a base.

    Args:
        spec: a run folder, a bot folder, a bot on the Hugging Face Hub, or a base.
        device: ``cpu``, ``cuda``, ``mps``, or None for the fastest available.
        precision: ``bf16``, ``fp32``, ``int8``, or None for the fastest without a loss of quality.

    Raises:
        BotError: there is no such bot.
        OptedOutError: an author asked not to be imitated.
        InputError: the device is not available or doesn't support the precision.
    """
    machine = devices.select_device(device, None if precision == "int8" else precision)
    run = find_run(spec)
    if run is None:
        opt_out.check_card(Path(spec))
        bot = Bot(_load(spec).to(machine), None)
    else:
        bot = run.read_steadily(lambda: with_copy_index(load_from_run(run).to(machine), run))
    if precision in ("bf16", "fp32"):
        return bot
    from huggingtweets.nn import quantization

    if precision is None:
        posts = bot.index.posts if bot.index else ()
        return replace(bot, model=quantization.for_generation(bot.model, posts))
    if machine.device != "cpu":
        raise InputError("Precision int8 needs a CPU. Add --device cpu.")
    if not quantization.has_exact_int8():
        raise InputError(
            "This processor computes int8 inexactly, as it has no VNNI instructions. "
            "Leave --precision out."
        )
    return replace(bot, model=quantization.quantize_int8(bot.model))


def with_copy_index(model: LanguageModel, run: RunFolder) -> Bot:
    """Return a run's bot with its training posts, to catch copies."""
    record = run.record()
    index = CopyIndex(training_posts(run))
    mask = masking.level_of(record.config)
    return Bot(model, index, warning=run.staleness_warning(), mask=mask)


def training_posts(run: RunFolder) -> list[str]:
    """Return the posts that a run's bot learnt, by author.

    Raises:
        BotError: they are missing or damaged.
    """
    posts = batching.texts_by_author(run.table("kept"), "train", run.record().authors)
    return [text for texts in posts.values() for text in texts]


def load_from_run(run: RunFolder) -> LanguageModel:
    """Load the saved model of a run's bot.

    Raises:
        BotError: the run has no bot yet.
        OptedOutError: an author asked not to be imitated.
    """
    opt_out.check_run(run.record())
    if not run.has_bot:
        raise BotError(
            f"{run.path} has no bot yet ({run.display_state()}). "
            f"Resume the training with: huggingtweets train --resume {run.path}"
        )
    return _load(run.bot)


def is_run(spec: str | Path) -> bool:
    """Whether this is a run folder, the name of a run in ``runs/``, or a run's ``bot/``."""
    return find_run(spec) is not None


def find_run_folder(spec: str | Path) -> RunFolder:
    """Return the run folder of a bot that may be used.

    Raises:
        OptedOutError: an author asked not to be imitated.
        BotError: there is none. A bot folder alone lacks the held-out posts to evaluate it on.
    """
    run = find_run(spec)
    if run is None:
        raise BotError(
            f"{spec} is not a run folder, which this command needs: the folder in which a bot was "
            f"trained. {run_folder.suggestion(spec)}"
        )
    opt_out.check_run(run.record())
    return run


def find_run(spec: str | Path) -> RunFolder | None:
    """Return the run of a run folder or of its ``bot/``, or None."""
    path = run_folder.named(Path(spec))
    candidates = [path, path.parent] if path.name == "bot" else [path]
    return next((RunFolder(p) for p in candidates if RunFolder(p).record_file.is_file()), None)


def _load(spec: str | Path) -> LanguageModel:
    try:
        return language_model.load(spec)
    except MissingBaseError:
        raise  # the bot is there
    except BaseModelError as error:
        if str(spec) in bases.BUILT_IN or Path(spec).suffix == ".gguf":
            raise  # its message is more specific
        if Path(spec).is_dir():
            cause = error.__cause__
            reason = f" ({cause})" if isinstance(cause, UnusableModelError) else ""
            raise BotError(
                f"The bot folder {spec} is incomplete or damaged{reason}. Train the bot again."
            ) from error
        raise BotError(
            f"There is no bot {str(spec)!r} here, and none could be loaded from the Hugging Face "
            f"Hub. {run_folder.suggestion(spec)}"
        ) from error
