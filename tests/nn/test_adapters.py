from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch  # noqa: TID253 - only these tests load it
from safetensors.torch import load_file, save_file  # noqa: TID253

from huggingtweets.errors import BaseModelError, BotError, MissingBaseError
from huggingtweets.generation import bots
from huggingtweets.nn import adapters, bases, language_model
from huggingtweets.nn.adapters import Adapter
from huggingtweets.nn.model_folder import UnusableModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel

PEFT = """
import sys, torch, warnings
from peft import PeftModel
from transformers import AutoModelForCausalLM
warnings.simplefilter("error", UserWarning)
for folder, base in zip(sys.argv[1::2], sys.argv[2::2]):
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    model = PeftModel.from_pretrained(model, folder).eval()
    torch.save(model(torch.arange(20)[None]).logits.detach(), folder + "/logits")
"""
"""A program of a stranger, who has peft and the base."""
CASES = [
    (base, kind)
    for base in ("tiny_base", "dropout_base")
    for kind in ("all layers", "one layer", "whole weights")
]


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = lm.model(torch.arange(20)[None]).logits
    return found


def low_rank(lm: LanguageModel, base: str, rank: int = 4, layers: str = "") -> Adapter:
    """Random pairs for all linear layers whose name has ``layers``."""
    torch.manual_seed(1)
    pairs, transposed = {}, False
    for name, module in lm.model.named_modules():
        turned = adapters.is_transposed(module)
        if (
            (isinstance(module, torch.nn.Linear) or turned)
            and "head" not in name
            and layers in name
        ):
            out, into = module.weight.shape[::-1] if turned else module.weight.shape
            pairs[name] = torch.randn(rank, into) / 10, torch.randn(out, rank) / 10
            transposed |= turned
    return Adapter(base, lm.digest(), 2.0, pairs, transposed=transposed)


def whole(lm: LanguageModel, base: str, layers: str) -> Adapter:
    """Random weights for all parameters whose name has ``layers``."""
    torch.manual_seed(2)
    weights = lm.model.named_parameters()
    full = {name: torch.randn(weight.shape) / 10 for name, weight in weights if layers in name}
    return Adapter(base, lm.digest(), full=full)


@pytest.fixture(scope="module")
def with_peft(
    tiny_base: Path, dropout_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[Path, Path]]:
    """Folders of adapters, with the logits that plain peft computes, and their bases."""
    paths = {"tiny_base": tiny_base, "dropout_base": dropout_base}
    made = {}
    for name, kind in CASES:
        base, folder = paths[name], tmp_path_factory.mktemp("bot")
        lm = language_model.load(base)
        part = ".1." if kind == "one layer" else ""
        adapter = (
            whole(lm, str(base), ".1.")
            if kind == "whole weights"
            else low_rank(lm, str(base), layers=part)
        )
        adapters.write(adapter, folder)
        made[name, kind] = folder, base
    arguments = [str(path) for both in made.values() for path in both]
    done = subprocess.run(
        [sys.executable, "-c", PEFT, *arguments], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.parametrize("case", CASES, ids=" of ".join)
def test_plain_peft_in_a_fresh_process_computes_what_the_loaded_bot_does(
    case: tuple[str, str], with_peft: dict[tuple[str, str], tuple[Path, Path]]
) -> None:
    folder, base = with_peft[case]
    theirs, ours = torch.load(folder / "logits"), logits(language_model.load(folder))
    assert torch.allclose(theirs, ours, atol=1e-5)
    assert not torch.allclose(ours, logits(language_model.load(base)), atol=1e-2)


def test_what_is_written_is_read(tiny_base: Path, tmp_path: Path) -> None:
    lm = language_model.load(tiny_base)
    made = replace(low_rank(lm, "ann/base", 3), full=whole(lm, "", "norm").full)
    adapters.write(made, tmp_path)
    read = adapters.read(tmp_path)

    assert (read.base, read.base_digest, read.scale, read.rank) == ("ann/base", lm.digest(), 2.0, 3)
    assert read.numbers == made.numbers
    assert all(torch.equal(read.pairs[n][i], made.pairs[n][i]) for n in made.pairs for i in (0, 1))
    assert all(torch.equal(read.full[n], made.full[n]) for n in made.full)
    assert adapters.is_adapter(tmp_path)
    assert not adapters.is_adapter(tiny_base)


def test_the_configuration_names_layers_as_vllm_and_readers_expect(
    tiny_base: Path, tmp_path: Path
) -> None:
    adapters.write(low_rank(language_model.load(tiny_base), "ann/base"), tmp_path)
    config = json.loads((tmp_path / adapters.CONFIG).read_text())
    linear = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert config["target_modules"] == linear
    assert (config["r"], config["lora_alpha"], config["layers_to_transform"]) == (4, 8, [0, 1])
    assert config["base_model_name_or_path"] == "ann/base"


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's, of transformers
def test_a_bot_of_peft_itself_is_loaded(tiny_base: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(tiny_base)
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj"], use_rslora=True)
    made = get_peft_model(model, config)
    for name, weight in made.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight)
    made.save_pretrained(str(tmp_path))
    with torch.no_grad():
        theirs = made(torch.arange(20)[None]).logits
    assert torch.allclose(logits(language_model.load(tmp_path)), theirs, atol=1e-5)


def test_an_adapter_of_a_built_in_base_is_loaded_by_its_name(tmp_path: Path) -> None:
    base = language_model.load(bases.POCKET)
    adapters.write(low_rank(base, bases.POCKET, layers=".0."), tmp_path)
    changed = language_model.load(tmp_path).digest()
    assert changed not in (base.digest(), "")


def test_a_base_with_other_weights_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    lm = language_model.load(tiny_base)
    made = replace(low_rank(lm, str(tiny_base)), base_digest="0" * 64)
    adapters.write(made, tmp_path)
    with pytest.raises(MissingBaseError, match="other weights than those on this machine"):
        bots.open_bot(tmp_path)


def test_a_base_of_another_shape_is_refused(
    tiny_base: Path, dropout_base: Path, tmp_path: Path
) -> None:
    made = low_rank(language_model.load(tiny_base), str(dropout_base))
    adapters.write(made, tmp_path)
    with pytest.raises(MissingBaseError, match=r"has no linear layer model\.layers\.0"):
        language_model.load(tmp_path)


def test_a_missing_base_is_named(tiny_base: Path, tmp_path: Path) -> None:
    adapters.write(low_rank(language_model.load(tiny_base), "/nowhere/base"), tmp_path)
    with pytest.raises(
        MissingBaseError, match=r"needs its base '/nowhere/base'\. There is no model"
    ):
        bots.open_bot(tmp_path)


def test_a_small_bot_can_not_be_the_base_of_another(tiny_base: Path, tmp_path: Path) -> None:
    adapters.write(low_rank(language_model.load(tiny_base), str(tmp_path)), tmp_path)
    with pytest.raises(MissingBaseError, match="small bot itself"):
        language_model.load(tmp_path)


def _config(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / adapters.CONFIG
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


def _tensors(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        file = folder / adapters.WEIGHTS
        save_file(change(load_file(file)), file)

    return rewrite


def _first(tensors: dict[str, torch.Tensor], value: torch.Tensor) -> dict[str, torch.Tensor]:
    return tensors | {next(iter(tensors)): value}


def _bytes(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def _cut(folder: Path) -> None:
    file = folder / adapters.WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a cut file": (_cut, "is damaged"),
    "an empty file": (_bytes(adapters.WEIGHTS, b""), "is damaged"),
    "no weights": (lambda f: (f / adapters.WEIGHTS).unlink(), "has no adapter_model.safetensors"),
    "an endless header": (_bytes(adapters.WEIGHTS, b"\xff" * 99), "header is too long"),
    "not a number": (_tensors(lambda t: _first(t, next(iter(t.values())) * torch.nan)), "infinite"),
    "whole numbers": (_tensors(lambda t: _first(t, next(iter(t.values())).int())), "whole numbers"),
    "half a pair": (_tensors(lambda t: dict(list(t.items())[1:])), "one half of the pair"),
    "no tensors": (_tensors(lambda _: {}), "is empty"),
    "another rank": (_config(r=8), "isn't a pair of rank 8"),
    "rank 0": (_config(r=0), "r from 1 to 1024, not 0"),
    "a rank of a billion": (_config(r=10**9), "r from 1 to 1024"),
    "alpha not a number": (_config(lora_alpha="much"), "lora_alpha over 0, not much"),
    "no base": (_config(base_model_name_or_path=None), "names no base"),
    "another kind": (_config(peft_type="IA3"), "only LORA"),
    "DoRA": (_config(use_dora=True), "use_dora, which is not supported"),
    "biases": (_config(bias="all"), "biases"),
    "a list": (_bytes(adapters.CONFIG, b"[]"), "not an object"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_adapter_ends_in_one_sentence(name: str, tiny_base: Path, tmp_path: Path) -> None:
    adapters.write(low_rank(language_model.load(tiny_base), str(tiny_base)), tmp_path)
    damage, message = DAMAGES[name]
    damage(tmp_path)
    with pytest.raises(UnusableModelError, match=message):
        adapters.read(tmp_path)
    with pytest.raises(BotError, match=message):
        bots.open_bot(tmp_path)


def test_an_adapter_for_ten_thousand_layers_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    pair = torch.ones(1, 32), torch.ones(32, 1)
    pairs = {f"model.layers.{n}.self_attn.q_proj": pair for n in range(10_000)}
    adapters.write(
        Adapter(
            str(tiny_base), "", pairs={n: (a.clone(), b.clone()) for n, (a, b) in pairs.items()}
        ),
        tmp_path,
    )
    with pytest.raises(MissingBaseError, match=r"has no linear layer model\.layers\.10"):
        language_model.load(tmp_path)


def test_a_folder_that_is_no_model_is_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="is not a model folder"):
        language_model.load(tmp_path)


def test_equal_adapters_are_equal_files(tiny_base: Path, tmp_path: Path) -> None:
    """safetensors alone writes the three names of the metadata in an order of chance."""
    adapter = low_rank(language_model.load(str(tiny_base)), "ünï \\ base")
    contents = set()
    for i in range(8):
        (tmp_path / str(i)).mkdir()
        adapters.write(adapter, tmp_path / str(i))
        contents.add((tmp_path / str(i) / adapters.WEIGHTS).read_bytes())
    assert len(contents) == 1
    assert adapters.read(tmp_path / "0").base == "ünï \\ base"
    assert load_file(tmp_path / "0" / adapters.WEIGHTS).keys()
