"""Find, load and save causal language models: bases and bots.

A :class:`LanguageModel` holds a model, its tokenizer and its separator, because none of the three
is useful without the others. It can be anything that ``AutoModelForCausalLM`` loads, or a GGUF
file. :mod:`huggingtweets.nn.bases` has the bases that need no network.
"""

from __future__ import annotations

import importlib
import logging
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from huggingtweets.errors import BaseModelError, MissingBaseError, StorageError
from huggingtweets.nn import adapters, bases, devices, model_folder, tokenizer_probe
from huggingtweets.storage import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

    from huggingtweets.nn.adapters import Adapter
    from huggingtweets.nn.devices import ComputeDevice
    from huggingtweets.nn.model_folder import Weights

POCKET = bases.POCKET
_HINT = f"Check the name, or choose the base {POCKET}, which is built in and needs no network."
_HUB_TIMEOUT = 5  # seconds, for connecting and for each read
TEMPERATURE, TOP_P = 0.7, 0.9
"""Default sampling settings. At 1, models this small lose coherence; see docs/lab/likeness.md."""

LONGEST_ROW = 1024
"""Maximum length of a row in tokens, as in the published recipe (GPT-2's context)."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        model: any ``AutoModelForCausalLM``.
        tokenizer: its tokenizer.
        separator: id of the base's end-of-text token, which comes before and after each post.
        context: maximum length of a row in tokens, at most 1,024.
        source: where it was loaded from: a built-in base, a folder, a GGUF file or a Hub id.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    separator: int
    context: int
    source: str

    def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text``, in which no special tokens are recognized."""
        with tokenizer_probe.faults(self.source):
            ids: list[int] = self.tokenizer.encode(
                text, add_special_tokens=False, split_special_tokens=True
            )
        return ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode many texts as :meth:`encode` does, on all cores."""
        if not texts:
            return []
        with tokenizer_probe.faults(self.source):
            batch = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)
        ids: list[list[int]] = batch["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without separators."""
        with tokenizer_probe.faults(self.source):
            text = self.tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return str(text)

    @property
    def max_post_tokens(self) -> int:
        """Maximum length of a new post in tokens: 80 or half the context, whichever is less."""
        return min(80, self.context // 2)

    @property
    def parameters(self) -> int:
        """Number of weights; tied weights count once."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def width(self) -> int:
        """Size of a token's hidden state."""
        config = self.model.config.get_text_config()
        embeddings: Any = self.model.get_input_embeddings()
        width: int = getattr(config, "hidden_size", None) or embeddings.embedding_dim
        return width

    def digest(self) -> str:
        """SHA-256 of the weights with their names, which tells whether two bases are the same."""
        import hashlib

        import torch

        found = hashlib.sha256()
        for name, weight in sorted(self.model.named_parameters()):
            values = weight.detach().cpu().contiguous()
            found.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
            found.update(values.flatten().view(torch.uint8).numpy().data)
        return found.hexdigest()

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    def to(self, machine: ComputeDevice) -> LanguageModel:
        """Move the model to a device and its precision, in place; return ``self``."""
        import torch

        dtype = torch.bfloat16 if machine.precision == "bf16" else torch.float32
        convert(self.model, torch.device(machine.device), dtype)
        return self

    def save(self, folder: Path) -> None:
        """Save the model, tokenizer and sampling defaults in the format of Hugging Face tools.

        Raises:
            OSError: the disk is full or the folder can't be written.
        """
        from safetensors import SafetensorError

        self.model.generation_config = self._sampling()
        try:
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        except SafetensorError as error:
            raise files.to_os_error(error) from error
        rows = getattr(self.model.config.get_text_config(), "vocab_size", None)
        tokenizer_probe.remember(folder, bases.cache_folder(), rows)

    def save_adapter(self, adapter: Adapter, folder: Path) -> None:
        """Save an adapter to this base in the format of `peft`, with tokenizer and sampling.

        Raises:
            OSError: the disk is full or the folder can't be written.
        """
        adapters.write(adapter, folder)
        self.tokenizer.save_pretrained(folder)
        self._sampling().save_pretrained(folder)

    def _sampling(self) -> GenerationConfig:
        """Return the sampling defaults in the format of transformers."""
        from transformers import GenerationConfig

        return GenerationConfig(
            do_sample=True,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            max_new_tokens=self.max_post_tokens,
            bos_token_id=self.separator,
            eos_token_id=self.separator,
            pad_token_id=self.separator,
        )


def convert(model: PreTrainedModel, device: torch.device, dtype: torch.dtype) -> None:
    """Move a model and convert its weights to another precision, in place.

    Buffers keep their precision, as they do when transformers loads a model. In bfloat16 the
    frequencies of rotary positions would be off by up to a tenth of a radian at position 50.
    """
    cast("torch.nn.Module", model).to(device)  # its own `to` is decorated beyond typing
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)


def load(source: str | Path, *, attention: str | None = None) -> LanguageModel:
    """Load a causal language model in the precision of its weights.

    Args:
        source: a built-in base, a model folder, a GGUF file, or a Hub id. Of an adapter, its base
            is loaded and the adapter is folded in.
        attention: an attention implementation of transformers, or None for its default.

    Raises:
        BaseModelError: there is no such model, it can't be reached, it is damaged, or it is not a
            causal language model.
        MissingBaseError: it is an adapter, and its base can't be loaded.
    """
    import_transformers()
    quiet_transformers()
    folder = locate(str(source))
    if adapters.is_adapter(folder):
        return _load_adapter(folder, str(source), attention)
    try:
        weights = model_folder.check(folder)
        if str(source) not in bases.BUILT_IN:
            tokenizer_probe.check(folder, bases.cache_folder(), weights.rows)
        return _load(folder, weights, str(source), attention)
    except Exception as error:  # for damaged files the libraries raise any exception
        raise BaseModelError(_explain(str(source), error)) from error


def load_base(adapter: Adapter, source: str, attention: str | None = None) -> LanguageModel:
    """Load the base of an adapter and check that they belong together.

    Args:
        adapter: as read.
        source: where the adapter is, for messages.
        attention: as for :func:`load`.

    Raises:
        MissingBaseError: the base can't be loaded, or the adapter belongs to another one.
    """
    try:
        folder = _locate_base(adapter.base)
        base = load(adapter.base, attention=attention)
    except BaseModelError as error:
        raise MissingBaseError(
            f"{source} is a small bot, which needs its base {adapter.base!r}. {error}"
        ) from error
    try:
        adapters.check_fits(adapter, base, _built_in_digest(base, folder))
    except model_folder.UnusableModelError as error:
        raise MissingBaseError(
            f"{source} is a small bot that doesn't belong to {adapter.base!r}: {error}. "
            "Bring its base back, or train the bot again."
        ) from error
    return base


def _load_adapter(folder: Path, source: str, attention: str | None) -> LanguageModel:
    try:
        adapter = adapters.read(folder)
    except model_folder.UnusableModelError as error:
        raise BaseModelError(_explain(source, error)) from error
    base = load_base(adapter, source, attention)
    adapters.fold(base.model, adapter)
    return replace(base, source=source)


def _locate_base(source: str) -> Path:
    folder = locate(source)
    if adapters.is_adapter(folder):
        raise BaseModelError("That is a small bot itself, not a base.")
    return folder


def _built_in_digest(base: LanguageModel, folder: Path) -> str | None:
    """Return the digest of a built-in base as just loaded, from the cache; None for others.

    Computing it takes a fifth of a second. The folder is named after the hash of its GGUF file.
    """
    if base.source not in bases.BUILT_IN or folder.parent != bases.cache_folder():
        return None
    cached = bases.cache_folder() / "digests" / folder.name
    with suppress(OSError, ValueError):
        known = cached.read_text("ascii")
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    digest = base.digest()
    with suppress(OSError, StorageError):  # a cache that can't be written costs the time each time
        files.make_folder(cached.parent)
        files.write_text(cached, digest)
    return digest


def _load(folder: Path, weights: Weights, source: str, attention: str | None) -> LanguageModel:
    """Load the model of a checked folder.

    Raises:
        Exception: whatever the libraries raise for a damaged or unsupported model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Never run a model's own code, and never ask the Hub for what is on this machine.
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    chosen = {"attn_implementation": attention} if attention else {}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    with model_folder.limited_to(weights):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype="auto",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # check_loaded names them
            **options,
            **chosen,
        )
    model, found = loaded
    model_folder.check_loaded(model, found, weights)
    replace_gelu(model)
    return LanguageModel(
        model=model.eval(),
        tokenizer=tokenizer,
        separator=_separator(tokenizer, model),
        context=_context(model.config),
        source=source,
    )


def replace_gelu(model: torch.nn.Module) -> None:
    """Replace a model's tanh GELU layers by torch's fused one, in place.

    transformers computes GPT-2's GELU in eight operations, each of which reads and writes all
    activations. The fused one equals it up to rounding. It has no weights, so saving is unaffected.
    """
    import torch
    from transformers import activations

    unfused = (
        activations.NewGELUActivation,
        activations.FastGELUActivation,
        activations.AccurateGELUActivation,
        activations.GELUTanh,
    )
    for name, module in list(model.named_modules()):
        if isinstance(module, unfused):
            model.set_submodule(name, torch.nn.GELU(approximate="tanh"))


def locate(source: str) -> Path:
    """Return the folder to load from; download it from the Hub if necessary.

    Raises:
        BaseModelError: a local path doesn't exist or is not a model, or the Hub has no such model.
    """
    if source in bases.BUILT_IN:
        return bases.model_folder(source)
    path = Path(source).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise BaseModelError(f"There is no GGUF file {source!r}.")
        return bases.convert_gguf(path)
    if path.is_dir():
        if not (path / "config.json").is_file() and not adapters.is_adapter(path):
            raise BaseModelError(
                f"{source} is not a model folder: it has no config.json. "
                f"Give a model folder, a Hugging Face Hub id, or the base {POCKET}."
            )
        return path
    if path.exists() or source.startswith((".", "/", "~")) or source.count("/") > 1 or not source:
        raise BaseModelError(
            f"There is no model folder {source!r}. Give a model folder, a Hugging Face Hub id, "
            f"or the base {POCKET}, which is built in."
        )
    names = _hub_files(source)
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                source,
                allow_patterns=None if names is None else needed_files(names),
                local_files_only=names is None,
            )
        )
    except Exception as error:  # of the network, the disk or the Hub
        raise BaseModelError(_explain(source, error)) from error


def needed_files(names: Sequence[str]) -> list[str]:
    """Return which of a repository's files to download: the tokenizer, and the weights once."""
    whole = "config.json" in names  # beside it, an adapter is not what the model is
    names = [name for name in names if not (whole and name.startswith("adapter_"))]
    kinds = ("model*.safetensors", "*.safetensors", "pytorch_model*.bin")
    found = ([name for name in names if fnmatchcase(name, kind)] for kind in kinds)
    weights = next((some for some in found if some), [])
    small = ("*.json", "*.txt", "*.model", "*.tiktoken")
    rest = [name for name in names if any(fnmatchcase(name, kind) for kind in small)]
    return [name for name in (*weights, *rest) if "/" not in name]


def _hub_files(name: str) -> list[str] | None:
    """Return the files of a model on the Hub; asked once, because the libraries retry for a minute.

    Returns:
        None if the Hub doesn't answer, so that only earlier downloads can be used.

    Raises:
        BaseModelError: the Hub has no such model, or this user has no access to it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        info = HfApi().model_info(name, timeout=_HUB_TIMEOUT)
    except HFValidationError as error:
        raise BaseModelError(
            f"There is no model {name[:100]!r}: it is neither a local folder nor the id of a "
            f"model on the Hugging Face Hub, such as openai-community/gpt2. {_HINT}"
        ) from error
    except GatedRepoError as error:
        raise BaseModelError(
            f"The base {name!r} is only available to users who accepted its terms on the Hugging "
            f"Face Hub. Accept them there and log in with `hf auth login`. {_HINT}"
        ) from error
    except RepositoryNotFoundError as error:
        raise BaseModelError(
            f"There is no model {name!r} on the Hugging Face Hub, or it is private. {_HINT}"
        ) from error
    except Exception:  # noqa: BLE001 - no network, or an answer that isn't the Hub's
        return None
    return [file.rfilename for file in info.siblings or ()]


def _explain(source: str, error: Exception) -> str:
    """Turn any of transformers' loading errors into a message for the user."""
    text = " ".join(str(error).split())
    if isinstance(error, model_folder.UnusableModelError):
        return f"{source!r} can't be used: {text}. {_HINT}"
    if "Unrecognized configuration class" in text:
        return f"{source!r} is not a causal language model (one that writes text). {_HINT}"
    if "trust_remote_code" in text:
        return (
            f"The base {source!r} needs its own program code, which huggingtweets never runs. "
            f"{_HINT}"
        )
    if not Path(source).is_dir() and isinstance(error, OSError):
        return (
            f"The base {source!r} is not on this machine, and the Hugging Face Hub can't be "
            f"reached. {_HINT}"
        )
    return f"The base {source!r} can't be loaded: {text[:200].rstrip('.')}. {_HINT}"


def _separator(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    """Return the base's end-of-text token, which the published recipe puts between posts.

    Raises:
        UnusableModelError: there is none, or the model has no such token.
    """
    separator = tokenizer.eos_token_id
    if not isinstance(separator, int):
        raise model_folder.UnusableModelError(
            "it has no end-of-text token, so posts can't be separated"
        )
    embeddings: Any = model.get_input_embeddings()
    if not 0 <= separator < (rows := len(embeddings.weight)):
        raise model_folder.UnusableModelError(
            f"its end-of-text token has the number {separator:,}, but the model has {rows:,} tokens"
        )
    return separator


def _context(config: Any) -> int:  # noqa: ANN401 - every model has its own configuration class
    """Return the model's maximum row length in tokens, at most 1,024."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 1:
            return min(value, LONGEST_ROW)
    return LONGEST_ROW


def import_transformers() -> None:
    """Import the part of transformers that loads models, without scipy.

    It needs scipy only for losses of object detection; leaving that out, by transformers' own
    switch, saves a tenth of the imports of ``generate``.
    """
    name = "transformers.modeling_utils"
    if name in sys.modules:
        return
    with devices.heavy_import(name):
        import transformers.utils

        utils: Any = transformers.utils

        has_scipy = utils.is_scipy_available
        try:
            utils.is_scipy_available = lambda: False
            importlib.import_module(name)
        finally:
            utils.is_scipy_available = has_scipy


def quiet_transformers() -> None:
    """Turn off the progress bars and advice of transformers and huggingface_hub."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
