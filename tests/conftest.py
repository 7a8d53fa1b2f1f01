from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.helpers.posts import made_up_posts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedTokenizerBase

    from huggingtweets.nn.devices import ComputeDevice

# Before torch loads: models this small only wait for each other's threads, and no test may need a
# network. Processes that tests start inherit both.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HUGGINGTWEETS_BASE"] = (
    "pocket"  # trains in seconds; tests/nn/test_bases.py has the others
)
os.environ["HUGGINGTWEETS_TRACK"] = "none"  # it takes a second a run; tests/track asks for it

# Where the tests run in the background of a shell, Ctrl-C is ignored by all that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW_FIRST = ("web", "serving", "training", "sweep", "comparison", "test_notebook.py")
"""Folders and files with minutes of work in one file; they start first, so none is left over."""

FAST_PARTS = (
    *("curation", "data", "evaluation", "nn", "plots", "privacy", "sources", "storage"),
    *("test_arguments.py", "test_forget_posts.py", "test_imports.py", "test_processes.py"),
)
SLOW_FILES = (
    *("test_bases.py", "test_contract.py", "test_huggingface.py", "test_huggingface_faults.py"),
    *("test_quantization.py", "test_mangled.py"),
)
"""``make quick`` runs the first without the second: nothing there trains for long."""

CONTEXT = 64
VOCABULARY = 512
SEPARATOR = "<|endoftext|>"


def pytest_configure() -> None:
    """Lower the priority of the tests, or they starve the trainings that they wait for.

    Trainings of the web app have a session of their own with this priority. Beside tests of a
    higher one they would get a tenth of a core.
    """
    _set_session_priority(10)


def pytest_unconfigure() -> None:
    """The session may be a terminal's, which goes on."""
    _set_session_priority(0)


def _set_session_priority(nice: int) -> None:
    with suppress(OSError):  # only Linux has it, and not everywhere
        Path("/proc/self/autogroup").write_text(str(nice), "ascii")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark slow and browser tests, and run the slow files first with ``--no-loadscope-reorder``."""

    def part(item: pytest.Item) -> str:
        return item.path.relative_to(config.rootpath / "tests").parts[0]

    for item in items:
        if part(item) not in FAST_PARTS or item.path.name in SLOW_FILES:
            item.add_marker(pytest.mark.slow)
        if "visit" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: part(item) not in SLOW_FIRST)


@pytest.fixture(scope="session", autouse=True)
def no_config_of_the_developers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty configuration: nobody has opted out and nothing is forgotten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUGGINGTWEETS_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of the test's own, which isn't there yet."""
    folder = tmp_path / "config"
    monkeypatch.setenv("HUGGINGTWEETS_CONFIG", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 37,000 random weights with a tokenizer of its own, fp32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    return _saved(LlamaForCausalLM, config, tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def dropout_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of 44,000 random weights that drops out a tenth, so that training needs chance."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=CONTEXT,
        resid_pdrop=0.1,
        embd_pdrop=0.1,
        attn_pdrop=0.1,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _saved(GPT2LMHeadModel, config, tmp_path_factory.mktemp("base") / "dropout")


@pytest.fixture(scope="session")
def posts() -> list[str]:
    """300 made-up posts, about 30,000 characters."""
    return made_up_posts(300)


@pytest.fixture(scope="session")
def cpu() -> ComputeDevice:
    """The CPU in fp32, whose results don't depend on the machine's abilities."""
    from huggingtweets.nn.devices import select_device

    return select_device("cpu", "fp32")


def _saved(kind: type, config: object, folder: Path) -> Path:
    import torch

    from huggingtweets.nn.language_model import LanguageModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config)
    LanguageModel(model, _tokenizer(), separator=0, context=CONTEXT, source="test").save(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerBase:
    """Byte-level BPE like GPT-2's, of 512 tokens, so that the tests are quick."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(made_up_posts(300), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SEPARATOR, eos_token=SEPARATOR, pad_token=SEPARATOR
    )
