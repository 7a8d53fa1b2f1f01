"""Real or bot? A quiz mixes posts that were held out with new ones of the bot.

Quizzes are kept in memory only, as they hold real posts; what came of one is in the run's likeness
report once all its questions are answered.
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
_MOST_QUIZZES = 500
_LONGEST = 400  # characters of a real post that is shown


@dataclass(slots=True)
class _Kept:
    visitor: str
    run: RunFolder
    quiz: Quiz
    real: tuple[bool, ...]


class Quizzes:
    """Those that are being played.

    Args:
        judged: told the run and what people said, at the end of a quiz.
    """

    def __init__(self, judged: Callable[[RunFolder, HumanJudgements], object]) -> None:
        self._judged = judged
        self._quizzes: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def new(self, visitor: str, run: RunFolder, written: Sequence[str], size: int) -> Quiz:
        """Mix posts of the bot with as many real ones, so that there are ``size``.

        Args:
            visitor: who plays.
            run: of the bot.
            written: posts of the bot, half of ``size``.
            size: of the quiz.

        Raises:
            BotError: there are no posts to be mixed.
        """
        chance = random.SystemRandom()
        real = real_posts(run, size - len(written), chance)
        if not real or not written:
            raise BotError(f"There are not enough posts of {run.path.name} left for a quiz.")
        mixed = [(text, True) for text in real] + [(text, False) for text in written]
        chance.shuffle(mixed)
        questions = tuple(Question(i, text) for i, (text, _) in enumerate(mixed, 1))
        quiz = Quiz(secrets.token_urlsafe(12), run.path.name, questions, 0, 0)
        with self._lock:
            self._quizzes[quiz.id] = _Kept(visitor, run, quiz, tuple(real for _, real in mixed))
            while len(self._quizzes) > _MOST_QUIZZES:
                self._quizzes.popitem(last=False)
        return quiz

    def find(self, visitor: str, quiz_id: str) -> Quiz:
        """A quiz of this visitor.

        Raises:
            InputError: there is none (any more).
        """
        with self._lock:
            return self._find(visitor, quiz_id).quiz

    def answer(
        self, visitor: str, quiz_id: str, number: int, *, says_real: bool
    ) -> tuple[bool, Quiz]:
        """Whether that was right, and the quiz; the last answer ends it.

        Raises:
            InputError: there is no such quiz or question, or it was answered already.
        """
        with self._lock:
            kept = self._find(visitor, quiz_id)
            quiz = kept.quiz
            if not 1 <= number <= len(quiz.questions):
                raise InputError(f"The quiz has {len(quiz.questions)} questions, not {number}.")
            question = quiz.questions[number - 1]
            if question.said_real is not None:
                raise InputError(f"Question {number} was answered already.")
            real = kept.real[number - 1]
            answered = replace(question, said_real=says_real, real=real)
            questions = (*quiz.questions[: number - 1], answered, *quiz.questions[number:])
            right = says_real == real
            quiz = replace(
                quiz,
                questions=questions,
                answered=quiz.answered + 1,
                right=quiz.right + right,
            )
            if quiz.answered == len(questions):
                self._judged(kept.run, _human(quiz))  # before, so that a fault can be tried again
            kept.quiz = quiz
        return right, quiz

    def forget(self, run: RunFolder) -> None:
        """Remove the quizzes about a run."""
        with self._lock:
            for quiz_id in [key for key, kept in self._quizzes.items() if kept.run == run]:
                del self._quizzes[quiz_id]

    def _find(self, visitor: str, quiz_id: str) -> _Kept:
        kept = self._quizzes.get(quiz_id)
        if kept is None or kept.visitor != visitor:
            raise InputError("There is no such quiz (any more); start another.")
        return kept


def real_posts(run: RunFolder, count: int, chance: random.Random) -> list[str]:
    """Held-out posts, each at most once, none far longer than a bot's."""
    authors = run.record().authors
    by_author = batching.texts_by_author(run.table("kept"), "held_out", authors)
    texts = [text for of_one in by_author.values() for text in of_one if len(text) <= _LONGEST]
    return chance.sample(texts, min(count, len(texts)))


def _human(quiz: Quiz) -> HumanJudgements:
    def taken(*, real: bool) -> tuple[int, int]:
        asked = [question for question in quiz.questions if question.real == real]
        return len(asked), sum(bool(question.said_real) for question in asked)

    bot, bot_taken = taken(real=False)
    real, real_taken = taken(real=True)
    return HumanJudgements(1, bot, bot_taken, real, real_taken)
