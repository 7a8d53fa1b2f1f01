"""Quizzes about the author and the bot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.serving.conftest import ANN, BOB, copy_run

from huggingtweets.errors import InputError
from huggingtweets.serving.schemas import LOCAL_USER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.serving.service import Service
    from huggingtweets.storage.run_folder import RunFolder

    Start = Callable[..., Service]


def test_quiz_result_is_added_to_the_likeness_report(
    tmp_path: Path, start_service: Start, finished: RunFolder
) -> None:
    run = copy_run(finished, tmp_path / "runs")
    service = start_service()
    kept = set(run.table("kept").filter(split="held_out")["text"])
    quiz = service.new_quiz(LOCAL_USER, "ann", 8)
    assert len(quiz.questions) == 8
    assert all(question.real is None for question in quiz.questions)
    truth = [question.text in kept for question in quiz.questions]
    assert sum(truth) == 4
    says = [True, True, True, True, False, False, False, False]
    for number, said in enumerate(says, 1):
        assert service.quiz(LOCAL_USER, quiz.id) == quiz
        assert service.bot(LOCAL_USER, "ann").human is None
        right, quiz = service.answer(LOCAL_USER, quiz.id, number, said)
        assert right == (said == truth[number - 1])
        if number < 8:
            with pytest.raises(InputError, match="already answered"):
                service.answer(LOCAL_USER, quiz.id, number, said)
    human = service.bot(LOCAL_USER, "ann").human
    assert human is not None
    assert (human.quizzes, human.bot, human.real) == (1, 4, 4)
    assert human.bot_taken + human.real_taken == 4
    assert quiz.right == human.real_taken + 4 - human.bot_taken
    report = json.loads(run.report_json.read_text("utf-8"))
    assert report["human"]["bot_taken"] == human.bot_taken
    assert "Do people take it for the author?" in run.report_page.read_text("utf-8")
    for _ in range(2):
        quiz = service.new_quiz(LOCAL_USER, "ann", 2)
        for number in (1, 2):
            service.answer(LOCAL_USER, quiz.id, number, True)
    human = service.bot(LOCAL_USER, "ann").human
    assert human is not None
    assert (human.quizzes, human.bot, human.real) == (3, 6, 6)
    for wrong in (0, 3, -1):
        fresh = service.new_quiz(LOCAL_USER, "ann", 2)
        with pytest.raises(InputError, match="2 questions"):
            service.answer(LOCAL_USER, fresh.id, wrong, True)
    with pytest.raises(InputError, match="quiz no longer exists"):
        service.quiz(LOCAL_USER, "../" + quiz.id)


def test_other_visitors_quizzes_are_hidden(shared: Service) -> None:
    quiz = shared.new_quiz(ANN, "ann", 2)
    with pytest.raises(InputError, match="quiz no longer exists"):
        shared.quiz(BOB, quiz.id)
    with pytest.raises(InputError, match="quiz no longer exists"):
        shared.answer(BOB, quiz.id, 1, True)
