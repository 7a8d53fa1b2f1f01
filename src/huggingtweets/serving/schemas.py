"""What pages and server say to each other: plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from huggingtweets.nn.bases import BUILT_IN, default, is_here

if TYPE_CHECKING:
    from huggingtweets.evaluation import LikenessReport
    from huggingtweets.evaluation.report import HumanJudgements, LossPoint

SAMPLE = "sample"
"""The source that comes with this program: NASA's posts of 2015."""

LOCAL_USER = "me"
"""The only visitor of a server without a password."""

MOST_SOURCES = 3

RunState = Literal["waiting", "reading", "training", "judging", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is set up.

    Attributes:
        out: the runs folder; the server keeps its own things in ``out/.app``.
        shared: whether there are visitors with folders of their own, or one person whose runs are
            those of ``out``.
        share_gallery: whether visitors may see and play with each other's bots, and with those in
            ``out``.
        base: what bots are made from unless an order says otherwise.
        bases: what visitors of a shared server may choose beside it; alone anything goes.
        max_upload_mb: of one file.
        total_uploads_mb: of all files that lie there at a time, of all visitors.
        most_waiting: unfinished trainings of one visitor.
        most_waiting_in_all: unfinished trainings of all.
        requests_a_minute: of one visitor: looks at sources, trainings, writings, quizzes.
        most_epochs: of a training on a shared server, where others wait.
        most_posts: of one request to write.
        memory_gb: for weights and indices of open bots.
        queue: None for SQLite in ``out/.app``, or the ``redis://`` address of a server.
        workers: processes that train.
    """

    out: Path = Path("runs")
    shared: bool = False
    share_gallery: bool = False
    base: str = field(default_factory=default)
    bases: tuple[str, ...] = field(default_factory=lambda: (*filter(is_here, BUILT_IN), "gpt2"))
    max_upload_mb: float = 500.0
    total_uploads_mb: float = 4000.0
    most_waiting: int = 3
    most_waiting_in_all: int = 30
    requests_a_minute: int = 60
    most_epochs: int = 10
    most_posts: int = 50
    memory_gb: float = 2.0
    queue: str | None = None
    workers: int = 1


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A bot that somebody wants.

    Attributes:
        sources: one to three: :data:`SAMPLE`, accounts such as ``bsky:name.bsky.social``, or paths
            that :meth:`Service.keep_upload` gave.
        base: a built-in one, a model folder or a Hub id; empty for the server's default.
        recipe: ``fast`` or ``classic``.
        epochs: None takes the recipe's.
        learning_rate: None takes the recipe's.
        name: of the bot; None takes the authors'.
        author: the name of the one whose posts all sources are; None takes each source's own.
        speaker: the one whose messages are posts, for exports of chats.
        i_am_the_author: read accounts although they ask not to be read.
    """

    sources: tuple[str, ...]
    base: str = ""
    recipe: str = "fast"
    epochs: int | None = None
    learning_rate: float | None = None
    name: str | None = None
    author: str | None = None
    speaker: str | None = None
    i_am_the_author: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """Posts left out for one reason.

    Attributes:
        reason: ``retweets``, ``short`` or ``duplicates``.
        count: how many.
        example: the text of one of them, None where there is none.
    """

    reason: str
    count: int
    example: str | None


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """What is in the sources of an order.

    Attributes:
        authors: handles in the order they were given.
        counts: ``downloaded``, ``retweets``, ``short``, ``duplicates``, ``kept``; the rest add up.
        counts_by_author: the same for each author.
        kept_examples: ten of the kept posts, spread over time.
        dropped: what was left out and why.
        warning: a sentence where there is little text, or None.
        characters: of all kept posts.
        estimate_seconds: until the bot is done once its turn has come; None where nothing is known
            about the speed of the base.
    """

    authors: tuple[str, ...]
    counts: dict[str, int]
    counts_by_author: dict[str, dict[str, int]]
    kept_examples: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    warning: str | None
    characters: int
    estimate_seconds: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """Mean training loss of the epoch so far, nats a token, at a step."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out bits per byte at a step."""

    step: int
    bits_per_byte: float


@dataclass(frozen=True, slots=True)
class SampleAt:
    """A post that the bot wrote while it was trained."""

    step: int
    prompt: str
    post: str


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run is.

    Attributes:
        name: of the run.
        state: ``waiting`` for its turn, ``reading`` posts, ``training``, ``judging`` the bot;
            ``done``, ``stopped`` (can be resumed) or ``failed``.
        place: in the queue while waiting, 1 is next; None otherwise.
        done: steps done of ``total`` in this state.
        total: 0 where it isn't known.
        tokens_per_second: of training.
        seconds_left: to the end of training.
        curve: training loss, at most 400 points.
        held_out: the held-out measurements.
        samples: posts written at measurements, oldest first.
        message: one line on what is going on.
        error: the sentence a failed run ended with.
        counts: posts by what curation did with them, once they are read.
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


@dataclass(frozen=True, slots=True)
class WrittenPost:
    """A new post.

    Attributes:
        text: prompt included.
        prompt: what it was to begin with.
        copied_words: longest run of words shared with a training post; None where those posts are
            not at hand.
        copied: whether it is a copy by the rule of :mod:`~huggingtweets.generation.copy_index`, or
            None.
        nearest: the real post that shares the longest run; None where none does, and for bots of
            others.
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
    """A post of which one is to say whether the author or the bot wrote it.

    Attributes:
        number: in the quiz, from 1.
        text: the post.
        said_real: what was answered, None as long as nothing was.
        real: the truth, None until it was answered.
    """

    number: int
    text: str
    said_real: bool | None = None
    real: bool | None = None


@dataclass(frozen=True, slots=True)
class Quiz:
    """Real or bot? The score so far; the truth of open questions stays with the server."""

    id: str
    name: str
    questions: tuple[Question, ...]
    answered: int
    right: int


@dataclass(frozen=True, slots=True)
class BotSummary:
    """A bot in the gallery.

    Attributes:
        name: what all methods call it.
        title: such as "AI bot of @NASA".
        authors: whose manner it has.
        made_at: UTC, ISO 8601.
        base: what it was made from.
        state: as in :class:`Status`; only ``done`` ones write.
        bits_per_byte: held-out, lower is better; None before it was judged.
        copied_share: of its unfiltered posts, 0 to 1; None before it was judged.
        has_picture: whether there is one.
        mine: whether the visitor may change, download and delete it.
        out_of_date: a sentence where it has learnt from posts that were deleted since.
    """

    name: str
    title: str
    authors: tuple[str, ...]
    made_at: str
    base: str
    state: RunState
    bits_per_byte: float | None
    copied_share: float | None
    has_picture: bool
    mine: bool
    out_of_date: str | None


@dataclass(frozen=True, slots=True)
class BotPage:
    """All about a bot.

    Attributes:
        summary: as in the gallery.
        counts: posts by what curation did with them.
        report: the likeness report, None before it was judged. For bots of others it quotes no
            real post.
        human: what people made of it in quizzes, or None.
        history: the measurements of training, oldest first.
        seconds: wall-clock time of each stage.
        lineage: label and value, from the sources to the bot.
        favourites: posts that were marked, newest last; none for bots of others.
        published: its address on the Hub, or None.
    """

    summary: BotSummary
    counts: dict[str, int]
    report: LikenessReport | None
    human: HumanJudgements | None
    history: tuple[LossPoint, ...]
    seconds: dict[str, float]
    lineage: tuple[tuple[str, str], ...]
    favourites: tuple[str, ...]
    published: str | None
