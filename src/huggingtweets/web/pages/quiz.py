"""Real or bot? Held-out posts of the author and new ones of the bot, mixed; the score is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from huggingtweets.errors import HuggingTweetsError
from huggingtweets.web import components
from huggingtweets.web.pages.parts import NO_PROGRESS, WITH_PROGRESS, chosen, html_slot
from huggingtweets.web.templating import link_to, render

if TYPE_CHECKING:
    from huggingtweets.serving.schemas import Quiz
    from huggingtweets.web.context import PageContext


def build(context: PageContext, page: gr.Blocks) -> None:
    """Lay the page out."""
    html_slot(
        html=context.header(
            "quiz",
            "Real or bot?",
            "Ten posts: some the author wrote after the bot had learnt, some the bot made up. "
            "Your answers become part of its likeness report.",
        )
    )
    bots = html_slot("bots")
    start = gr.Button("Start", variant="primary", elem_id="start")
    note = html_slot("note")
    question = html_slot("question")
    quiz_id = gr.State("")
    with gr.Row(visible=False) as answers:
        real = gr.Button("The author wrote it", elem_id="real")
        bot = gr.Button("The bot wrote it", elem_id="bot")

    def show(request: gr.Request) -> str:
        found = [one for one in context.finished_bots(request) if one.mine]
        mine = chosen(found, context.query_param(request, "bot"))
        return components.bot_picker(found, mine, lambda name: link_to("quiz", bot=name))

    def begin(request: gr.Request) -> list[Any]:
        found = [one for one in context.finished_bots(request) if one.mine]
        name = chosen(found, context.query_param(request, "bot"))
        try:
            quiz = context.service.new_quiz(context.visitor(request), name)
        except HuggingTweetsError as error:
            return _fault(error)
        return ["", asked(quiz), quiz.id, gr.update(visible=True), gr.update(value="Start again")]

    def answer(request: gr.Request, id_of: str, *, says_real: bool) -> list[Any]:
        visitor = context.visitor(request)
        try:
            quiz = context.service.quiz(visitor, id_of)
            number = next((one.number for one in quiz.questions if one.said_real is None), 0)
            right, quiz = context.service.answer(visitor, id_of, number, says_real)
        except HuggingTweetsError as error:
            return _fault(error)
        more = quiz.answered < len(quiz.questions)
        return ["", asked(quiz, right, says_real), id_of, gr.update(visible=more), gr.skip()]

    def says_real(request: gr.Request, id_of: str) -> list[Any]:
        return answer(request, id_of, says_real=True)

    def says_bot(request: gr.Request, id_of: str) -> list[Any]:
        return answer(request, id_of, says_real=False)

    shown = [note, question, quiz_id, answers, start]
    page.load(show, None, bots, **WITH_PROGRESS)
    start.click(begin, None, shown, **WITH_PROGRESS)
    real.click(says_real, quiz_id, shown, **NO_PROGRESS)
    bot.click(says_bot, quiz_id, shown, **NO_PROGRESS)


def asked(quiz: Quiz, right: bool = False, said_real: bool | None = None) -> str:
    """The next question, or the result.

    Args:
        quiz: as it stands.
        right: whether the last answer was.
        said_real: what it was; None before the first.
    """
    verdict = ""
    if said_real is not None:
        truth = "the author" if said_real == right else "the bot"
        verdict = f"{'Right' if right else 'No'}: {truth} wrote it."
    return render(
        "question",
        quiz=quiz,
        question=next((one for one in quiz.questions if one.said_real is None), None),
        verdict=verdict,
        was_right=right,
        closing=_closing(quiz),
    )


def _closing(quiz: Quiz) -> str:
    if quiz.right >= 0.9 * max(1, quiz.answered):
        return "You know the author well; the bot fooled you hardly ever."
    if quiz.right >= 0.65 * quiz.answered:
        return "Better than chance: the bot fooled you now and then."
    return "About as good as tossing a coin: the bot writes well."


def _fault(error: HuggingTweetsError) -> list[Any]:
    return [components.message(str(error), error=True), "", "", gr.update(visible=False), gr.skip()]
