"""A quiz that mixes held-out posts of the author with new posts of the bot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.components import NO_PROGRESS, html_slot, progress_on
from huggingtweets.web.templating import link_to, render

if TYPE_CHECKING:
    from huggingtweets.serving.schemas import Question, Quiz
    from huggingtweets.web.context import PageContext


def build(context: PageContext, page: gr.Blocks) -> None:
    """Build the page."""
    html_slot(
        html=context.header(
            "quiz",
            "Real or bot?",
            "Ten posts: half are by the author and were held out of training, half are by the bot. "
            "Your answers become part of its likeness report.",
        )
    )
    bots = html_slot("bots")
    start = gr.Button("Start", variant="primary", elem_id="start", visible=False)
    note = html_slot("note")
    question = html_slot("question")
    quiz_id = gr.State("")
    with gr.Row(visible=False) as answers:
        real = gr.Button("The author wrote it", elem_id="real")
        bot = gr.Button("The bot wrote it", elem_id="bot")

    def show(request: gr.Request) -> tuple[str, Any]:
        playable = [bot for bot in context.playable_bots(request) if bot.mine]
        bots = [bot for bot in playable if bot.state == "done"]
        if playable and not bots:
            return components.message("The bot is being measured; the quiz opens then."), gr.skip()
        chosen = context.selected_bot(request, own=True)
        picker = components.bot_picker(bots, chosen, lambda name: link_to("quiz", bot=name))
        return picker, gr.update(visible=bool(bots))

    def begin(request: gr.Request) -> list[Any]:
        name = context.selected_bot(request, own=True)
        try:
            quiz = context.service.new_quiz(context.visitor(request), name)
        except HuggingTweetsError as error:
            return _error_fields(error)
        return [
            "",
            question_html(quiz),
            quiz.id,
            gr.update(visible=True),
            gr.update(value="Start again"),
        ]

    def answer(request: gr.Request, quiz_id: str, *, says_real: bool) -> list[Any]:
        visitor = context.visitor(request)
        try:
            quiz = context.service.quiz(visitor, quiz_id)
            question = _next_question(quiz)
            number = question.number if question else 0
            right, quiz = context.service.answer(visitor, quiz_id, number, says_real)
        except HuggingTweetsError as error:
            return _error_fields(error)
        more = quiz.answered < len(quiz.questions)
        html = question_html(quiz, right, says_real)
        return ["", html, quiz_id, gr.update(visible=more), gr.skip()]

    def answer_real(request: gr.Request, quiz_id: str) -> list[Any]:
        return answer(request, quiz_id, says_real=True)

    def answer_bot(request: gr.Request, quiz_id: str) -> list[Any]:
        return answer(request, quiz_id, says_real=False)

    outputs = [note, question, quiz_id, answers, start]
    page.load(show, None, [bots, start], **NO_PROGRESS)
    start.click(begin, None, outputs, **progress_on(question))
    real.click(answer_real, quiz_id, outputs, **NO_PROGRESS)
    bot.click(answer_bot, quiz_id, outputs, **NO_PROGRESS)


def question_html(quiz: Quiz, right: bool = False, answered_real: bool | None = None) -> str:
    """The next question, or the result.

    Args:
        quiz: after the last answer.
        right: whether the last answer was right.
        answered_real: the last answer; None before the first.
    """
    verdict = ""
    if answered_real is not None:
        writer = "the author" if answered_real == right else "the bot"
        verdict = f"{'Right' if right else 'Wrong'}: {writer} wrote it."
    return render(
        "question",
        quiz=quiz,
        question=_next_question(quiz),
        verdict=verdict,
        was_right=right,
        summary=_score_summary(quiz),
        result=f"Real or bot? I told {quiz.right} of {quiz.answered} posts right (huggingtweets).",
    )


def _next_question(quiz: Quiz) -> Question | None:
    return next((question for question in quiz.questions if question.answered_real is None), None)


def _score_summary(quiz: Quiz) -> str:
    if quiz.right >= 0.9 * max(1, quiz.answered):
        return "You know the author well: the bot hardly ever fooled you."
    if quiz.right >= 0.65 * quiz.answered:
        return "Better than chance: the bot fooled you now and then."
    return "About as good as tossing a coin: the bot writes well."


def _error_fields(error: HuggingTweetsError) -> list[Any]:
    return [components.message(str(error), error=True), "", "", gr.update(visible=False), gr.skip()]
