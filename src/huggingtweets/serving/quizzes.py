"""Quizzes that mix held-out posts of the author with new posts of the bot.

Quizzes hold real posts, so they are kept in memory only. When all questions of a quiz are answered
its result becomes part of the run's likeness report.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from huggingtweets.data import batching
from huggingtweets.errors import BotError, InputError
from huggingtweets.evaluation import HumanJudgements
from huggingtweets.serving.schemas import Question, Quiz

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from huggingtweets.storage.run_folder import RunFolder

SMALLEST, LARGEST = 2, 50
_MAX_QUIZZES = 500
_LONGEST_POST = 400  # characters


@dataclass(slots=True)
class _StoredQuiz:
    visitor: str
    run: RunFolder
    version: int
    """Of the bot; another one's report can't take the result."""
    quiz: Quiz
    truth: tuple[bool, ...]
    """Whether each post is real."""


class Quizzes:
    """The quizzes of a server.

    Args:
        on_complete: called with the run and the result when a quiz is complete.
    """

    def __init__(self, on_complete: Callable[[RunFolder, HumanJudgements], object]) -> None:
        self._on_complete = on_complete
        self._quizzes: OrderedDict[str, _StoredQuiz] = OrderedDict()
        self._lock = threading.Lock()

    def new(self, visitor: str, run: RunFolder, generated: Sequence[str], size: int) -> Quiz:
        """Start a quiz of ``size`` questions.

        Args:
            visitor: who plays.
            run: of the bot.
            generated: posts of the bot, half of ``size``; held-out posts fill the rest.
            size: number of questions.

        Raises:
            BotError: there are no held-out or no generated posts.
        """
        rng, version = random.SystemRandom(), run.record().version
        real = sample_held_out(run, size - len(generated), rng)
        if not real or not generated:
            raise BotError(f"{run.path.name} has too few held-out or new posts for a quiz.")
        mixed = [(text, True) for text in real] + [(text, False) for text in generated]
        rng.shuffle(mixed)
        questions = tuple(Question(i, text) for i, (text, _) in enumerate(mixed, 1))
        quiz = Quiz(secrets.token_urlsafe(12), run.path.name, questions, 0, 0)
        with self._lock:
            truth = tuple(real for _, real in mixed)
            self._quizzes[quiz.id] = _StoredQuiz(visitor, run, version, quiz, truth)
            while len(self._quizzes) > _MAX_QUIZZES:
                self._quizzes.popitem(last=False)
        return quiz

    def find(self, visitor: str, quiz_id: str) -> Quiz:
        """A quiz of this visitor.

        Raises:
            InputError: the visitor has no such quiz.
        """
        with self._lock:
            return self._find(visitor, quiz_id).quiz

    def answer(
        self, visitor: str, quiz_id: str, number: int, *, says_real: bool
    ) -> tuple[bool, Quiz]:
        """Answer a question; return whether that was right, and the quiz.

        Raises:
            InputError: there is no such quiz or question, or the question is already answered.
        """
        with self._lock:
            stored = self._find(visitor, quiz_id)
            quiz = stored.quiz
            if not 1 <= number <= len(quiz.questions):
                raise InputError(
                    f"There is no question {number}; the quiz has {len(quiz.questions)} questions."
                )
            question = quiz.questions[number - 1]
            if question.answered_real is not None:
                raise InputError(f"Question {number} is already answered.")
            real = stored.truth[number - 1]
            answered = replace(question, answered_real=says_real, real=real)
            questions = (*quiz.questions[: number - 1], answered, *quiz.questions[number:])
            right = says_real == real
            quiz = replace(
                quiz,
                questions=questions,
                answered=quiz.answered + 1,
                right=quiz.right + right,
            )
            if quiz.answered == len(questions) and stored.run.record().version == stored.version:
                # first, so that the last answer can be repeated if this raises
                self._on_complete(stored.run, _judgements(quiz))
            stored.quiz = quiz
        return right, quiz

    def remove(self, run: RunFolder) -> None:
        """Remove the quizzes about a run."""
        with self._lock:
            for quiz_id in [key for key, stored in self._quizzes.items() if stored.run == run]:
                del self._quizzes[quiz_id]

    def _find(self, visitor: str, quiz_id: str) -> _StoredQuiz:
        stored = self._quizzes.get(quiz_id)
        if stored is None or stored.visitor != visitor:
            raise InputError("This quiz no longer exists; start another.")
        return stored


def sample_held_out(run: RunFolder, count: int, rng: random.Random) -> list[str]:
    """Sample held-out posts without replacement, except very long ones."""
    authors = run.record().authors
    by_author = batching.texts_by_author(run.table("kept"), "held_out", authors)
    texts = [text for posts in by_author.values() for text in posts if len(text) <= _LONGEST_POST]
    return rng.sample(texts, min(count, len(texts)))


def _judgements(quiz: Quiz) -> HumanJudgements:
    def count(*, real: bool) -> tuple[int, int]:
        """Number of posts, and how many of them were taken for real."""
        questions = [question for question in quiz.questions if question.real == real]
        return len(questions), sum(bool(question.answered_real) for question in questions)

    bot, bot_taken = count(real=False)
    real, real_taken = count(real=True)
    return HumanJudgements(1, bot, bot_taken, real, real_taken)
