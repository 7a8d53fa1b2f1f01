"""The value types that the service and its pages exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from huggingtweets.arguments import (
    Epochs,
    LearningRate,
    Text,
    Texts,
    check_fields,
)
from huggingtweets.errors import InputError
from huggingtweets.nn.bases import BUILT_IN, POCKET, default, is_available
from huggingtweets.sources.reading import DownloadLimits
from huggingtweets.training import RECIPES

if TYPE_CHECKING:
    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.evaluation.report import HumanJudgements, LossPoint
    from huggingtweets.updating.history import Version

SAMPLE = "sample"
"""The bundled source: NASA's posts of 2015."""

LOCAL_USER = "me"
"""Id of the only visitor of a server without a password."""

MOST_SOURCES = 3

_MOST_POSTS_OF_AN_ACCOUNT = 20_000
"""500 full pages of Mastodon, several times what a bot needs."""

RunState = Literal["waiting", "reading", "training", "judging", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Configuration of a server.

    Attributes:
        out: the runs folder; the server's own files are in ``out/.app``.
        shared: True gives each visitor a folder; False serves one person the runs in ``out``.
        share_gallery: whether visitors may see and use each other's bots and those in ``out``.
        fleet: a folder of small bots of one base that all visitors may see and use, or None.
        base: default base of new bots.
        bases: further bases that visitors of a shared server may choose; a server for one person
            accepts any base.
        max_upload_mb: limit of one upload.
        uploads_of_a_visitor_mb: limit of a visitor's stored uploads on a shared server; all
            visitors at one address together may store twice as much.
        total_uploads_mb: limit of all stored uploads together.
        most_waiting: limit of unfinished trainings per visitor.
        most_waiting_per_client: limit of unfinished trainings of all visitors at one address.
        most_waiting_in_all: limit of unfinished trainings on the server.
        requests_a_minute: limit per visitor of previews, trainings, generations, quizzes and so on.
        most_epochs: limit per training on a shared server.
        most_posts: limit per request for posts.
        memory_gb: memory for the weights and copy indices of cached bots.
        workers: number of training processes.
        local_accounts: whether visitors of a shared server may also name accounts on this machine
            and in its private networks. Its owner alone may always.
    """

    out: Path = Path("runs")
    shared: bool = False
    share_gallery: bool = False
    fleet: Path | None = None
    base: str = field(default_factory=default)
    bases: tuple[str, ...] = field(
        default_factory=lambda: (*filter(is_available, BUILT_IN), "gpt2")
    )
    max_upload_mb: float = 500.0
    uploads_of_a_visitor_mb: float = 1000.0
    total_uploads_mb: float = 4000.0
    most_waiting: int = 3
    most_waiting_per_client: int = 9
    most_waiting_in_all: int = 30
    requests_a_minute: int = 60
    most_epochs: int = 10
    most_posts: int = 50
    memory_gb: float = 2.0
    workers: int = 1
    local_accounts: bool = False

    @property
    def download_limits(self) -> DownloadLimits:
        """What an account that a visitor names may reach and cost."""
        if not self.shared:
            return DownloadLimits()
        return DownloadLimits(
            public_only=not self.local_accounts,
            posts=_MOST_POSTS_OF_AN_ACCOUNT,
            pages=1_000,
            megabytes=200.0,
            seconds=600.0,
        )

    @property
    def fastest_base(self) -> str:
        """The base of an example bot: the smallest that visitors may choose here."""
        return POCKET if POCKET in (self.base, *self.bases) else self.base

    def check(self, order: TrainingRequest) -> None:
        """Check a request for a training against the server's limits.

        Raises:
            InputError: it is beyond one, or names a recipe or base that there isn't.
        """
        if not 1 <= len(order.sources) <= MOST_SOURCES:
            raise InputError(f"Give 1 to {MOST_SOURCES} sources, not {len(order.sources)}.")
        if order.recipe not in RECIPES:
            raise InputError(
                f"There is no recipe {order.recipe[:50]!r}; choose one of: {', '.join(RECIPES)}."
            )
        if not self.shared:
            return
        bases = dict.fromkeys((self.base, *self.bases))
        if order.base and order.base not in bases:
            raise InputError(
                f"There is no base {order.base[:80]!r} on this server; choose {', '.join(bases)}."
            )
        if order.epochs is not None and order.epochs > self.most_epochs:
            raise InputError(f"This server allows at most {self.most_epochs} epochs.")


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A request to train a bot.

    Attributes:
        sources: one to three: :data:`SAMPLE`, accounts such as ``bsky:name.bsky.social``, or paths
            returned by :meth:`Service.keep_upload`, or ids of uploads.
        base: a built-in base, a model folder or a Hub id; empty for the server's default.
        recipe: ``fast`` or ``classic``.
        epochs: None for the recipe's number.
        learning_rate: None for the recipe's rate.
        name: of the bot; None derives it from the authors.
        author: name of the author of all sources; None uses each source's own.
        speaker: whose messages to use from a chat export.
        text_column: the column of a table that holds the posts; None to find it.
        join: whether messages of a chat that follow each other within two minutes are one post.
        keep_names: whether the names of the other people of a chat stay in the posts.
        i_am_the_author: read accounts that opted out, because they are the visitor's own.

    Raises:
        InputError: a value is of another kind, too long, not finite or out of range.
    """

    sources: Texts
    base: Text = ""
    recipe: Text = "fast"
    epochs: Epochs | None = None
    learning_rate: LearningRate | None = None
    name: Text | None = None
    author: Text | None = None
    speaker: Text | None = None
    i_am_the_author: bool = False
    text_column: Text | None = None
    join: bool = False
    keep_names: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """A request to train a finished bot further on its authors' new posts.

    Attributes:
        sources: as in :class:`TrainingRequest`, with the new posts; none for the bot's own.
        author: the one author of these sources, one of the bot's; None uses each source's own.

    Raises:
        InputError: a value is of another kind or too long, or there are too many sources.
    """

    sources: Texts = ()
    author: Text | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if len(self.sources) > MOST_SOURCES:
            raise InputError(f"Give at most {MOST_SOURCES} sources, not {len(self.sources)}.")


@dataclass(frozen=True, slots=True)
class UpdateOffer:
    """Whether and from what a bot can be updated.

    Attributes:
        readable: sources of the bot that can be read again, as people name them.
        gone: files that it was trained from and that aren't there any more.
        obstacle: why it can't be updated at all, or None.
    """

    readable: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """Posts that curation dropped for one reason.

    Attributes:
        reason: ``retweets``, ``short`` or ``duplicates``.
        count: number of posts.
        example: text of one of them, or None.
    """

    reason: str
    count: int
    example: str | None


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """The content of a request's sources.

    Attributes:
        authors: handles, in the order of the sources.
        counts: ``downloaded``, and the ``retweets``, ``short``, ``duplicates`` and ``kept`` posts
            that it is the sum of.
        counts_by_author: the same for each author.
        kept_examples: ten of the kept posts, spread over time.
        dropped: the dropped posts by reason.
        warning: a sentence if there is little text, or None.
        characters: number of characters in the kept posts.
        left_out: records of the sources that are no posts of the authors, by reason.
        names: the authors as people read them: ``@handle``, or the name if no handle is known.
        obstacle: why no training is possible, with what is missing; None if it is.
        masked: pieces of private data that were masked in the kept posts, by kind.
        chats: the kinds of the sources that are private chats, such as ``whatsapp``.
    """

    authors: tuple[str, ...]
    counts: dict[str, int]
    counts_by_author: dict[str, dict[str, int]]
    kept_examples: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    warning: str | None
    characters: int
    left_out: dict[str, int]
    names: tuple[str, ...]
    obstacle: str | None
    masked: dict[str, int]
    chats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourcePreview(SourceSummary):
    """The content of a request's sources, and how long training on it takes.

    Attributes:
        estimate_seconds: expected duration of training and evaluation; None if the speed of the
            base is unknown.
    """

    estimate_seconds: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """Mean training loss of the current epoch at a step, in nats per token."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out bits per byte at a step."""

    step: int
    bits_per_byte: float


@dataclass(frozen=True, slots=True)
class SampleAt:
    """A post that the bot generated during training."""

    step: int
    prompt: str
    post: str


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a training, or of the update of a finished bot.

    Attributes:
        name: of the run.
        state: ``waiting`` in the queue, ``reading`` posts, ``training``, ``judging`` (evaluating)
            the bot, ``done``, ``stopped`` (can be resumed) or ``failed``.
        place: position in the queue, 1 is next; None unless waiting.
        done: steps done of ``total`` in this state.
        total: 0 if unknown.
        tokens_per_second: of training.
        seconds_left: until the end of training.
        curve: training loss, at most 400 points.
        held_out: held-out loss.
        samples: posts generated during training, oldest first.
        message: one line on the current activity, or the outcome of an update that is done.
        error: why a failed run failed.
        counts: number of posts by curation outcome, once they are read.
        is_update: whether it is an update; one that is stopped or fails leaves the bot as it was.
    """

    name: str
    state: RunState
    place: int | None = None
    done: int = 0
    total: int = 0
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    curve: tuple[Point, ...] = ()
    held_out: tuple[HeldOut, ...] = ()
    samples: tuple[SampleAt, ...] = ()
    message: str = ""
    error: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    is_update: bool = False


@dataclass(frozen=True, slots=True)
class WrittenPost:
    """A generated post.

    Attributes:
        text: including the prompt.
        prompt: the text it had to begin with.
        copied_words: length of the longest run of words shared with a training post; None if the
            training posts are unavailable.
        copied: whether it is a copy by the rule of :mod:`~huggingtweets.generation.copy_index`, or
            None.
        nearest: the training post that shares the longest run; None if no word is shared or the
            bot is another visitor's.
        novelty: share of its words outside that run, 0 to 1, or None.
    """

    text: str
    prompt: str
    copied_words: int | None
    copied: bool | None
    nearest: str | None
    novelty: float | None


@dataclass(frozen=True, slots=True)
class Question:
    """A quiz question: whether the author or the bot wrote a post.

    Attributes:
        number: in the quiz, from 1.
        text: the post.
        answered_real: the answer, None if unanswered.
        real: the truth, None until the question is answered.
    """

    number: int
    text: str
    answered_real: bool | None = None
    real: bool | None = None


@dataclass(frozen=True, slots=True)
class Quiz:
    """A quiz and its score so far. The truth of open questions stays on the server."""

    id: str
    name: str
    questions: tuple[Question, ...]
    answered: int
    right: int


@dataclass(frozen=True, slots=True)
class BotSummary:
    """A bot in the gallery.

    Attributes:
        name: identifies the bot in all methods of the service.
        title: such as "AI bot of @NASA".
        authors: handles or names of the authors it imitates.
        names: the same as people read them: ``@handle``, or the name if no handle is known.
        made_at: UTC, ISO 8601.
        base: the base it was trained from.
        state: as in :class:`Status`.
        playable: whether it generates posts: its training has ended, even if it isn't measured yet.
        bits_per_byte: held-out loss, lower is better; None before evaluation.
        copied_share: share of copies among its unfiltered posts, 0 to 1; None before evaluation.
        taken_for_author: share of its unfiltered posts that a classifier takes for the author's,
            0 to 1; None before evaluation.
        has_picture: whether the bot has a picture.
        has_dark_picture: whether it has the same on a dark ground.
        mine: whether the visitor may change, download and delete it.
        out_of_date: a warning if it was trained on posts that have since been deleted, or None.
    """

    name: str
    title: str
    authors: tuple[str, ...]
    names: tuple[str, ...]
    made_at: str
    base: str
    state: RunState
    playable: bool
    bits_per_byte: float | None
    copied_share: float | None
    taken_for_author: float | None
    has_picture: bool
    has_dark_picture: bool
    mine: bool
    out_of_date: str | None


@dataclass(frozen=True, slots=True)
class BotPage:
    """The data of a bot's page.

    Attributes:
        summary: as in the gallery.
        counts: number of posts by curation outcome.
        report: the likeness report, None before evaluation. For another visitor's bot it quotes no
            real post.
        human: results of quizzes, or None.
        history: losses during training, oldest first.
        curve: training loss, at most 400 points; empty if the run has no log of it.
        seconds: wall-clock time of each stage.
        lineage: pairs of label and value, from the sources to the bot.
        favourites: favourite posts, newest last; empty for another visitor's bot.
        published: its address on the Hub, or None.
        hashtags: the author's most frequent hashtags, without ``#``.
        offer: how the bot can be updated; None for another visitor's bot and an unfinished one.
        versions: of the bot, newest first; empty for another visitor's bot and a single version.
    """

    summary: BotSummary
    counts: dict[str, int]
    report: LikenessReport | None
    human: HumanJudgements | None
    history: tuple[LossPoint, ...]
    curve: tuple[Point, ...]
    seconds: dict[str, float]
    lineage: tuple[tuple[str, str], ...]
    favourites: tuple[str, ...]
    published: str | None
    hashtags: tuple[str, ...] = ()
    offer: UpdateOffer | None = None
    versions: tuple[Version, ...] = ()
