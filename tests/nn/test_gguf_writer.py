"""Exported files in llama.cpp itself: tokens, probabilities, sampling and where a post begins."""

from __future__ import annotations

import importlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest
from benchmarks.scripts_of_the_world import texts
from tests.helpers.posts import made_up_posts

from huggingtweets.nn import bases, gguf_files, gguf_writer, language_model, llama_cpp
from huggingtweets.nn.gguf_writer import KINDS, About, UnknownToLlamaCppError
from huggingtweets.nn.language_model import LanguageModel

if TYPE_CHECKING:
    from pathlib import Path

POSTS = made_up_posts(10)
WIDE_SPACES = re.compile(r"\s[^\S\x00-\x7f]\d|[^\S\x00-\x7f]\s\d")
"""Two spaces before a digit, one of them not of ASCII: llama.cpp has no splitter that splits them
as pocket's does. Curation leaves no two spaces in a post."""


def load(folder: Path | str) -> LanguageModel:
    lm = language_model.load(folder)
    lm.model.float()
    return lm


def written(lm: LanguageModel, file: Path, kind: str = "f16") -> Path:
    gguf_writer.write(lm, file, KINDS[kind], About("AI bot of @ann"))
    return file


def reader_of(file: Path) -> Any:  # noqa: ANN401 - gguf's
    from gguf import GGUFReader

    return GGUFReader(file)


def tiny_with_tokenizer_of(name: str) -> LanguageModel:
    """A Llama of one narrow layer with the tokenizer of a built-in base."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer: Any = AutoTokenizer.from_pretrained(bases.model_folder(name))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    return LanguageModel(LlamaForCausalLM(config), tokenizer, 0, 512, name)


@pytest.mark.parametrize("base", ["tiny_base", "dropout_base"])
@pytest.mark.parametrize(
    ("kind", "most"), [("f16", 1e-4), ("q8_0", 1e-3), ("q4_1", 1.0), ("q4_k", 1.0)]
)
def test_llama_cpp_predicts_the_same_tokens(
    base: str, kind: str, most: float, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lm = load(request.getfixturevalue(base))
    found = llama_cpp.compare(lm, written(lm, tmp_path / "bot.gguf", kind), POSTS)
    assert -1e-6 < found.divergence < most
    assert found.bits_per_byte == pytest.approx(found.bits_per_byte_here, rel=most)
    assert found.retokenized == 0


@pytest.mark.parametrize("name", ["pocket", "smollm2"])
def test_llama_cpp_splits_texts_of_20_scripts_into_the_same_tokens(
    name: str, tmp_path: Path
) -> None:
    if not bases.is_available(name):
        pytest.skip(f"the weights of {name} are not on this machine")
    lm = tiny_with_tokenizer_of(name)
    chosen = [*texts(2_000), "<|endoftext|> <|im_end|>", "  5", "\n\n5 \t 10", "a\u00a05", ""]
    with llama_cpp.opened(written(lm, tmp_path / "bot.gguf"), 512) as program:
        if name == "pocket":
            usual = [text for text in chosen if not WIDE_SPACES.search(text)]
            assert len(chosen) * 0.97 < len(usual) < len(chosen)
            chosen = usual
        for text in chosen:
            assert program.encode(text) == lm.encode(text), text
        assert program.encode("My dream", begins=True) == [lm.separator, *lm.encode("My dream")]


def test_llama_cpp_begins_posts_and_samples_as_we_do(tiny_base: Path, tmp_path: Path) -> None:
    xllamacpp: Any = importlib.import_module("xllamacpp")  # without types
    lm = load(tiny_base)
    settings = xllamacpp.CommonParams()
    settings.model.path = str(written(lm, tmp_path / "bot.gguf"))
    settings.n_ctx, settings.warmup, settings.n_parallel = 64, False, 1
    settings.cpuparams.n_threads, settings.verbosity = 1, -1
    server = xllamacpp.Server(settings)
    request = Request(  # noqa: S310 - of this test's own server
        f"{server.listening_address}/completion",
        json.dumps({"prompt": "My dream is", "n_predict": 1}).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as response:  # noqa: S310
        answer = json.load(response)
    used = answer["generation_settings"]
    assert used["temperature"] == pytest.approx(language_model.TEMPERATURE)
    assert used["top_p"] == pytest.approx(language_model.TOP_P)
    assert (used["top_k"], used["min_p"], used["repeat_penalty"]) == (0, 0.0, 1.0)
    assert used["samplers"] == ["temperature", "top_p"]
    assert answer["tokens_evaluated"] == 1 + len(lm.encode("My dream is"))
    message = {"role": "user", "content": "My dream is "}
    chat = server.handle_chat_completions(
        {"messages": [{"role": "system", "content": "Be kind."}, message], "max_tokens": 1}
    )
    assert chat["usage"]["prompt_tokens"] == 1 + len(lm.encode("My dream is"))


def test_a_written_file_can_be_a_base(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    lm = load(tiny_base)
    again = load(written(lm, tmp_path / "bot.gguf", "f16"))
    assert again.separator == lm.separator
    row = torch.tensor([[lm.separator, *lm.encode(POSTS[0])]])
    assert again.encode_all(POSTS) == lm.encode_all(POSTS)
    before, after = (m.model(row).logits.log_softmax(-1) for m in (lm, again))
    assert (before.exp() * (before - after)).sum(-1).max() < 1e-4  # it is read in bfloat16


def test_metadata_names_author_licence_and_what_it_is(tiny_base: Path, tmp_path: Path) -> None:
    about = About(
        "AI bot of @ann",
        licence_name="author-and-base",
        author="@ann",
        description="I am a machine.",
        base="pocket",
        base_url="https://huggingface.co/x/y",
        tags=("ai-bot",),
        languages=("en",),
        version="1",
    )
    gguf_writer.write(load(tiny_base), tmp_path / "bot.gguf", KINDS["q8_0"], about)
    reader = reader_of(tmp_path / "bot.gguf")
    found = {name: field.contents() for name, field in reader.fields.items()}
    assert found["general.name"] == "AI bot of @ann"
    assert found["general.author"] == "@ann"
    assert (found["general.license"], found["general.license.name"]) == ("other", "author-and-base")
    assert found["general.base_model.0.name"] == "pocket"
    assert found["general.tags"] == ["ai-bot"]
    assert found["general.quantized_by"] == "huggingtweets 1"
    assert found["tokenizer.ggml.add_bos_token"] is True
    assert "assistant" not in found["tokenizer.chat_template"]


def test_what_llama_cpp_does_not_know_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    lm = load(tiny_base)
    lm.model.config.__dict__["model_type"] = "opt"
    with pytest.raises(UnknownToLlamaCppError, match="its architecture is opt"):
        written(lm, tmp_path / "bot.gguf")
    lm = load(tiny_base)
    lm.model.config.rope_parameters = {"rope_type": "yarn"}
    with pytest.raises(UnknownToLlamaCppError, match="yarn positions"):
        written(lm, tmp_path / "bot.gguf")
    lm = load(tiny_base)
    from tokenizers import normalizers

    backend: Any = lm.tokenizer
    backend.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(UnknownToLlamaCppError, match="isn't plain byte-level BPE"):
        written(lm, tmp_path / "bot.gguf")
    assert not list(tmp_path.iterdir())


def test_rows_that_fill_no_block_keep_16_bits(dropout_base: Path, tmp_path: Path) -> None:
    written(load(dropout_base), tmp_path / "bot.gguf", "q4_k")
    kinds = {tensor.tensor_type.name for tensor in reader_of(tmp_path / "bot.gguf").tensors}
    assert kinds == {"F32", "Q5_0", "Q8_0"}  # 32 wide: no block of 256


def test_without_llama_cpp_one_sentence_says_how_to_get_it(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cpp, "find_spec", lambda _: None)
    llama_cpp._library.cache_clear()
    try:
        with pytest.raises(llama_cpp.LlamaCppMissingError, match=r"pip install 'huggingtweets\["):
            llama_cpp.compare(load(tiny_base), tmp_path / "bot.gguf", POSTS)
    finally:
        monkeypatch.undo()
        llama_cpp._library.cache_clear()


def test_rotary_rows_are_reordered_back() -> None:
    import torch

    weight = torch.arange(64.0).reshape(16, 4)
    there = gguf_files.rotary_rows_of_llama_cpp(weight, 2)
    assert torch.equal(gguf_files._reorder_rotary_rows(there, 2), weight)
