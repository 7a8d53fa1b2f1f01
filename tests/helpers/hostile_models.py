"""Damaged and hostile model folders, each made from a copy of a small one.

Each function changes a folder in place. ``REFUSED`` has those that can't be used, with words of the
sentence; ``HARMLESS`` has those that look odd and still write posts.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    Change = Callable[[Path], object]

EMBEDDING = "model.embed_tokens.weight"
LAYER = "model.layers.1.mlp.up_proj.weight"
NESTED = "[" * 100_000 + "]" * 100_000


def _json(name: str, values: dict[str, Any]) -> Change:
    return lambda folder: _edit(folder / name, lambda old: old.update(values))


def _edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(file.read_text("utf-8"))
    change(values)
    file.write_text(json.dumps(values), "utf-8")


def config(**values: Any) -> Change:  # noqa: ANN401 - JSON
    return _json("config.json", values)


def tokenizer(**values: Any) -> Change:  # noqa: ANN401 - JSON
    return _json("tokenizer.json", values)


def settings(**values: Any) -> Change:  # noqa: ANN401 - JSON
    return _json("tokenizer_config.json", values)


def text(name: str, content: str) -> Change:
    return lambda folder: (folder / name).write_text(content, "utf-8")


def removed(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def apply(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return apply


def filled(name: str, value: float) -> Change:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name][3, 5] = value

    return weights(change)


def cut(size: int) -> Change:
    def apply(folder: Path) -> None:
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:size])

    return apply


def header(content: bytes, size: int | None = None) -> Change:
    def apply(folder: Path) -> None:
        length = struct.pack("<Q", len(content) if size is None else size)
        (folder / "model.safetensors").write_bytes(length + content)

    return apply


def in_type(name: str) -> Change:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        import torch

        tensors |= {key: value.to(getattr(torch, name)) for key, value in tensors.items()}

    return weights(change)


def shaped(*shape: int) -> Change:
    return weights(lambda t: t.update({LAYER: t[LAYER].new_zeros(shape)}))


def both(*changes: Change) -> Change:
    return lambda folder: [change(folder) for change in changes]


def many_replacements(folder: Path) -> None:
    steps = [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 40
    tokenizer(normalizer={"type": "Sequence", "normalizers": steps})(folder)


def long_replacement(part: str) -> Change:
    step = {"type": "Replace", "pattern": {"String": "e"}, "content": "e" * 20_000_000}
    return tokenizer(**{part: step})


def split(pattern: str) -> Change:
    step = {"type": "Split", "pattern": {"Regex": pattern}}
    return tokenizer(pre_tokenizer=step | {"behavior": "Isolated", "invert": False})


def long_token(folder: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        values["model"]["vocab"]["x" * 30_000_000] = 511

    _edit(folder / "tokenizer.json", change)


def high_token(folder: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        values["model"]["vocab"]["zebra"] = 100_000

    _edit(folder / "tokenizer.json", change)


def end_of_text(number: int) -> Change:
    """Make the end-of-text token one that the model doesn't have."""

    def apply(folder: Path) -> None:
        def change(values: dict[str, Any]) -> None:
            token = {"id": number, "content": "<|far|>", "special": True, "single_word": False}
            flags = {"lstrip": False, "rstrip": False, "normalized": False}
            values["added_tokens"].append(token | flags)
            for at in range(512, number):
                values["model"]["vocab"][f"<{at}>"] = at

        _edit(folder / "tokenizer.json", change)
        settings(eos_token="<|far|>")(folder)  # noqa: S106 - not a password

    return apply


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch /tmp/huggingtweets-was-here",)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({EMBEDDING: Evil()}))


def as_torch_file(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def sharded(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    names, index = sorted(tensors), dict[str, str]()
    for number, part in ((1, names[::2]), (2, names[1::2])):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    values = {"metadata": {"total_size": 1}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(values))


def lost_shard(folder: Path) -> None:
    sharded(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def untied(tensors: dict[str, torch.Tensor]) -> None:
    tensors["lm_head.weight"] = tensors[EMBEDDING].clone()


def huge_file(folder: Path) -> None:
    """A sparse file of 8 TB that takes no space."""
    size = 2 * 10**12
    tensor = {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}
    header(json.dumps({EMBEDDING: tensor}).encode())(folder)
    file = folder / "model.safetensors"
    os.truncate(file, file.stat().st_size + 4 * size)


REFUSED: dict[str, tuple[Change, str]] = {
    "no weights": (removed("model.safetensors"), "no weights"),
    "empty weights": (text("model.safetensors", ""), "damaged"),
    "cut weights": (cut(100_000), "damaged"),
    "cut header": (cut(500), "damaged"),
    "header without end": (header(b"{", 10**15), "header is too long"),
    "header that is no object": (header(b"[1, 2]"), "damaged"),
    "header of a file without tensors": (header(b"{}"), "is empty"),
    "8 TB": (huge_file, "this machine has"),
    "one tensor only": (
        weights(lambda t: [t.pop(name) for name in list(t) if name != EMBEDDING]),
        "lacks",
    ),
    "a missing tensor": (weights(lambda t: t.pop(LAYER)), f"lacks {LAYER}"),
    "missing embeddings": (weights(lambda t: t.pop(EMBEDDING)), "lacks"),
    "untied without a head": (config(tie_word_embeddings=False), "lacks lm_head.weight"),
    "other names": (
        weights(lambda t: t.update({"x." + name: t.pop(name) for name in list(t)})),
        "lacks",
    ),
    "another shape": (shaped(64, 31), "shape"),
    "a scalar": (shaped(), "shape"),
    "a wider model": (config(hidden_size=64), "config.json"),
    "more layers in the file": (config(num_hidden_layers=1), "more layers"),
    "one layer more": (config(num_hidden_layers=3), "lacks"),
    "whole numbers": (in_type("int32"), "whole numbers"),
    "bytes": (in_type("uint8"), "whole numbers"),
    "truth values": (in_type("bool"), "whole numbers"),
    "infinity": (filled(LAYER, math.inf), f"infinite or not a number, in {LAYER}"),
    "minus infinity": (filled(EMBEDDING, -math.inf), "infinite"),
    "not a number": (filled(LAYER, math.nan), "not a number"),
    "a lost shard": (lost_shard, "can't be loaded"),
    "a pickle with code": (pickled, "damaged"),
    "no configuration": (removed("config.json"), "no config.json"),
    "an empty configuration": (text("config.json", ""), "config.json is damaged"),
    "a nested configuration": (text("config.json", NESTED), "config.json is damaged"),
    "a list as configuration": (text("config.json", "[]"), "config.json is damaged"),
    "a large configuration": (text("config.json", " " * 11_000_000 + "{}"), "larger than"),
    "100,000 layers": (config(num_hidden_layers=100_000), "num_hidden_layers = 100,000"),
    "10^18 layers": (config(num_hidden_layers=10**18), "num_hidden_layers"),
    "minus one layer": (config(num_hidden_layers=-1), "more layers"),
    "no layers": (config(num_hidden_layers=0), "more layers"),
    "a fraction of a layer": (config(num_hidden_layers=1.5), "can't be"),
    "infinite layers": (config(num_hidden_layers=math.inf), "num_hidden_layers"),
    "layers as text": (config(num_hidden_layers="2"), "can't be"),
    "10^9 wide": (config(hidden_size=10**9), "weights, but"),
    "10^12 tokens": (config(vocab_size=10**12), "weights, but"),
    "a wide feed-forward layer": (config(intermediate_size=10**10), "weights, but"),
    "no heads": (config(num_attention_heads=0), "can't be"),
    "five heads": (config(num_attention_heads=5), "can't be"),
    "its own code": (
        config(model_type="evil", auto_map={"AutoConfig": "a.A", "AutoModelForCausalLM": "a.B"}),
        "never runs",
    ),
    "an encoder": (config(model_type="t5", architectures=["T5Model"]), "not a causal language"),
    "an unknown type": (config(model_type="nonesuch"), "can't be loaded"),
    "an unknown activation": (config(hidden_act="nonesuch"), "can't be loaded"),
    "an unknown precision": (config(dtype="int7"), "can't be loaded"),
    "a mask of terabytes": (
        config(model_type="gptj", n_positions=2_000_000, rotary_dim=64_000_000, n_layer=2),
        "can't be",
    ),
    "no tokenizer": (removed("tokenizer.json"), "tokenizer"),
    "an empty tokenizer": (text("tokenizer.json", ""), "tokenizer.json is damaged"),
    "a nested tokenizer": (text("tokenizer.json", NESTED), "tokenizer.json is damaged"),
    "a tokenizer without a model": (tokenizer(model={}), "tokenizer"),
    "an exponential pattern": (split("(a+)+b"), "its tokenizer"),
    "a pattern with choices": (split(r"((a|a|aa|[a-z])+)+\d"), "its tokenizer"),
    "a pattern that is none": (split("(((("), "tokenizer"),
    "forty doublings": (many_replacements, "times as long"),
    "a long replacement": (long_replacement("normalizer"), "times as long"),
    "a long decoding": (long_replacement("decoder"), "times as long"),
    "a nested normalizer": (
        tokenizer(normalizer=json.loads('{"type":"Sequence","normalizers":[' * 90 + "]}" * 90)),
        "tokenizer",
    ),
    "a long token": (long_token, "token of 30,000,000 characters"),
    "a token the model hasn't": (high_token, "100,000, but the model has 512"),
    "end of text outside the vocabulary": (end_of_text(513), "but the model has 512"),
    "no end of text": (both(settings(eos_token=None)), "no end-of-text token"),
}
"""By name, the change and words of the sentence."""


HARMLESS: dict[str, Change] = {
    "nothing changed": lambda _: None,
    "a torch file": as_torch_file,
    "two shards": sharded,
    "half precision": in_type("float16"),
    "bfloat16": in_type("bfloat16"),
    "double precision": in_type("float64"),
    "a head of its own": both(config(tie_word_embeddings=False), weights(untied)),
    "a tied head in the file": weights(untied),
    "only the head, tied": weights(lambda t: t.update({"lm_head.weight": t.pop(EMBEDDING)})),
    "buffers of earlier versions": weights(
        lambda t: t.update(
            {"model.layers.0.self_attn.rotary_emb.inv_freq": t[LAYER].new_ones(8)}
            | {"model.layers.0.attn.masked_bias": t[LAYER].new_ones(1).bool()}
        )
    ),
    "an adapter beside it": text("adapter_model.safetensors", "not read without peft"),
    "no settings of the tokenizer but its tokens": settings(model_max_length=10**30),
    "a template that never ends": settings(
        chat_template="{% for i in range(10**9) %}x{% endfor %}"
    ),
    "terabytes of padding": tokenizer(
        padding={"strategy": {"Fixed": 2**40}, "direction": "Right", "pad_to_multiple_of": None}
        | {"pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"}
    ),
    "a context of 10^15": config(max_position_embeddings=10**15),
}
