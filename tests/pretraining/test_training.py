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
    from huggingtweets.pretraining.loop import Pretrain

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
    """A base made in one go."""
    return make_base([corpus], options(tmp_path_factory.mktemp("made") / "base"))


def record(base: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((base / "pretrain.json").read_text())
    return found


def bits(base: Path) -> list[float]:
    """Held-out bits per byte at each measurement of the last sitting."""
    curve = json.loads((base / "pretrain.json").read_text())["sittings"][-1]["curve"]
    return [point["held_out_bits_per_byte"]["all"] for point in curve]


def test_a_base_learns_and_any_tool_loads_it(made: Path) -> None:
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
    written = pipeline("text-generation", model=str(made))("I found", max_new_tokens=5)
    assert written[0]["generated_text"].startswith("I found")


@pytest.fixture(scope="module")
def adapted(corpus: str, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished weights of another make, trained further on the corpus."""
    return make_base([corpus], adapting(tmp_path_factory.mktemp("adapted") / "base", tiny_base))


def adapting(out: Path, source: Path) -> PretrainOptions:
    preset = replace(ADAPT, row=32, batch_tokens=256, learning_rate=3e-3, author_context=3)
    return replace(options(out), preset=preset, source=str(source))


def test_finished_weights_learn_from_posts_and_keep_shape_and_tokenizer(
    adapted: Path, tiny_base: Path
) -> None:
    before, *_, after = bits(adapted)
    assert after < 0.75 * before
    mine, theirs = language_model.load(adapted), language_model.load(tiny_base)
    assert mine.tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
    assert mine.parameters == theirs.parameters
    (sitting,) = record(adapted)["sittings"]
    assert sitting["from"] == tiny_base.name
    assert str(tiny_base) not in (adapted / "pretrain.json").read_text()
    assert sitting["preset"]["optimizer"] == "adamw"
    assert (sitting["preset"]["layers"], sitting["preset"]["width"]) == (2, 32)
    card = (adapted / "README.md").read_text()
    assert "It is a changed copy of" in card
    assert "AdamW (weight decay 0.1 for matrices)" in card


def test_adapting_goes_on_after_a_stop_as_if_there_had_been_none(
    adapted: Path, corpus: str, tiny_base: Path, tmp_path: Path
) -> None:
    wanted, stop = adapting(tmp_path / "base", tiny_base), StopAt()
    with pytest.raises(Interrupted, match="Stopped after 256 tokens"):
        make_base([corpus], wanted, stop, stop)
    make_base([corpus], replace(wanted, resume=True))
    assert bits(tmp_path / "base")[-1] == pytest.approx(bits(adapted)[-1], abs=1e-3)


def test_a_finished_base_is_not_adapted_again_by_mistake(
    adapted: Path, corpus: str, tiny_base: Path
) -> None:
    with pytest.raises(BotError, match="leave out --from"):
        make_base([corpus], replace(adapting(adapted, tiny_base), resume=True))


def test_corpora_of_another_tokenizer_are_refused(
    made: Path, tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="encoded with another tokenizer"):
        make_base([str(made / "work" / "data")], adapting(tmp_path / "base", tiny_base))


def test_a_vocabulary_that_16_bits_do_not_hold_is_refused(
    corpus: str, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingtweets.pretraining.run.MOST_TOKENS", 300)
    with pytest.raises(InputError, match="tokens and at most 300 are possible"):
        make_base([corpus], adapting(tmp_path / "base", tiny_base))
    assert not (tmp_path / "base").exists()


def test_the_record_tells_how_it_was_made(made: Path, corpus: str) -> None:
    (sitting,) = record(made)["sittings"]
    assert sitting["tokens"] == 256 * 40
    assert sitting["steps"] == 40
    (one,) = sitting["corpora"]
    assert one["name"] == "c"
    assert one["posts"]["read"] == 600
    assert sitting["preset"]["width"] == 32
    assert corpus not in (made / "pretrain.json").read_text()  # paths tell who somebody is


def test_the_card_and_the_curve(made: Path, corpus: str) -> None:
    card = (made / "README.md").read_text()
    assert "| c | 1.0 | 600 |" in card
    assert "10,240 tokens in 40 steps of 256" in card
    assert "Say here where the text is from" in card
    assert "must not be used" in card
    assert "<svg" in (made / "curve.svg").read_text()
    assert corpus not in card


def test_what_about_says_is_in_the_card(corpus: str, tmp_path: Path) -> None:
    chosen = replace(options(tmp_path / "b", 256), about="Posts of *made-up* people.")
    assert "Posts of *made-up* people." in (make_base([corpus], chosen) / "README.md").read_text()


class StopAt(Interrupt):
    """Ctrl-C once so many tokens were read."""

    def __init__(self) -> None:
        super().__init__()
        self.events = 0

    def __call__(self, event: Event) -> None:
        self.requested = self.requested or event.stage == "train"


def test_interrupted_and_resumed_ends_with_the_same_weights(
    made: Path, corpus: str, tmp_path: Path
) -> None:
    chosen, stop = options(tmp_path / "base"), StopAt()
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


def test_killed_and_resumed_ends_with_the_same_weights(corpus: str, tmp_path: Path) -> None:
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
    ended = bits(tmp_path / "base")[-1]
    older = record(tmp_path / "base")
    del older["sittings"][0]["eight_bit"]  # as it was before there was such a thing
    (tmp_path / "base" / "pretrain.json").write_text(json.dumps(older))
    make_base([corpus], replace(chosen, resume=True))
    assert len(record(tmp_path / "base")["sittings"]) == 2
    again = bits(tmp_path / "base")
    assert again[0] == pytest.approx(ended, abs=0.02)  # saved in bfloat16
    assert again[-1] < ended
    first, second = record(tmp_path / "base")["sittings"]
    assert second["taken"][0] == 2 * first["taken"][0] > 0  # reads on where the first one stopped
    assert (tmp_path / "base" / "tokenizer.json").read_bytes() == tokenizer
    assert (tmp_path / "base" / "README.md").read_text().count("steps of 256") == 2


def test_weights_are_averaged_with_those_before_where_that_is_better(
    made: Path, tmp_path: Path
) -> None:
    import torch

    lm = language_model.load(made)
    language_model.convert(lm.model, torch.device("cpu"), torch.float32)
    begin = {name: weight.detach().clone() for name, weight in lm.model.named_parameters()}
    torch.manual_seed(0)
    with torch.no_grad():  # an end that went astray
        for weight in lm.model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.05)
    end = {name: weight.detach().clone() for name, weight in lm.model.named_parameters()}
    posts = {"c": made_up_posts(30)}
    worst = held_out_bits(lm, posts)
    progress = Progress("", 7, 99, curve=[{"tokens": 99, "held_out_bits_per_byte": worst}])
    assert average_with(made, lm, posts, progress) == 0.4
    for name, weight in lm.model.named_parameters():
        torch.testing.assert_close(weight, 0.6 * begin[name] + 0.4 * end[name])
    kept = progress.curve[-1]["held_out_bits_per_byte"]
    assert kept == pytest.approx(held_out_bits(lm, posts), abs=1e-4)
    assert kept["all"] < worst["all"]
    assert [point["tokens"] for point in progress.curve] == [99, 99]

    lm.save(tmp_path / "astray")  # and an end that is better than any way back
    with torch.no_grad():
        for name, weight in lm.model.named_parameters():
            weight.copy_(begin[name])
    progress.curve = [{"tokens": 99, "held_out_bits_per_byte": held_out_bits(lm, posts)}]
    assert average_with(tmp_path / "astray", lm, posts, progress) is None
    assert all(torch.equal(w, begin[n]) for n, w in lm.model.named_parameters())
    assert len(progress.curve) == 1


def test_a_base_is_fine_tuned_like_any_other(made: Path) -> None:
    lm = language_model.load(made)
    assert lm.context == TINY.context
    assert lm.separator == 0
    assert lm.decode(lm.encode("A 🎈 by the harbour")) == "A 🎈 by the harbour"


def test_two_processes_learn_as_one_does(made: Path, corpus: str, tmp_path: Path) -> None:
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
    (sitting,) = record(tmp_path / "base")["sittings"]
    assert sitting["machine"]["processes"] == 2
    assert sitting["tokens"] == 256 * 40


def test_another_seed_holds_out_the_same_posts(corpus: str, tmp_path: Path) -> None:
    """A sitting of another seed on the same weights has read none of those it is measured by."""
    held_out = [
        (make_base([corpus], replace(options(tmp_path / f"{seed}"), seed=seed, encode_only=True)))
        / "held-out.parquet"
        for seed in (0, 1)
    ]
    assert held_out[0] != held_out[1]
    assert held_out[0].read_bytes() == held_out[1].read_bytes()


def test_a_step_in_parts_is_the_same_step(made: Path, corpus: str, tmp_path: Path) -> None:
    make_base([corpus], replace(options(tmp_path / "base"), device_tokens=64))
    assert bits(tmp_path / "base") == pytest.approx(bits(made), abs=0.01)


def test_settings_that_mean_nothing_are_refused_together(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {
        "device_tokens": 0,
        "checkpoint_seconds": math.nan,
        "measure_seconds": -1.0,
        "seed": -1,
    }
    with pytest.raises(InputError) as refused:
        replace(options(tmp_path / "base"), **wrong)
    for name in ("--device-tokens", "--checkpoint-seconds", "--measure-seconds", "--seed"):
        assert name in str(refused.value)


def test_minutes_end_a_training(corpus: str, tmp_path: Path) -> None:
    chosen = replace(options(tmp_path / "base"), budget=Budget(minutes=1 / 60))
    (sitting,) = record(make_base([corpus], chosen))["sittings"]
    assert 1.0 <= sitting["seconds"] < 3


@pytest.mark.parametrize("resume", [False, True])
def test_nothing_is_overwritten_nor_resumed_by_mistake(
    corpus: str, tmp_path: Path, *, resume: bool
) -> None:
    out = tmp_path / "base"
    if not resume:
        make_base([corpus], options(out, 256))
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(BotError, match="neither a base" if resume else "holds a base already"):
        make_base([corpus], replace(options(out), resume=resume))
    assert before == {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}


def test_another_recipe_does_not_go_on_from_this_state(corpus: str, tmp_path: Path) -> None:
    chosen, stop = options(tmp_path / "base"), StopAt()
    with pytest.raises(Interrupted):
        make_base([corpus], chosen, stop, stop)
    other = replace(chosen, preset=TINY.changed(learning_rate=1e-3), resume=True)
    with pytest.raises(BotError, match="belongs to other corpora, another shape or seed"):
        make_base([corpus], other)


def test_a_folder_in_use_is_left_alone(corpus: str, tmp_path: Path) -> None:
    process = run(corpus, tmp_path / "base", 10**9)
    try:
        while not (tmp_path / "base" / "work" / "state.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.01)
        with pytest.raises(StorageError, match="being worked on"):
            make_base([corpus], replace(options(tmp_path / "base"), resume=True))
    finally:
        process.kill()
        process.wait()


def test_a_loss_that_is_no_number_stops_with_a_sentence(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from huggingtweets.pretraining import loop

    def broken(_model: object, task: Pretrain) -> object:
        def loss(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            del inputs, labels
            weights = torch.cat([weight.flatten() for weight in task.lm.model.parameters()])
            return (weights * float("nan")).sum()

        return loss

    monkeypatch.setattr(loop, "_loss_of", broken)
    with pytest.raises(TrainingError, match="no longer a number at step 1"):
        make_base([corpus], options(tmp_path / "base"))


def test_a_base_that_learnt_its_corpora_by_heart_is_told() -> None:
    def progress(*bits: float) -> Progress:
        points = enumerate(bits)
        return Progress(
            "", curve=[{"tokens": n, "held_out_bits_per_byte": {"all": b}} for n, b in points]
        )

    said = progress(3.7, 1.35, 1.34, 1.45).is_overfitting()
    assert said is not None
    assert "after 2 tokens (1.340" in said
    assert progress(3.7, 1.35, 1.345, 1.346).is_overfitting() is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "either --tokens or --minutes"),
        ({"tokens": 5, "minutes": 1.0}, "either --tokens or --minutes"),
        ({"tokens": 0}, "must be over 0"),
        ({"minutes": -1.0}, "must be over 0"),
        ({"minutes": float("inf")}, "must be over 0"),
    ],
)
def test_budgets_that_make_no_sense(values: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Budget(**values)  # type: ignore[arg-type]


def test_the_learning_rate_rises_stays_and_falls() -> None:
    rates = [TINY.rate(i / 1000) for i in range(1001)]
    peak = TINY.learning_rate
    assert 0 < rates[0] < 0.1 * peak
    assert rates[:20] == sorted(rates[:20])
    assert set(rates[20:500]) == {peak}
    assert rates[500:] == sorted(rates[500:], reverse=True)
    assert rates[750] == pytest.approx(peak / 2)
    assert rates[-1] == 0


def test_without_accelerate_the_way_out_is_told(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(InputError, match=r"pip install huggingtweets\[pretrain\]"):
        make_base([corpus], options(tmp_path / "base"))
    assert not (tmp_path / "base").exists()
