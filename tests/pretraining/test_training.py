from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.helpers.posts import made_up_posts
from tests.pretraining.test_data import corpus_file

from huggingtweets.errors import BotError, InputError, Interrupted, StorageError, TrainingError
from huggingtweets.nn import language_model
from huggingtweets.pretraining import ADAPT, Budget, Preset, PretrainOptions, make_base
from huggingtweets.pretraining.averaging import average_with, held_out_bits
from huggingtweets.pretraining.progress import Progress
from huggingtweets.pretraining.tokenizer import SEPARATOR
from huggingtweets.training import Interrupt

if TYPE_CHECKING:
    import torch

    from huggingtweets.events import Event
    from huggingtweets.pretraining.loop import PretrainTask

TINY = Preset(
    "tiny",
    vocabulary=400,
    width=32,
    layers=2,
    heads=2,
    hidden=64,
    context=32,
    row=32,
    batch_tokens=256,
    author_context=3,
)
MODEL = "model.safetensors"
PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from huggingtweets.pretraining import Budget, PretrainOptions, make_base
from tests.pretraining.test_training import options
corpus, out, tokens, resume = sys.argv[1:]
make_base([corpus], replace(options(Path(out), int(tokens)), resume=resume == "resume"))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(corpus_file(tmp_path_factory.mktemp("corpus") / "c.csv", authors=6, posts=100))


def options(out: Path, tokens: int = 256 * 40) -> PretrainOptions:
    return PretrainOptions(
        preset=TINY,
        budget=Budget(tokens=tokens),
        out=out,
        device="cpu",
        precision="fp32",
        compiled=False,
        checkpoint_seconds=0.05,
        measure_seconds=1e9,
    )


@pytest.fixture(scope="module")
def made(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base made without interruption."""
    return make_base([corpus], options(tmp_path_factory.mktemp("made") / "base"))


def record(base: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((base / "pretrain.json").read_text())
    return loaded


def bits(base: Path) -> list[float]:
    """Held-out bits per byte at each measurement of the last session."""
    curve = json.loads((base / "pretrain.json").read_text())["sittings"][-1]["curve"]
    return [point["held_out_bits_per_byte"]["all"] for point in curve]


def test_a_base_learns_and_transformers_loads_it(made: Path) -> None:
    before, after = bits(made)
    assert after < 0.75 * before
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    model = AutoModelForCausalLM.from_pretrained(made)
    tokenizer = AutoTokenizer.from_pretrained(made)
    assert str(model.dtype) == "torch.bfloat16"
    assert model.config.model_type == "llama"
    assert model.config.tie_word_embeddings
    assert model.config.pad_token_id is None
    assert tokenizer.eos_token == SEPARATOR
    assert tokenizer.all_special_tokens == [SEPARATOR]
    generated = pipeline("text-generation", model=str(made))("I found", max_new_tokens=5)
    assert generated[0]["generated_text"].startswith("I found")


@pytest.fixture(scope="module")
def adapted(corpus: str, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An existing model, trained further on the corpus."""
    return make_base(
        [corpus], adapt_options(tmp_path_factory.mktemp("adapted") / "base", tiny_base)
    )


@pytest.fixture(scope="module")
def adapted_in_bf16(corpus: str, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with bfloat16 weights and fp32 copies of them."""
    out = tmp_path_factory.mktemp("adapted") / "base"
    return make_base([corpus], replace(adapt_options(out, tiny_base), precision="bf16"))


def adapt_options(out: Path, source: Path) -> PretrainOptions:
    preset = replace(ADAPT, row=32, batch_tokens=256, learning_rate=3e-3, author_context=3)
    return replace(options(out), preset=preset, source=str(source))


def test_an_existing_model_learns_and_keeps_architecture_and_tokenizer(
    adapted: Path, tiny_base: Path
) -> None:
    before, *_, after = bits(adapted)
    assert after < 0.75 * before
    ours, theirs = language_model.load(adapted), language_model.load(tiny_base)
    assert ours.tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
    assert ours.parameters == theirs.parameters
    (session,) = record(adapted)["sittings"]
    assert session["from"] == tiny_base.name
    assert str(tiny_base) not in (adapted / "pretrain.json").read_text()
    assert session["preset"]["optimizer"] == "adamw"
    assert (session["preset"]["layers"], session["preset"]["width"]) == (2, 32)
    card = (adapted / "README.md").read_text()
    assert "It is a modified copy of" in card
    assert "AdamW (weight decay 0.1 for matrices)" in card


def test_in_bfloat16_an_existing_model_learns_as_much(adapted: Path, adapted_in_bf16: Path) -> None:
    assert bits(adapted_in_bf16)[-1] == pytest.approx(bits(adapted)[-1], rel=0.01)
    assert record(adapted_in_bf16)["sittings"][0]["machine"]["precision"] == "bf16"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_interrupted_adaptation_gives_the_result_of_an_uninterrupted_one(
    precision: str, corpus: str, tiny_base: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = "adapted" if precision == "fp32" else "adapted_in_bf16"
    adapted: Path = request.getfixturevalue(name)
    chosen = replace(adapt_options(tmp_path / "base", tiny_base), precision=precision)
    stop = StopAtFirstEvent()
    with pytest.raises(Interrupted, match="Stopped after 256 tokens"):
        make_base([corpus], chosen, stop, stop)
    make_base([corpus], replace(chosen, resume=True))
    assert bits(tmp_path / "base")[-1] == pytest.approx(bits(adapted)[-1], abs=1e-3)


def test_resuming_a_finished_base_with_a_source_is_refused(
    adapted: Path, corpus: str, tiny_base: Path
) -> None:
    with pytest.raises(BotError, match="leave out --from"):
        make_base([corpus], replace(adapt_options(adapted, tiny_base), resume=True))


def test_corpora_encoded_with_another_tokenizer_are_refused(
    made: Path, tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="encoded with another tokenizer"):
        make_base([str(made / "work" / "data")], adapt_options(tmp_path / "base", tiny_base))


@pytest.mark.parametrize("given", ["missing.csv", "empty.csv", "a.csv:0", "a.csv:x"])
def test_a_corpus_that_cannot_be_used_leaves_no_folder(
    given: str, tiny_base: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "empty.csv").write_text("text\n", encoding="utf-8")
    with pytest.raises(InputError):
        make_base([str(data / given)], adapt_options(tmp_path / "new" / "base", tiny_base))
    assert list(tmp_path.iterdir()) == [data]


def test_a_vocabulary_too_large_for_16_bits_is_refused(
    corpus: str, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingtweets.pretraining.run.MAX_VOCABULARY", 300)
    with pytest.raises(InputError, match="but at most 300 are possible"):
        make_base([corpus], adapt_options(tmp_path / "base", tiny_base))
    assert not (tmp_path / "base").exists()


def test_the_record_describes_the_training(made: Path, corpus: str) -> None:
    (session,) = record(made)["sittings"]
    assert session["tokens"] == 256 * 40
    assert session["steps"] == 40
    (corpus_record,) = session["corpora"]
    assert corpus_record["name"] == "c"
    assert corpus_record["posts"]["read"] == 600
    assert session["preset"]["width"] == 32
    assert corpus not in (made / "pretrain.json").read_text()  # paths may be private


def test_card_and_curve_describe_the_training(made: Path, corpus: str) -> None:
    card = (made / "README.md").read_text()
    assert "| c | 1.0 | 600 |" in card
    assert "10,240 tokens in 40 steps of 256" in card
    assert "Describe the origin and licences of the text here" in card
    assert "must not be used" in card
    assert "<svg" in (made / "curve.svg").read_text()
    assert corpus not in card


def test_the_about_text_is_in_the_card(corpus: str, tmp_path: Path) -> None:
    chosen = replace(options(tmp_path / "b", 256), about="Posts of *made-up* people.")
    assert "Posts of *made-up* people." in (make_base([corpus], chosen) / "README.md").read_text()


class StopAtFirstEvent(Interrupt):
    """Ctrl-C at the first training event."""

    def __call__(self, event: Event) -> None:
        self.requested = self.requested or event.stage == "train"


def test_interrupted_and_resumed_gives_the_same_weights(
    made: Path, corpus: str, tmp_path: Path
) -> None:
    chosen, stop = options(tmp_path / "base"), StopAtFirstEvent()
    with pytest.raises(Interrupted, match="Stopped after 256 tokens"):
        make_base([corpus], chosen, stop, stop)
    assert not (tmp_path / "base" / MODEL).exists()
    make_base([corpus], replace(chosen, resume=True))
    assert (tmp_path / "base" / MODEL).read_bytes() == (made / MODEL).read_bytes()
    assert bits(tmp_path / "base") == bits(made)


def run(corpus: str, out: Path, tokens: int, *, resume: bool = False) -> subprocess.Popen[bytes]:
    arguments = [corpus, str(out), str(tokens), "resume" if resume else "new"]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=Path(__file__).parents[2]
    )


def test_killed_and_resumed_gives_the_same_weights(corpus: str, tmp_path: Path) -> None:
    tokens, state = 256 * 100, tmp_path / "killed" / "work" / "state.safetensors"
    process = run(corpus, tmp_path / "killed", tokens)
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert run(corpus, tmp_path / "killed", tokens, resume=True).wait(120) == 0
    assert run(corpus, tmp_path / "whole", tokens).wait(120) == 0
    weights = [(tmp_path / name / MODEL).read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]
    assert not state.exists()


def test_finished_weights_are_trained_further(corpus: str, tmp_path: Path) -> None:
    chosen = options(tmp_path / "base")
    make_base([corpus], chosen)
    tokenizer = (tmp_path / "base" / "tokenizer.json").read_bytes()
    first_loss = bits(tmp_path / "base")[-1]
    older = record(tmp_path / "base")
    del older["sittings"][0]["eight_bit"]  # missing in records of older versions
    (tmp_path / "base" / "pretrain.json").write_text(json.dumps(older))
    make_base([corpus], replace(chosen, resume=True))
    assert len(record(tmp_path / "base")["sittings"]) == 2
    second_curve = bits(tmp_path / "base")
    assert second_curve[0] == pytest.approx(first_loss, abs=0.02)  # saved in bfloat16
    assert second_curve[-1] < first_loss
    first, second = record(tmp_path / "base")["sittings"]
    assert second["taken"][0] == 2 * first["taken"][0] > 0  # continues where the first one stopped
    assert (tmp_path / "base" / "tokenizer.json").read_bytes() == tokenizer
    assert (tmp_path / "base" / "README.md").read_text().count("steps of 256") == 2


def test_weights_are_interpolated_with_the_initial_ones_if_that_is_better(
    made: Path, tmp_path: Path
) -> None:
    import torch

    lm = language_model.load(made)
    language_model.convert(lm.model, torch.device("cpu"), torch.float32)
    initial = {name: weight.detach().clone() for name, weight in lm.model.named_parameters()}
    torch.manual_seed(0)
    with torch.no_grad():  # trained weights that are worse
        for weight in lm.model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.05)
    trained = {name: weight.detach().clone() for name, weight in lm.model.named_parameters()}
    posts = {"c": made_up_posts(30)}
    worst = held_out_bits(lm, posts)
    progress = Progress("", 7, 99, curve=[{"tokens": 99, "held_out_bits_per_byte": worst}])
    assert average_with(made, lm, posts, progress) == 0.4
    for name, weight in lm.model.named_parameters():
        torch.testing.assert_close(weight, 0.6 * initial[name] + 0.4 * trained[name])
    interpolated = progress.curve[-1]["held_out_bits_per_byte"]
    assert interpolated == pytest.approx(held_out_bits(lm, posts), abs=1e-4)
    assert interpolated["all"] < worst["all"]
    assert [point["tokens"] for point in progress.curve] == [99, 99]

    lm.save(tmp_path / "worse")  # now the trained weights are better than any interpolation
    with torch.no_grad():
        for name, weight in lm.model.named_parameters():
            weight.copy_(initial[name])
    progress.curve = [{"tokens": 99, "held_out_bits_per_byte": held_out_bits(lm, posts)}]
    assert average_with(tmp_path / "worse", lm, posts, progress) is None
    assert all(torch.equal(w, initial[n]) for n, w in lm.model.named_parameters())
    assert len(progress.curve) == 1


def test_a_base_loads_as_language_model(made: Path) -> None:
    lm = language_model.load(made)
    assert lm.context == TINY.context
    assert lm.separator == 0
    assert lm.decode(lm.encode("A 🎈 by the harbour")) == "A 🎈 by the harbour"


def test_two_processes_reach_the_loss_of_one(made: Path, corpus: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    arguments = [corpus, str(tmp_path / "base"), str(256 * 40), "new"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launch, str(tmp_path / "program.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert bits(tmp_path / "base") == pytest.approx(bits(made), abs=0.01)
    (session,) = record(tmp_path / "base")["sittings"]
    assert session["machine"]["processes"] == 2
    assert session["tokens"] == 256 * 40


def test_another_seed_holds_out_the_same_posts(corpus: str, tmp_path: Path) -> None:
    """So a session with another seed never measures posts that an earlier one trained on."""
    held_out = [
        (make_base([corpus], replace(options(tmp_path / f"{seed}"), seed=seed, encode_only=True)))
        / "held-out.parquet"
        for seed in (0, 1)
    ]
    assert held_out[0] != held_out[1]
    assert held_out[0].read_bytes() == held_out[1].read_bytes()


def test_gradient_accumulation_gives_the_same_loss(made: Path, corpus: str, tmp_path: Path) -> None:
    make_base([corpus], replace(options(tmp_path / "base"), device_tokens=64))
    assert bits(tmp_path / "base") == pytest.approx(bits(made), abs=0.01)


def test_invalid_settings_are_reported_together(tmp_path: Path) -> None:
    invalid: dict[str, Any] = {
        "device_tokens": 0,
        "checkpoint_seconds": math.nan,
        "measure_seconds": -1.0,
        "seed": -1,
    }
    with pytest.raises(InputError) as refused:
        replace(options(tmp_path / "base"), **invalid)
    for name in ("--device-tokens", "--checkpoint-seconds", "--measure-seconds", "--seed"):
        assert name in str(refused.value)


def test_training_ends_after_the_given_minutes(corpus: str, tmp_path: Path) -> None:
    chosen = replace(options(tmp_path / "base"), budget=Budget(minutes=1 / 60))
    (session,) = record(make_base([corpus], chosen))["sittings"]
    assert 1.0 <= session["seconds"] < 3


@pytest.mark.parametrize("resume", [False, True])
def test_overwriting_a_base_and_resuming_nothing_are_refused(
    corpus: str, tmp_path: Path, *, resume: bool
) -> None:
    out = tmp_path / "base"
    if not resume:
        make_base([corpus], options(out, 256))
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(BotError, match="contains no base" if resume else "contains a base already"):
        make_base([corpus], replace(options(out), resume=resume))
    assert before == {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}


def test_a_checkpoint_with_another_recipe_is_refused(corpus: str, tmp_path: Path) -> None:
    chosen, stop = options(tmp_path / "base"), StopAtFirstEvent()
    with pytest.raises(Interrupted):
        make_base([corpus], chosen, stop, stop)
    other = replace(chosen, preset=TINY.changed(learning_rate=1e-3), resume=True)
    with pytest.raises(BotError, match="belongs to other corpora, settings or another seed"):
        make_base([corpus], other)


def test_a_folder_in_use_is_refused(corpus: str, tmp_path: Path) -> None:
    process = run(corpus, tmp_path / "base", 10**9)
    try:
        while not (tmp_path / "base" / "work" / "state.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.01)
        with pytest.raises(StorageError, match="in use by another process"):
            make_base([corpus], replace(options(tmp_path / "base"), resume=True))
    finally:
        process.kill()
        process.wait()


def test_a_non_finite_loss_ends_training_with_advice(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from huggingtweets.pretraining import loop

    def make_nan_loss(_model: object, task: PretrainTask, **_: object) -> object:
        def loss(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            del inputs, labels
            weights = torch.cat([weight.flatten() for weight in task.lm.model.parameters()])
            return (weights * float("nan")).sum()

        return loss

    monkeypatch.setattr(loop, "_make_loss", make_nan_loss)
    with pytest.raises(TrainingError, match="no longer a number at step 1"):
        make_base([corpus], options(tmp_path / "base"))


def test_overfitting_is_reported() -> None:
    def progress(*bits: float) -> Progress:
        points = enumerate(bits)
        return Progress(
            "", curve=[{"tokens": n, "held_out_bits_per_byte": {"all": b}} for n, b in points]
        )

    warning = progress(3.7, 1.35, 1.34, 1.45).is_overfitting()
    assert warning is not None
    assert "after 2 tokens (1.340" in warning
    assert progress(3.7, 1.35, 1.345, 1.346).is_overfitting() is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either --tokens or --minutes"),
        ({"tokens": 5, "minutes": 1.0}, "either --tokens or --minutes"),
        ({"tokens": 0}, "must be over 0"),
        ({"minutes": -1.0}, "must be over 0"),
        ({"minutes": float("inf")}, "must be over 0"),
    ],
)
def test_invalid_budgets_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Budget(**values)  # type: ignore[arg-type]


def test_the_learning_rate_warms_up_stays_constant_and_decays() -> None:
    rates = [TINY.rate(i / 1000) for i in range(1001)]
    peak = TINY.learning_rate
    assert 0 < rates[0] < 0.1 * peak
    assert rates[:20] == sorted(rates[:20])
    assert set(rates[20:500]) == {peak}
    assert rates[500:] == sorted(rates[500:], reverse=True)
    assert rates[750] == pytest.approx(peak / 2)
    assert rates[-1] == 0


def test_missing_accelerate_is_reported_with_the_install_command(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(InputError, match=r"pip install huggingtweets\[pretrain\]"):
        make_base([corpus], options(tmp_path / "base"))
    assert not (tmp_path / "base").exists()
