"""Base models and bots: finding, loading and saving causal language models.

A :class:`LanguageModel` is a model, its tokenizer and its separator together, because none of the
three means anything without the others. Whatever ``AutoModelForCausalLM`` loads will do, GGUF files
included; :mod:`huggingtweets.nn.bases` knows those that need no network.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from huggingtweets.errors import BaseModelError
from huggingtweets.nn import bases, fused
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from huggingtweets.nn.devices import ComputeDevice

POCKET = bases.POCKET
_WAY_OUT = f"Check the name, or use --base {POCKET}, which is built in and needs no network."
_HUB_SECONDS = 5  # to wait for each part of its answer
TEMPERATURE, TOP_P = 0.7, 0.9
"""How bots draw unless told otherwise: models this small stray at 1, docs/benchmarks.md shows."""

LONGEST_ROW = 1024
"""Tokens in a row at most, as in the published recipe (GPT-2's context)."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        model: any ``AutoModelForCausalLM``.
        tokenizer: its tokenizer.
        separator: id of the base's own end-of-text token; it stands before and after each post.
        context: the longest row in tokens, at most 1,024.
        source: what it was loaded from: a built-in base, a folder, a GGUF file or a Hub id.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    separator: int
    context: int
    source: str

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text`` alone; nothing in it is taken for a special token."""
        ids: list[int] = self.tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=True
        )
        return ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """:meth:`encode` for many texts at once, on all cores."""
        if not texts:
            return []
        batch = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)
        ids: list[list[int]] = batch["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, the separator left out."""
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    @property
    def max_post_tokens(self) -> int:
        """Tokens that a new post may take: 80, or half the context where that is less."""
        return min(80, self.context // 2)

    @property
    def parameters(self) -> int:
        """How many weights the model has, tied ones counted once."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def width(self) -> int:
        """Numbers in a hidden state of one token."""
        text = self.model.config.get_text_config()
        embeddings: Any = self.model.get_input_embeddings()
        width: int = getattr(text, "hidden_size", None) or embeddings.embedding_dim
        return width

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def to(self, machine: ComputeDevice) -> LanguageModel:
        """Move the model to where and how a machine computes fastest, in place; returns itself."""
        import torch

        dtype = torch.bfloat16 if machine.precision == "bf16" else torch.float32
        convert(self.model, torch.device(machine.device), dtype)
        return self

    def save(self, folder: Path) -> None:
        """Write model, tokenizer and sampling defaults so that any Hugging Face tool loads them.

        Raises:
            OSError: the disk is full or the folder can't be written.
        """
        from safetensors import SafetensorError
        from transformers import GenerationConfig

        self.model.generation_config = GenerationConfig(
            do_sample=True,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            max_new_tokens=self.max_post_tokens,
            bos_token_id=self.separator,
            eos_token_id=self.separator,
            pad_token_id=self.separator,
        )
        try:
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        except SafetensorError as error:
            raise files.to_os_error(error) from error


def convert(model: PreTrainedModel, device: torch.device, dtype: torch.dtype) -> None:
    """Move a model and give its weights another precision, in place.

    Buffers keep theirs, as they do when transformers loads a model: in bfloat16 the
    frequencies of rotary positions are off by up to a tenth of a radian at position 50.
    """
    cast("torch.nn.Module", model).to(device)  # its own `to` is decorated beyond typing
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)


def load(source: str | Path, *, attention: str | None = None) -> LanguageModel:
    """Load a built-in base, a folder, a GGUF file, or a model of the Hub, in its own precision.

    Args:
        source: a built-in base, a folder holding a causal language model, a GGUF file, or
            a Hub id.
        attention: an attention implementation of transformers, or None for its default.

    Raises:
        BaseModelError: there is no such model, it can't be reached, or it is of another kind.
    """
    quiet_transformers()
    location = _locate(str(source))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Code that comes with a model is never run, and what is on this machine is not asked for.
    options: dict[str, Any] = {
        "local_files_only": Path(location).is_dir() or not _hub_has(location),
        "trust_remote_code": False,
    }
    chosen = {"attn_implementation": attention} if attention else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(location, **options)
        model = AutoModelForCausalLM.from_pretrained(location, dtype="auto", **options, **chosen)
    except Exception as error:  # damaged files make the libraries raise anything
        raise BaseModelError(_explain(str(source), error)) from error
    fused.replace_gelu(model)
    return LanguageModel(
        model=model.eval(),
        tokenizer=tokenizer,
        separator=_separator(tokenizer, str(source)),
        context=_context(model.config),
        source=str(source),
    )


def _locate(source: str) -> str:
    """Folder or Hub id to load from; a path that looks local but isn't there is told at once."""
    if source in bases.BUILT_IN:
        return str(bases.folder_of(source))
    path = Path(source).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise BaseModelError(f"There is no GGUF file {source!r}.")
        return str(bases.converted(path))
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BaseModelError(
                f"{source} holds no config.json, so it is not a model folder; "
                f"name one, a Hugging Face Hub id, or use --base {POCKET}."
            )
        return str(path)
    if path.exists() or source.startswith((".", "/", "~")) or source.count("/") > 1 or not source:
        raise BaseModelError(
            f"There is no model folder {source!r}; name one, a Hugging Face Hub id, "
            f"or use --base {POCKET}, which is built in."
        )
    return source


def _hub_has(name: str) -> bool:
    """Ask the Hub for a model once and briefly, since the libraries go on asking for a minute.

    Returns:
        Whether it can be downloaded; False when there is no answer, so what was downloaded before
        is all there is.

    Raises:
        BaseModelError: the Hub knows no such model, or doesn't give it to this user.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        HfApi().model_info(name, timeout=_HUB_SECONDS)
    except HFValidationError as error:
        raise BaseModelError(
            f"There is no model {name[:100]!r}: it is neither a folder here nor the name of a "
            f"model on the Hugging Face Hub, like openai-community/gpt2. {_WAY_OUT}"
        ) from error
    except GatedRepoError as error:
        raise BaseModelError(
            f"The base model {name!r} is only given to those who accepted its terms on the Hugging "
            f"Face Hub; do so there and log in with `hf auth login`. {_WAY_OUT}"
        ) from error
    except RepositoryNotFoundError as error:
        raise BaseModelError(
            f"There is no model {name!r} on the Hugging Face Hub, or it is private. {_WAY_OUT}"
        ) from error
    except Exception:  # noqa: BLE001 - no network, no answer, or one that isn't the Hub's
        return False
    return True


def _explain(source: str, error: Exception) -> str:
    """One sentence for the many ways in which transformers says that it can't load something."""
    text = " ".join(str(error).split())
    if "Unrecognized configuration class" in text:
        return f"{source!r} is not a causal language model (one that writes text). {_WAY_OUT}"
    if "trust_remote_code" in text:
        return (
            f"The base model {source!r} comes with its own program code, which is never run here. "
            f"{_WAY_OUT}"
        )
    if not Path(source).is_dir() and isinstance(error, OSError):
        return (
            f"The base model {source!r} is not on this machine and the Hugging Face Hub can't be "
            f"reached. {_WAY_OUT}"
        )
    return f"The base model {source!r} can't be loaded: {text[:200].rstrip('.')}. {_WAY_OUT}"


def _separator(tokenizer: PreTrainedTokenizerBase, source: str) -> int:
    """The base's own end-of-text token, which the published recipe puts between posts."""
    separator = tokenizer.eos_token_id
    if not isinstance(separator, int):
        raise BaseModelError(f"{source!r} has no end-of-text token, so posts can't be separated.")
    return separator


def _context(config: Any) -> int:  # noqa: ANN401 - every model has its own configuration class
    """Longest row of the model, at most 1,024 tokens."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 1:
            return min(value, LONGEST_ROW)
    return LONGEST_ROW


def quiet_transformers() -> None:
    """Keep loading bars and advice of the libraries off the user's screen."""
    from transformers.utils import logging as advice

    advice.set_verbosity_error()
    advice.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
