"""The card of a bot, made from the run's own files so that it can't disagree with them."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined, Template

from huggingtweets.evaluation.report import percent
from huggingtweets.generation import copy_index
from huggingtweets.publish._avatar import hue, initial
from huggingtweets.publish.escaping import escape_html, escape_markdown, one_line
from huggingtweets.publish.facts import PICTURE, Facts
from huggingtweets.storage import files

if TYPE_CHECKING:
    from huggingtweets.storage.run_folder import RunFolder, RunRecord

PIPELINE = "pipeline.svg"
CARD = "README.md"
PROMPTS = ("My dream is", "I like", "I don't like", "My favorite place is")
"""What visitors of the Hub can try, as in the original."""

_MOST_AVATARS = 3
_ORDER = [
    *("language", "thumbnail", "tags", "widget", "pipeline_tag", "library_name", "base_model"),
    *("license", "license_name"),
]


def write_card(run: RunFolder, record: RunRecord | None = None) -> None:
    """Write the card of a run's bot and the drawing that it shows, from the run's files.

    Args:
        run: whose likeness report is there.
        record: in the place of the one on disk.

    Raises:
        BotError: a file is missing or damaged.
    """
    facts = Facts.of(run, record)
    files.write_text(run.bot / PIPELINE, pipeline_drawing())
    files.write_text(run.bot / CARD, render_card(facts))


def pipeline_drawing() -> str:
    """How a bot is made, as an SVG."""
    return resources.files(__package__).joinpath("templates", PIPELINE).read_text("utf-8")


def render_card(facts: Facts) -> str:
    """The card as Markdown with its YAML head.

    Handles come from files, so everything that could be markup in them is escaped.
    """
    record = facts.record
    return template(__package__, "bot-card.md.j2").render(
        facts=facts,
        record=record,
        report=facts.report,
        head=head(facts),
        avatars=[(initial(name), hue(name)) for name in record.authors[:_MOST_AVATARS]],
        prompt=PROMPTS[0],
        picture=PICTURE,
        pipeline=PIPELINE,
        # without the report, whose time would make each card of it another one
        stages=[item for item in record.seconds.items() if item[0] != "evaluate"],
        max_run=copy_index.MAX_RUN,
        own_share=copy_index.copy_length(10) / 10,
    )


def head(facts: Facts) -> str:
    """The metadata that the Hub reads, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    bits = EvalResult(
        task_type="text-generation",
        task_name="Text Generation",
        dataset_type="custom",
        dataset_name="held-out posts of "
        + " & ".join("@" + one_line(author) for author in facts.record.authors),
        metric_type="bits_per_byte",
        metric_name="held-out bits per byte",
        metric_value=round(facts.report.bits_per_byte.bot, 4),
    )
    some: dict[str, Any] = {"thumbnail": _thumbnail(facts)} if facts.picture else {}
    data = ModelCardData(
        language=_one_or_all(facts.languages),
        tags=["huggingtweets"],
        pipeline_tag="text-generation",
        library_name="transformers",
        base_model=facts.hub_base,
        # The author's posts and the base are in the weights, so no licence of ours can cover them.
        license="other",
        license_name="author-and-base",
        model_name=facts.record.name,
        eval_results=[bits],
        widget=[{"text": prompt} for prompt in PROMPTS],
        **some,
    )
    return str(data.to_yaml(original_order=_ORDER))


def _thumbnail(facts: Facts) -> str:
    # Others show it too, so it must be a whole address once there is one.
    where = facts.publication
    return f"{where.url}/resolve/main/{PICTURE}" if where else PICTURE


def _one_or_all(codes: tuple[str, ...]) -> str | list[str] | None:
    return codes[0] if len(codes) == 1 else list(codes) or None


def template(package: str, name: str) -> Template:
    """A Markdown template of a package.

    Its filters for text from outside are ``plain`` in Markdown and ``html`` in tags.
    """
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, escaped by the filters below
    )
    environment.filters["plain"] = escape_markdown
    environment.filters["html"] = escape_html
    environment.filters["number"] = "{:,}".format
    environment.filters["percent"] = percent
    source = resources.files(package).joinpath("templates", name).read_text("utf-8")
    return environment.from_string(source)
