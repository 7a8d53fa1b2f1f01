"""Everything the pages can request. The service validates requests and delegates the work."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from huggingtweets import deletion, publish
from huggingtweets.arguments import (
    PostLength,
    Secret,
    Seed,
    Share,
    Temperature,
    Text,
    checked_methods,
)
from huggingtweets.errors import BotError, InputError, OptedOutError
from huggingtweets.generation.sampling import Sampling
from huggingtweets.nn.language_model import TEMPERATURE
from huggingtweets.processes.limited import never
from huggingtweets.serving import bot_views, preview, publishing, updates
from huggingtweets.serving.bot_cache import blended
from huggingtweets.serving.quizzes import LARGEST, SMALLEST
from huggingtweets.serving.server_state import ServerState
from huggingtweets.serving.uploads import find_upload
from huggingtweets.serving.worker import options_of
from huggingtweets.storage import fleets
from huggingtweets.storage.run_folder import RunFolder
from huggingtweets.updating import history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from huggingtweets.serving.explorations import Explored
    from huggingtweets.serving.schemas import (
        BotPage,
        BotSummary,
        Quiz,
        SourcePreview,
        Status,
        TrainingRequest,
        UpdateRequest,
        WrittenPost,
    )
    from huggingtweets.serving.uploads import Arrivals

_MOST_FAVOURITES = 1_000
_MOST_PREVIEWS = 100


@checked_methods
class Service(ServerState):
    """The operations on a server, over its state.

    The types of the parameters are the schema of every page and endpoint: no value that doesn't fit
    goes further (:mod:`huggingtweets.arguments`).

    Every method raises errors of :mod:`huggingtweets.errors`, whose message is meant for the
    visitor. Another visitor's private run is reported like one that doesn't exist.

    Args:
        settings: of the server.
    """

    # -- choose --------------------------------------------------------------------------------

    def keep_upload(self, visitor: str, file: Path, name: str) -> Path:
        """Move a received file into the visitor's uploads and return its new path.

        The path, as text, is a valid source of a :class:`TrainingRequest`.

        Raises:
            InputError: the file is too large or of an unsupported kind, or the server is full.
        """
        self._rate.check(visitor)
        self._clean_up()
        with self._redact_paths(visitor):
            return self._workspaces.keep_upload(visitor, file, name)

    @contextmanager
    def receiving(self, visitor: str, client: str, size: int) -> Iterator[Arrivals]:
        """Receive files of ``size`` bytes together; what isn't finished in the context is deleted.

        The id of a file, the name of its folder, is a valid source of a :class:`TrainingRequest`.

        Raises:
            InputError: a file is too large or of an unsupported kind.
            StorageError: there is no room for them.
        """
        self._rate.check(visitor, client)
        self._clean_up()
        with self._redact_paths(visitor):
            uploads = self._workspaces.uploads(visitor)
            with self._workspaces.received.reserve(
                uploads, self._workspaces.client_tag(client), size
            ) as arrivals:
                yield arrivals

    def upload(self, visitor: str, upload_id: str) -> Path | None:
        """The file of one of the visitor's uploads, or None."""
        return find_upload(self._workspaces.uploads(visitor), upload_id)

    def inspect(
        self, visitor: str, order: TrainingRequest, is_cancelled: Callable[[], bool] = never
    ) -> SourcePreview:
        """Read and curate the sources of a request, without training, in a child process.

        Raises:
            InputError: a source can't be read or is beyond the limits, or the request is invalid.
            Interrupted: ``is_cancelled``, called ten times a second, returned True.
        """
        self._rate.check(visitor)
        with self._redact_paths(visitor):
            specs = self._validate(visitor, order)
            with self._preview_turns.take(visitor, is_cancelled):
                runs = dict.fromkeys((self._workspaces.runs(visitor), self._workspaces.out))
                found = preview.preview_sources(
                    specs, order, self.settings, list(runs), is_cancelled
                )
            self._previews[visitor, order] = found
            while len(self._previews) > _MOST_PREVIEWS:
                self._previews.popitem(last=False)
            return found

    # -- train ---------------------------------------------------------------------------------

    def submit(self, visitor: str, order: TrainingRequest, client: str = "") -> str:
        """Queue a training and return the run's name. Clients take turns; "" is the visitor.

        Raises:
            InputError: the request is invalid, or too many trainings are unfinished.
            StorageError: the name is taken.
        """
        self._rate.check(visitor, client)
        with self._redact_paths(visitor):
            specs = self._validate(visitor, order)
            found = self._previews.get((visitor, order))
            authors, tag = found.authors if found else (), self._workspaces.client_tag(client)
            return self._trainings.submit(visitor, order, specs, authors, tag)

    def status(self, visitor: str, name: str) -> Status:
        """The status of one of the visitor's runs.

        Raises:
            BotError: the visitor has no run of this name.
        """
        return self._trainings.status(visitor, name)

    def trainings(self, visitor: str) -> list[Status]:
        """The visitor's unfinished trainings and updates, in queue order."""
        self._workspaces.check_visitor(visitor)
        return self._trainings.unfinished(visitor)

    def stop_run(self, visitor: str, name: str) -> None:
        """Stop a run after it has saved a checkpoint, or take a waiting one off the queue.

        Raises:
            BotError: the visitor has no unfinished training of this name.
        """
        self._trainings.stop_run(visitor, name)

    def resume_run(self, visitor: str, name: str, client: str = "") -> None:
        """Queue a stopped or failed run, which continues from its checkpoint.

        Raises:
            BotError: the visitor has no run of this name, or it is done or running.
            InputError: too many trainings are unfinished.
        """
        self._rate.check(visitor, client)
        self._trainings.resume(visitor, name, self._workspaces.client_tag(client))

    # -- update --------------------------------------------------------------------------------

    def update(self, visitor: str, name: str, request: UpdateRequest, client: str = "") -> None:
        """Queue an update of the visitor's own bot; it is used as it is meanwhile.

        Raises:
            BotError: the visitor has no such bot, or it can't be updated.
            InputError: there is nothing to read, or too many trainings are unfinished.
        """
        self._rate.check(visitor, client)
        run = self._own_bot(visitor, name)
        with self._redact_paths(visitor):
            self._workspaces.sources(visitor, request.sources)
            updates.check_request(run, request)
            tag = self._workspaces.client_tag(client)
            self._trainings.submit_update(visitor, name, request, tag)

    def roll_back(self, visitor: str, name: str, number: int) -> None:
        """Make an older version of the visitor's own bot the current one, which is kept.

        Raises:
            BotError: the visitor has no such bot, or it is being updated.
            InputError: it has no such version.
        """
        self._rate.check(visitor)
        run = self._own_bot(visitor, name)
        with self._redact_paths(visitor):
            self._trainings.check_idle(visitor, name)
            history.roll_back(run.path, number)

    # -- play ----------------------------------------------------------------------------------

    def write(  # noqa: PLR0917 - as pages call it
        self,
        visitor: str,
        name: str,
        prompt: Text = "",
        n: int = 10,
        temperature: Temperature = TEMPERATURE,
        max_chars: PostLength = 280,
        seed: Seed | None = None,
        client: str = "",
        blend: Text = "",
        share: Share = 0.5,
        hashtag: Text = "",
    ) -> Iterator[WrittenPost]:
        """Generate posts and yield each one when it is finished. Copies are sampled again.

        With ``blend``, the name of another bot of the same base, the probabilities of both are
        mixed token by token; ``share`` is its weight. Each post has the author's ``hashtag``.

        Clients take turns: one who requests many posts doesn't delay another who requests few.

        Raises:
            BotError: there is no such bot, or it isn't done.
            InputError: a setting is out of range; raised before the first post is requested.
        """
        self._rate.check(visitor, client)
        if not 1 <= n <= self.settings.most_posts:
            raise InputError(f"Ask for 1 to {self.settings.most_posts} posts, not {n}.")
        sampling = Sampling(temperature=temperature, max_chars=max_chars, seed=seed)
        access = self._usable_run(visitor, name)
        with self._redact_paths(visitor):
            opened, quoting = self.open_bots.open(access.run), access.mine
            if blend:
                other = self._usable_run(visitor, blend)
                opened = blended(opened, self.open_bots.open(other.run), share)
                quoting = quoting and other.mine
            tag = opened.bot.hashtags(1 if quoting else 2).find(hashtag) if hashtag else None
            posts = self._scheduler.write(
                opened, prompt, n, sampling, client or visitor, hashtag=tag
            )
        return (bot_views.written_post(post, opened, quoting=quoting) for post in posts)

    def favourite(self, visitor: str, name: str, text: Text, on: bool = True) -> None:
        """Add a post to the favourites of the visitor's own bot, or remove it."""
        run = self._own_bot(visitor, name)
        with self._favourites_lock:
            bot_views.set_favourite(run, bot_views.check_post(text), _MOST_FAVOURITES, on=on)

    def set_picture(self, visitor: str, name: str, text: Text, prompt: Text = "") -> None:
        """Make the picture of the visitor's own bot from one of its posts."""
        self._rate.check(visitor)
        run = self._own_bot(visitor, name)
        if not run.bot.is_dir():
            raise BotError(f"{name} is not trained yet.")
        publish.save_to_run(bot_views.picture_of(run, text, prompt), run)
        fleets.store_again(run.path)

    def draw_picture(self, visitor: str, name: str, text: Text, prompt: Text = "") -> bytes:
        """The picture of a post as PNG, without keeping it."""
        self._rate.check(visitor)
        return bot_views.picture_of(self._usable_run(visitor, name).run, text, prompt).png()

    def share_links(
        self, visitor: str, name: str, text: Text, blend: Text = ""
    ) -> list[tuple[str, str]]:
        """Pairs of network name and a link that opens its editor with the post filled in.

        ``blend`` names the other bot of a mixture, whose authors are credited as well.
        """
        authors: dict[str, None] = {}
        for wanted in (name, blend) if blend else (name,):
            run = self._usable_run(visitor, wanted).run
            with self._redact_paths(visitor):
                run.check_up_to_date()
            authors |= dict.fromkeys(run.record().names)
        return bot_views.share_links(text, authors)

    def new_quiz(self, visitor: str, name: str, size: int = 10) -> Quiz:
        """Start a quiz: half held-out posts, half new posts of the visitor's own bot.

        Raises:
            BotError: there is no such bot, it isn't done, or it generates only copies.
            InputError: the size is out of range.
        """
        if not SMALLEST <= size <= LARGEST:
            raise InputError(f"A quiz has {SMALLEST} to {LARGEST} questions, not {size}.")
        run = self._own_bot(visitor, name)
        if run.record().state != "done":
            raise BotError(f"{name} isn't done yet.")
        posts = [post.text for post in self.write(visitor, name, n=size // 2)]
        return self._quizzes.new(visitor, run, posts, size)

    def quiz(self, visitor: str, quiz_id: Text) -> Quiz:
        """A quiz that the visitor has started."""
        return self._quizzes.find(visitor, quiz_id)

    def answer(
        self, visitor: str, quiz_id: Text, number: int, says_real: bool
    ) -> tuple[bool, Quiz]:
        """Answer a question; return whether that was right, and the quiz.

        After the last answer the result is added to the likeness report.
        """
        return self._quizzes.answer(visitor, quiz_id, number, says_real=says_real)

    # -- keep ----------------------------------------------------------------------------------

    def gallery(self, visitor: str) -> list[BotSummary]:
        """All visible bots: the visitor's own, then those of others, each newest first."""
        bots = self._summaries.read(self._workspaces.visible_runs(visitor))
        return [
            bot for bot in bots if bot.mine or (bot.state == "done" and bot.out_of_date is None)
        ]

    def newest_bot(self, visitor: str, *, own: bool = False, other_than: Text = "") -> str:
        """Name of the first bot in the gallery that generates posts, empty if there is none.

        Args:
            visitor: who asks.
            own: whether to consider only the visitor's own bots, and only measured ones.
            other_than: bot to skip, if there is another one.
        """
        runs = self._workspaces.visible_runs(visitor)
        return bot_views.newest(runs, own=own, other_than=other_than)

    def bot(self, visitor: str, name: str) -> BotPage:
        """The data of a bot's page."""
        access = self._workspaces.visible_run(visitor, name)
        return bot_views.page(name, access if access.mine else self._usable_run(visitor, name))

    def picture(self, visitor: str, name: str, *, dark: bool = False) -> Path | None:
        """The picture of a bot on a light or dark ground, or None."""
        run = self._usable_run(visitor, name).run
        picture = run.dark_picture if dark else run.picture
        return picture if picture.is_file() else None

    def report_page(self, visitor: str, name: str) -> Path | None:
        """The likeness report as HTML. None for another visitor's bot: it quotes a real post."""
        access = self._usable_run(visitor, name)
        page = access.run.report_page
        return page if access.mine and page.is_file() else None

    def explore(
        self, visitor: str, names: list[Text], is_cancelled: Callable[[], bool] = never
    ) -> Explored:
        """Explore the authors of the visitor's own bots, in a child process.

        Raises:
            InputError: no or too many bots were named, or they have too many posts together.
            BotError: the visitor has no such bot, or its posts are gone.
            Interrupted: ``is_cancelled``, called ten times a second, returned True.
        """
        self._rate.check(visitor)
        with self._redact_paths(visitor):
            runs = {name: self._own_bot(visitor, name) for name in names}
            return self._explorations.explore(visitor, runs, is_cancelled)

    def exploration_page(self, visitor: str, page_id: Text) -> str | None:
        """The page of an exploration as HTML; None if it is gone or a bot of it has changed."""
        return self._explorations.page(visitor, page_id, self._own_bot)

    def card(self, visitor: str, name: str) -> str:
        """The card as Markdown, empty if the bot has none yet or may not be used."""
        try:
            return (self._usable_run(visitor, name).run.bot / "README.md").read_text("utf-8")
        except (OSError, OptedOutError):
            return ""

    def export(self, visitor: str, name: str) -> Path:
        """Zip the visitor's own bot and its likeness report, without any real post.

        The zip is the only file in its folder. The caller deletes the folder after sending the
        zip; otherwise it is deleted after a day.
        """
        self._rate.check(visitor)
        self._clean_up()
        run = self._workspaces.own_run(visitor, name)
        with self._redact_paths(visitor):
            return bot_views.export(run, self._workspaces.exports(visitor, name))

    def publish(  # noqa: PLR0917 - as pages call it
        self, visitor: str, name: str, repo: Text, token: Secret, private: bool, consent: bool
    ) -> str:
        """Upload the visitor's own bot to the Hub and return the address of its page.

        Args:
            visitor: the bot's owner.
            name: of the bot.
            repo: repository, with or without its owner; empty derives it from the authors.
            token: the visitor's Hub token with write permission; it is not stored.
            private: create the repository as private. A public one stays public.
            consent: whether the author is the visitor or has agreed.

        Raises:
            InputError: consent or token is missing, or the bot can't be published.
            PublishError: the upload failed.
        """
        self._rate.check(visitor)
        run = self._workspaces.own_run(visitor, name)
        with self._redact_paths(visitor):
            return publishing.publish(run, repo, token, private=private, consent=consent)

    def delete(self, visitor: str, name: str) -> list[str]:
        """Delete a run or waiting training of the visitor's own, with its uploads and quizzes.

        Returns where copies may be that can't be deleted from here.

        Raises:
            BotError: the visitor has no run of this name.
            StorageError: the run can't be stopped or deleted.
        """
        path = self._workspaces.run_path(visitor, name)
        sources = self._trainings.stop_and_wait(visitor, name)
        run = RunFolder(path)
        self.open_bots.close(run)
        self._quizzes.remove(run)
        for source in sources:
            self._workspaces.received.remove(source)
        report = deletion.DeletionReport()
        if path.exists():
            with self._redact_paths(visitor):
                report = deletion.delete(run)
        shutil.rmtree(self._workspaces.exports(visitor, name), ignore_errors=True)
        self._trainings.remove(visitor, name)
        return [self._workspaces.without_paths(where) for where in report.out_of_reach]

    # -- helpers -------------------------------------------------------------------------------

    def _validate(self, visitor: str, order: TrainingRequest) -> list[str | Path]:
        """Check a request and return its sources as the pipeline reads them."""
        self.settings.check(order)
        specs = self._workspaces.sources(visitor, order.sources)
        options_of(order, self.settings, self._workspaces.runs(visitor), order.name)
        return specs
