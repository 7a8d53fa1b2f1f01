"""The card of a bot, rendered from the run's files so that it always agrees with them."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from huggingtweets import templating
from huggingtweets.evaluation.report import percent
from huggingtweets.generation import copy_index
from huggingtweets.publish._avatar import hue, initial
from huggingtweets.publish.escaping import escape_html, escape_markdown, one_line
from huggingtweets.publish.facts import PICTURE, Facts
from huggingtweets.storage import files

if TYPE_CHECKING:
    from jinja2 import Template

    from huggingtweets.publish.gguf import GgufFacts
    from huggingtweets.publish.onnx import OnnxFacts
    from huggingtweets.storage.run_folder import RunFolder, RunRecord

PIPELINE = "pipeline.svg"
CARD = "README.md"
PROMPTS = ("My dream is", "I like", "I don't like", "My favorite place is")
"""Prompts that visitors of the Hub can try, those of the original HuggingTweets."""

_MAX_AVATARS = 3
_METADATA_ORDER = [
    *("language", "thumbnail", "tags", "widget", "pipeline_tag", "library_name", "base_model"),
    *("base_model_relation", "license", "license_name"),
]


def write_card(run: RunFolder, record: RunRecord | None = None) -> None:
    """Write the card of a run's bot, and the diagram that it shows.

    Args:
        run: a run with a likeness report.
        record: used instead of ``run.json``.

    Raises:
        BotError: a file is missing or damaged.
    """
    facts = Facts.of(run, record)
    files.write_text(run.bot / PIPELINE, pipeline_drawing())
    files.write_text(run.bot / CARD, render_card(facts))


def pipeline_drawing() -> str:
    """Return the diagram of the pipeline as SVG."""
    return resources.files(__package__).joinpath("templates", PIPELINE).read_text("utf-8")


def render_card(
    facts: Facts, exported: GgufFacts | None = None, onnx: OnnxFacts | None = None
) -> str:
    """Render the card as Markdown with YAML metadata.

    Handles are untrusted, so markup in them is escaped.

    Args:
        facts: of the bot.
        exported: of the GGUF file beside the card, if it is the card of an export.
        onnx: of the ONNX file beside the card, likewise.
    """
    record = facts.record
    return template("huggingtweets.publish", "bot-card.md.j2").render(
        facts=facts,
        record=record,
        report=facts.report,
        head=head(facts, exported, onnx),
        exported=exported,
        onnx=onnx,
        avatars=[(initial(name), hue(name)) for name in record.authors[:_MAX_AVATARS]],
        prompt=PROMPTS[0],
        picture=PICTURE,
        pipeline=PIPELINE,
        # without "evaluate", whose duration would change the card each time
        stages=[item for item in record.seconds.items() if item[0] != "evaluate"],
        max_run=copy_index.MAX_RUN,
        own_share=copy_index.copy_length(10) / 10,
    )


def head(facts: Facts, exported: GgufFacts | None = None, onnx: OnnxFacts | None = None) -> str:
    """Return the card's metadata for the Hub, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    bits = EvalResult(
        task_type="text-generation",
        task_name="Text Generation",
        dataset_type="custom",
        dataset_name="held-out posts of "
        + " & ".join(one_line(name) for name in facts.record.names),
        metric_type="bits_per_byte",
        metric_name="held-out bits per byte",
        metric_value=round(facts.report.bits_per_byte.bot, 4),
    )
    more: dict[str, Any] = {"thumbnail": _thumbnail(facts)} if facts.picture else {}
    library, tag = "transformers", []
    if exported or onnx:
        library = "llama.cpp" if exported else "onnx"
        tag = ["gguf" if exported else "onnx"]
    elif facts.adapter:  # the Hub shows it among the adapters of its base
        library, tag = "peft", ["lora"] if facts.adapter.rank else []
        if facts.hub_base:
            more["base_model_relation"] = "adapter"
            tag.append(f"base_model:adapter:{facts.hub_base}")
    data = ModelCardData(
        language=_one_or_all(facts.languages),
        tags=["huggingtweets", *tag],
        pipeline_tag="text-generation",
        library_name=library,
        base_model=facts.hub_base,
        # The weights derive from the author's posts and the base, which we can't license.
        license="other",
        license_name="author-and-base",
        model_name=facts.record.name,
        eval_results=[bits],
        widget=[{"text": prompt} for prompt in PROMPTS],
        **more,
    )
    return str(data.to_yaml(original_order=_METADATA_ORDER))


def _thumbnail(facts: Facts) -> str:
    # Link previews need an absolute URL, which exists once the bot is published.
    publication = facts.publication
    return f"{publication.url}/resolve/main/{PICTURE}" if publication else PICTURE


def _one_or_all(codes: tuple[str, ...]) -> str | list[str] | None:
    return codes[0] if len(codes) == 1 else list(codes) or None


def template(package: str, name: str) -> Template:
    """Return a Markdown template of a package.

    Untrusted text needs the filter ``plain`` in Markdown and ``html`` in HTML tags.
    """
    environment = templating.environment(package)
    environment.filters["plain"] = escape_markdown
    environment.filters["html"] = escape_html
    environment.filters["number"] = "{:,}".format
    environment.filters["percent"] = percent
    return environment.get_template(name)
