"""All that pages can ask for. Whatever a visitor names is checked here; the work is elsewhere."""

from __future__ import annotations

import shutil
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from huggingtweets import pipeline, publish
from huggingtweets.errors import BotError, HuggingTweetsError, InputError
from huggingtweets.generation.copy_index import words
from huggingtweets.generation.writer import Sampling
from huggingtweets.nn.language_model import TEMPERATURE
from huggingtweets.serving import bot_views, preview, publishing
from huggingtweets.serving.batch_scheduler import BatchScheduler
from huggingtweets.serving.bot_cache import BotCache
from huggingtweets.serving.quizzes import LARGEST, SMALLEST, Quizzes
from huggingtweets.serving.rate_limit import Rate
from huggingtweets.serving.schemas import MOST_SOURCES, WrittenPost
from huggingtweets.serving.trainings import Trainings
from huggingtweets.serving.worker import options_of
from huggingtweets.serving.workspaces import Workspaces
from huggingtweets.storage import files
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from huggingtweets.generation.writer import GeneratedPost
    from huggingtweets.serving.bot_cache import CachedBot
    from huggingtweets.serving.schemas import (
        BotPage,
        BotSummary,
        Quiz,
        Settings,
        SourcePreview,
        Status,
        TrainingRequest,
    )

_MOST_FAVOURITES = 1_000
_MOST_FOUND = 100
_LOOKS_AT_ONCE = 2
_SWEEP_EVERY = 3600.0
_LONGEST_POST = 2_000
"""Characters of a post that is marked, drawn or shared."""


class Service:
    """A server's state and what can be done with it.

    Every method raises the errors of :mod:`huggingtweets.errors`, whose sentence is to be shown. A
    name that isn't the visitor's is answered as one that doesn't exist.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._workspaces = Workspaces(settings)
        self._trainings = Trainings(settings, self._workspaces)
        self.open_bots = BotCache(settings.memory_gb * 1e9)
        self._scheduler = BatchScheduler()
        self._quizzes = Quizzes(pipeline.add_human)
        self._rate = Rate(settings.requests_a_minute)
        self._found: OrderedDict[tuple[str, TrainingRequest], SourcePreview] = OrderedDict()
        self._marking = threading.Lock()
        self._looks = threading.Semaphore(_LOOKS_AT_ONCE)
        self._swept = 0.0

    def start(self) -> None:
        """Queue again what was unfinished; start the worker processes and the writing thread.

        Raises:
            StorageError: another server works in the same folder.
        """
        home = self._workspaces.home
        with files.wrap_os_errors(home):
            home.mkdir(parents=True, exist_ok=True)
        self._home_lock = files.locked(home)
        self._home_lock.__enter__()
        self._trainings.queue_again()
        self._sweep()
        self._scheduler.start()
        self._trainings.start()

    def stop(self) -> None:
        """Stop all of it; trainings are saved and go on at the next start."""
        self._trainings.stop()
        self._scheduler.stop()
        self._home_lock.__exit__(None, None, None)

    def secret(self) -> bytes:
        """32 random bytes that stay the same for this server, to sign cookies with."""
        return self._workspaces.secret()

    # -- choose --------------------------------------------------------------------------------

    def keep_upload(self, visitor: str, file: Path, name: str) -> Path:
        """Move a file that was sent into the visitor's uploads; returns where it is now.

        That path, as text, is a source of an :class:`TrainingRequest`.

        Raises:
            InputError: it is too large, of no kind that is read, or there is no room for it.
        """
        self._rate.check(visitor)
        self._sweep()
        with self._redact_paths(visitor):
            return self._workspaces.keep_upload(visitor, file, name)

    def inspect(self, visitor: str, order: TrainingRequest) -> SourcePreview:
        """Read and curate the sources of an order; nothing is kept but what was downloaded.

        Raises:
            InputError: a source can't be read, or something in the order can't be used.
        """
        self._rate.check(visitor)
        with self._redact_paths(visitor):
            specs = self._checked(visitor, order)
            with self._looks:
                runs = dict.fromkeys((self._workspaces.runs(visitor), self._workspaces.out))
                base = order.base or self.settings.base
                found = preview.preview_sources(specs, order, base, list(runs))
            self._found[visitor, order] = found
            while len(self._found) > _MOST_FOUND:
                self._found.popitem(last=False)
            return found

    # -- train ---------------------------------------------------------------------------------

    def submit(self, visitor: str, order: TrainingRequest) -> str:
        """Queue a training; returns the run's name at once.

        Raises:
            InputError: something in the order can't be used, or too many trainings wait.
            StorageError: the name is taken.
        """
        self._rate.check(visitor)
        with self._redact_paths(visitor):
            specs = self._checked(visitor, order)
            found = self._found.get((visitor, order))
            return self._trainings.submit(visitor, order, specs, found.authors if found else ())

    def status(self, visitor: str, name: str) -> Status:
        """How far a run of this visitor is.

        Raises:
            BotError: there is none of this name.
        """
        return self._trainings.status(visitor, name)

    def trainings(self, visitor: str) -> list[Status]:
        """The unfinished trainings of a visitor, in the order they come."""
        self._workspaces.check_visitor(visitor)
        return self._trainings.unfinished(visitor)

    def stop_run(self, visitor: str, name: str) -> None:
        """Save and stop; a waiting one leaves the queue.

        Raises:
            BotError: there is no unfinished run of this name.
        """
        self._trainings.stop_run(visitor, name)

    def resume_run(self, visitor: str, name: str) -> None:
        """Queue a stopped or failed run again; it goes on where it was.

        Raises:
            BotError: there is none of this name, or it is done or under way.
            InputError: too many trainings wait.
        """
        self._rate.check(visitor)
        self._trainings.resume(visitor, name)

    # -- play ----------------------------------------------------------------------------------

    def write(  # noqa: PLR0917 - as pages call it
        self,
        visitor: str,
        name: str,
        prompt: str = "",
        n: int = 10,
        temperature: float = TEMPERATURE,
        max_chars: int = 280,
        seed: int | None = None,
    ) -> Iterator[WrittenPost]:
        """New posts as they finish; copies of real ones are drawn again.

        Raises:
            BotError: there is no such bot, or it isn't done.
            InputError: at once, when a setting is out of range.
        """
        self._rate.check(visitor)
        if not 1 <= n <= self.settings.most_posts:
            raise InputError(f"Ask for 1 to {self.settings.most_posts} posts, not {n}.")
        sampling = Sampling(temperature=temperature, max_chars=max_chars, seed=seed)
        access = self._workspaces.visible_run(visitor, name)
        with self._redact_paths(visitor):
            opened = self.open_bots.open(access.run)
            posts = self._scheduler.write(opened, prompt, n, sampling)
        return (_written(post, opened, quoting=access.mine) for post in posts)

    def favourite(self, visitor: str, name: str, text: str, on: bool = True) -> None:
        """Mark a post of one's own bot, or take the mark away."""
        run = self._workspaces.own_run(visitor, name)
        with self._marking:
            bot_views.mark(run, _post(text), _MOST_FAVOURITES, on=on)

    def set_picture(self, visitor: str, name: str, text: str, prompt: str = "") -> None:
        """Draw the picture of one's own bot from one of its posts."""
        self._rate.check(visitor)
        run = self._workspaces.own_run(visitor, name)
        if not run.bot.is_dir():
            raise BotError(f"{name} has no bot yet.")
        begun = prompt if text.startswith(prompt) else ""
        publish.save(publish.Picture(run.record().authors, _post(text), begun), run.picture)

    def share_links(self, visitor: str, name: str, text: str) -> list[tuple[str, str]]:
        """Network and address that opens a ready post there; nothing is sent."""
        run = self._workspaces.visible_run(visitor, name).run
        made = publish.drafts(_post(text), run.record().authors, publish.Sharing())
        return [(draft.network, draft.url) for draft in made]

    def new_quiz(self, visitor: str, name: str, size: int = 10) -> Quiz:
        """Half real held-out posts, half new ones of one's own bot.

        Raises:
            BotError: there is no such bot, it isn't done, or it writes nothing but copies.
            InputError: the size is out of range.
        """
        if not SMALLEST <= size <= LARGEST:
            raise InputError(f"A quiz has {SMALLEST} to {LARGEST} questions, not {size}.")
        run = self._workspaces.own_run(visitor, name)
        if run.record().state != "done":
            raise BotError(f"{name} isn't done yet.")
        posts = [post.text for post in self.write(visitor, name, n=size // 2)]
        return self._quizzes.new(visitor, run, posts, size)

    def quiz(self, visitor: str, quiz_id: str) -> Quiz:
        """Find a quiz again."""
        return self._quizzes.find(visitor, quiz_id)

    def answer(self, visitor: str, quiz_id: str, number: int, says_real: bool) -> tuple[bool, Quiz]:
        """Whether that was right, and the quiz; the last answer adds it to the likeness report."""
        return self._quizzes.answer(visitor, quiz_id, number, says_real=says_real)

    # -- keep ----------------------------------------------------------------------------------

    def gallery(self, visitor: str) -> list[BotSummary]:
        """All bots to be seen: one's own, then those of others, each newest first."""
        found = []
        for name, access in self._workspaces.visible_runs(visitor):
            with suppress(BotError, OSError):  # damaged, or deleted this moment
                bot = bot_views.summary(name, access)
                if access.mine or bot.state == "done":
                    found.append(bot)
        return found

    def bot(self, visitor: str, name: str) -> BotPage:
        """All about a bot."""
        return bot_views.page(name, self._workspaces.visible_run(visitor, name))

    def picture(self, visitor: str, name: str) -> Path | None:
        """The picture of a bot, None where there is none."""
        picture = self._workspaces.visible_run(visitor, name).run.picture
        return picture if picture.is_file() else None

    def report_page(self, visitor: str, name: str) -> Path | None:
        """The likeness report as HTML; None for bots of others, as it quotes a real post."""
        access = self._workspaces.visible_run(visitor, name)
        page = access.run.report_page
        return page if access.mine and page.is_file() else None

    def card(self, visitor: str, name: str) -> str:
        """The card as Markdown, empty where there is none yet."""
        try:
            return (self._workspaces.visible_run(visitor, name).run.bot / "README.md").read_text(
                "utf-8"
            )
        except OSError:
            return ""

    def export(self, visitor: str, name: str) -> Path:
        """A zip of one's own bot and its figures, without any real post.

        It is in a folder of its own, to be deleted once it is sent; after a day it goes by itself.
        """
        self._rate.check(visitor)
        self._sweep()
        run = self._workspaces.own_run(visitor, name)
        with self._redact_paths(visitor):
            return bot_views.export(run, self._workspaces.exports(visitor, name))

    def publish(  # noqa: PLR0917 - as pages call it
        self, visitor: str, name: str, repo: str, token: str, private: bool, consent: bool
    ) -> str:
        """Upload one's own bot to the Hub with one's own token; returns the address.

        Raises:
            InputError: no consent, no token, or it must not be published.
            PublishError: the Hub can't be reached.
        """
        self._rate.check(visitor)
        run = self._workspaces.own_run(visitor, name)
        with self._redact_paths(visitor):
            return publishing.publish(run, repo, token, private=private, consent=consent)

    def delete(self, visitor: str, name: str) -> None:
        """Delete a run of one's own, or what waits to become one, and all that belongs to it.

        Raises:
            BotError: there is none of this name.
            StorageError: it can't be stopped or deleted just now.
        """
        path = self._workspaces.run_path(visitor, name)
        read = self._trainings.end(visitor, name)
        run = RunFolder(path)
        self.open_bots.close(run)
        self._quizzes.forget(run)
        for source in read:
            self._workspaces.forget_upload(source)
        if path.exists():
            with files.wrap_os_errors(path):
                gone = path.with_name(f".{path.name}.deleted")
                shutil.rmtree(gone, ignore_errors=True)
                path.rename(gone)  # at once, so that nobody sees half of it
                shutil.rmtree(gone)
        shutil.rmtree(self._workspaces.exports(visitor, name), ignore_errors=True)
        self._trainings.forget(visitor, name)

    # -- within --------------------------------------------------------------------------------

    def _checked(self, visitor: str, order: TrainingRequest) -> list[str | Path]:
        """What the pipeline reads for an order in which nothing is wrong."""
        settings = self.settings
        if not 1 <= len(order.sources) <= MOST_SOURCES:
            raise InputError(f"Give 1 to {MOST_SOURCES} sources, not {len(order.sources)}.")
        if order.recipe not in RECIPES:
            raise InputError(
                f"There is no recipe {order.recipe[:50]!r}; choose one of these: "
                f"{', '.join(RECIPES)}."
            )
        specs = self._workspaces.sources(visitor, order.sources)
        options_of(order, settings, self._workspaces.runs(visitor), order.name)
        base = order.base or settings.base
        if settings.shared:
            if base not in (settings.base, *settings.bases):
                choice = ", ".join(dict.fromkeys((settings.base, *settings.bases)))
                raise InputError(f"This server makes bots from {choice}, not from {base[:80]!r}.")
            if order.epochs is not None and order.epochs > settings.most_epochs:
                raise InputError(f"At most {settings.most_epochs} epochs here, as others wait.")
        return specs

    def _sweep(self) -> None:
        """Now and then remove uploads and exports nobody came back for."""
        if time.monotonic() - self._swept < _SWEEP_EVERY and self._swept:
            return
        self._swept = time.monotonic()
        self._workspaces.sweep(self._trainings.sources_in_use())

    @contextmanager
    def _redact_paths(self, visitor: str) -> Iterator[None]:
        """Tell of files by their names alone: paths are the server's business."""
        self._workspaces.check_visitor(visitor)
        try:
            yield
        except HuggingTweetsError as error:
            text = self._workspaces.without_paths(str(error))
            if text == str(error):
                raise
            raise type(error)(text) from error


def _written(post: GeneratedPost, opened: CachedBot, *, quoting: bool) -> WrittenPost:
    index = opened.bot.index
    count = len(words(post.text))
    shared = post.copied_words
    novelty = None if shared is None else 1 - shared / count if count else 1.0
    nearest = index.longest_run(post.text).source if index and quoting and shared else None
    return WrittenPost(
        post.text,
        post.prompt,
        shared,
        post.copied,
        nearest or None,
        None if novelty is None else round(max(0.0, novelty), 3),
    )


def _post(text: str) -> str:
    if not text.strip():
        raise InputError("The post is empty.")
    if len(text) > _LONGEST_POST:
        raise InputError(f"The post is longer than {_LONGEST_POST:,} characters.")
    return text
