"""Export a bot as the difference to its base, in the format of peft, which vLLM reads too."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from huggingtweets.errors import BaseModelError, BotError, InputError
from huggingtweets.events import Event
from huggingtweets.publish.card import CARD, PIPELINE, pipeline_drawing, render_card
from huggingtweets.publish.facts import PICTURE, AdapterFacts, Facts
from huggingtweets.publish.files import is_publishable
from huggingtweets.publish.gguf import MEASURED_POSTS, held_out_posts

if TYPE_CHECKING:
    from pathlib import Path

    from huggingtweets.events import EventHandler
    from huggingtweets.nn.language_model import LanguageModel
    from huggingtweets.storage.run_folder import RunFolder, RunRecord


def write(run: RunFolder, folder: Path, rank: int | None, listen: EventHandler) -> AdapterFacts:
    """Write a bot's small form into a new folder; that of a small bot is copied.

    Args:
        run: a finished run.
        folder: an empty folder.
        rank: of a full bot's pairs. Default: 16.
        listen: called with what is being done.

    Raises:
        InputError: the bot is small and has another rank.
        BaseModelError: the base isn't there, or has changed since.
        BotError: the bot has no held-out post.
    """
    facts = Facts.of(run)
    if facts.adapter and facts.adapter.rank:
        if rank not in (None, facts.adapter.rank):
            raise InputError(
                f"{run.path} is a small bot of rank {facts.adapter.rank}; leave --rank out, or "
                f"expand it first: huggingtweets expand {run.path} --replace"
            )
        listen(Event("export", message="to an adapter"))
        for file in run.bot.iterdir():
            if is_publishable(file.name) and file.name not in (CARD, PIPELINE, PICTURE):
                shutil.copyfile(file, folder / file.name)
        made = facts.adapter
    else:
        made = shrink(run, folder, rank or _default_rank(), listen)
    text = render_card(replace(facts, adapter=made))
    (folder / CARD).write_text(text, encoding="utf-8")
    (folder / PIPELINE).write_text(pipeline_drawing(), encoding="utf-8")
    if facts.picture:
        (folder / PICTURE).write_bytes(run.picture.read_bytes())
    return made


def shrink(run: RunFolder, folder: Path, rank: int, listen: EventHandler) -> AdapterFacts:
    """Write a full bot's difference to its base into a folder, with its tokenizer.

    Args:
        run: a finished run.
        folder: an empty folder.
        rank: of the pairs of matrices.
        listen: called with what is being done.

    Returns:
        What it is, with the bits per byte of the newest held-out posts before and after.

    Raises:
        BaseModelError: the base isn't there, or has changed since.
        InputError: the base has no linear layers.
        BotError: the bot has no held-out post.
    """
    from huggingtweets.generation import bots
    from huggingtweets.nn import adapters, devices, likelihood
    from huggingtweets.training import shrinking

    posts = held_out_posts(run)[-MEASURED_POSTS:]
    record = run.record()
    listen(Event("export", message=f"to pairs of rank {rank}"))
    base, digest = base_of(run, record)
    bot = bots.load_from_run(run)
    adapter = shrinking.shrink(bot.model, base.model, rank)
    if not adapter.pairs:
        raise BotError(
            f"{run.path} writes like its base {record.config['base']}: no linear layer differs, so "
            "there is nothing to make small."
        )
    adapter = replace(adapter, base=record.config["base"], base_digest=digest)
    base.save_adapter(adapter, folder)
    listen(Event("export", message=f"to pairs of rank {rank}, measuring them"))
    device = devices.select_device(record.config["device"], record.config["precision"])
    before = likelihood.bits_per_byte(bot.to(device), posts)
    adapters.fold(base.model, adapters.read(folder))
    after = likelihood.bits_per_byte(base.to(device), posts)
    size = (folder / adapters.WEIGHTS).stat().st_size
    return AdapterFacts(rank, size, len(posts), after, before)


def base_of(run: RunFolder, record: RunRecord) -> tuple[LanguageModel, str]:
    """Load the base of a run's bot and return it with its digest.

    Raises:
        BaseModelError: it isn't there, or has changed since.
    """
    from huggingtweets.nn import language_model

    name = str(record.config["base"])
    base = language_model.load(name)
    digest, expected = base.digest(), record.config.get("base_digest")
    if expected and digest != expected:
        raise BaseModelError(
            f"The base {name} has changed since {run.path} was trained from it (SHA-256 "
            f"{digest[:12]}…, not {expected[:12]}…), so the difference to it can't be told. Bring "
            "the earlier weights back."
        )
    return base, digest


def _default_rank() -> int:
    from huggingtweets.training.recipe import DEFAULT_RANK

    return DEFAULT_RANK
