"""Small bots: saved as the difference to their base, and made from full bots and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.events import ignore
from huggingtweets.generation import bots
from huggingtweets.nn import adapters, language_model
from huggingtweets.nn.model_folder import UnusableModelError
from huggingtweets.privacy import opt_out
from huggingtweets.publish import adapter as publish_adapter
from huggingtweets.publish.files import check_may_leave
from huggingtweets.storage import files

if TYPE_CHECKING:
    from huggingtweets.events import EventHandler
    from huggingtweets.nn.adapters import Adapter
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.publish.facts import AdapterFacts
    from huggingtweets.storage.run_folder import RunFolder
    from huggingtweets.training import Recipe, TrainingResult


def check_base(name: str, base: LanguageModel, recipe: Recipe) -> int:
    """Check that a base can be that of a small bot; return the number of weights to train.

    Raises:
        InputError: it is a small bot itself, or the chosen layers have no linear ones.
    """
    from huggingtweets.training import lora

    folder = Path(name).expanduser()
    if adapters.is_adapter(folder):
        raise InputError(
            f"{name} is a small bot, which can't be the base of another. Make a full bot of it "
            f"first: huggingtweets expand {name}"
        )
    if not recipe.rank:
        return base.parameters
    return lora.count(base.model, recipe.layers or 0, recipe.rank)


def save(lm: LanguageModel, result: TrainingResult, base: str, digest: str, folder: Path) -> None:
    """Save what a training made: a whole model, or an adapter to the base of that name and digest.

    Raises:
        OSError: the disk is full or the folder can't be written.
    """
    if result.adapter is None:
        lm.save(folder)
    else:
        lm.save_adapter(replace(result.adapter, base=base, base_digest=digest), folder)


@dataclass(frozen=True)
class Further:
    """How to train a finished bot further, so that it stays a small one or a full one.

    Attributes:
        bot: folder of the bot.
        recipe: the recipe of the training.
        adapter: the small bot; None for a full one.
    """

    bot: Path
    recipe: Recipe
    adapter: Adapter | None

    @property
    def pairs(self) -> Adapter | None:
        """The pairs to start from; None for whole weights."""
        return self.adapter if self.adapter and self.adapter.pairs else None

    def load(self, attention: str | None) -> LanguageModel:
        """Load the model to train: of a bot of pairs its base, else the bot.

        Raises:
            BaseModelError: it can't be loaded.
        """
        if not (pairs := self.pairs):
            return language_model.load(self.bot, attention=attention)
        base = language_model.load_base(pairs, str(self.bot), attention)
        adapters.fold(base.model, replace(pairs, pairs={}))
        return base

    def save(self, lm: LanguageModel, result: TrainingResult, folder: Path) -> None:
        """Save what the training made; a small bot keeps its base."""
        base = (self.adapter.base, self.adapter.base_digest) if self.adapter else ("", "")
        save(lm, result, *base, folder)


def to_train_further(run: RunFolder, recipe: Recipe) -> Further:
    """Return how to train a run's bot further.

    A bot that was made small after its training goes on as LoRA, and one that was expanded as a
    whole model, each with the learning rate for that.

    Raises:
        BotError: the bot is damaged.
    """
    if not run.is_small:
        return Further(run.bot, recipe.as_full(), None)
    try:
        adapter = adapters.read(run.bot)
    except UnusableModelError as error:
        raise BotError(f"The bot folder {run.bot} is damaged ({error}).") from error
    if adapter.pairs:
        recipe = recipe.as_lora(adapter.rank)
    return Further(run.bot, recipe, adapter)


def check_full(run: RunFolder) -> None:
    """Check that a run's bot can be made small.

    Raises:
        BotError: the run isn't finished, or its bot is small already or out of date.
    """
    check_may_leave(run)
    if run.is_small:
        raise BotError(f"{run.path} is a small bot already.")


def check_small(run: RunFolder) -> None:
    """Check that a run's bot can be made a full one.

    Raises:
        BotError: the run isn't finished, or its bot is a full one already or out of date.
    """
    check_may_leave(run)
    if not run.is_small:
        raise BotError(f"{run.path} is a full bot already.")


def shrink(run: RunFolder, rank: int, listen: EventHandler = ignore) -> AdapterFacts:
    """Replace a run's full bot by a small one, and measure it anew.

    Args:
        run: a finished run.
        rank: of the pairs of matrices.
        listen: called with every event.

    Raises:
        BotError: the run isn't finished, or its bot is small already or out of date.
        BaseModelError: the base isn't there, or has changed since.
        StorageError: the disk is full, or another process uses the run.
    """
    from huggingtweets import pipeline

    check_full(run)
    with run.locked():
        with files.atomic_write_dir(run.bot) as folder:
            made = publish_adapter.shrink(run, folder, rank, listen)
            _keep_picture(run, folder)
        record = run.record()
        before, after = made.bits_per_byte_full, made.bits_per_byte
        record.shrunk = {"rank": rank, "before": before, "after": after}
        run.save(record)
        pipeline.evaluate_locked(run, listen)
    return made


def expand(run: RunFolder) -> None:
    """Replace a run's small bot by the whole model that it is, and write its card anew.

    Raises:
        BotError: the run isn't finished, or its bot is a whole model already or out of date.
        BaseModelError: the base isn't there, or has changed since.
        StorageError: the disk is full, or another process uses the run.
    """
    from huggingtweets import publish

    check_small(run)
    lm = bots.load_from_run(run)
    with run.locked():
        with files.atomic_write_dir(run.bot) as folder:
            lm.save(folder)
            _keep_picture(run, folder)
        publish.write_card(run)


def expand_folder(bot: Path, out: Path | None = None) -> Path:
    """Write the whole model of a small bot's folder alone, such as a downloaded one.

    Args:
        bot: the folder.
        out: a new folder. Default: ``exports/NAME-safetensors``.

    Returns:
        The new folder.

    Raises:
        OptedOutError: an author asked not to be imitated.
        BaseModelError: the bot is damaged, or its base isn't there or has changed since.
        StorageError: the new folder exists or can't be written.
    """
    opt_out.check_card(bot)
    target = out or Path("exports", f"{bot.absolute().name}-safetensors")
    if target.exists() or target.is_symlink():
        raise StorageError(f"{target} already exists. Choose another --out, or delete it.")
    lm = language_model.load(bot)
    with files.atomic_write_dir(target) as folder:
        lm.save(folder)
    return target


def _keep_picture(run: RunFolder, folder: Path) -> None:
    if run.picture.is_file():
        (folder / run.picture.name).write_bytes(run.picture.read_bytes())
