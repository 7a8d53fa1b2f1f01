"""One pre-training from corpora to a model folder.

.. code-block:: text

    OUT/
      config.json model.safetensors tokenizer.json …   the base, as transformers loads it
      pretrain.json       corpora and counts, recipe, machine, seconds, curve
      README.md curve.svg its card
      work/               encoded data and the resumable state; may be deleted once it is done
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingtweets.errors import BotError, InputError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.nn import devices, int8_training, language_model
from huggingtweets.nn.language_model import LanguageModel
from huggingtweets.pretraining.averaging import average_with
from huggingtweets.pretraining.card import draw_curve, render_base_card
from huggingtweets.pretraining.corpus import parse_corpora
from huggingtweets.pretraining.encode import (
    EncodingConfig,
    Prepared,
    authors_named,
    encoded,
    prepare,
)
from huggingtweets.pretraining.loop import Pretrain, pretrain
from huggingtweets.pretraining.presets import POCKET, Preset, flops_per_token
from huggingtweets.pretraining.progress import Budget, Progress
from huggingtweets.pretraining.tokens import MOST_TOKENS, Stream
from huggingtweets.storage import files
from huggingtweets.training import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from accelerate import Accelerator

RECORD = "pretrain.json"
_AT_ONCE = {("cpu", "fp32"): 1024, ("cpu", "bf16"): 4096}
"""Tokens: more of them don't stay in a CPU's caches; other devices take 32,768."""


@dataclass(frozen=True)
class PretrainOptions:
    """What the user may choose.

    Attributes:
        preset: shape and recipe.
        source: finished weights to go on from: a built-in base, a folder, a GGUF file or a Hub id.
            Their shape and tokenizer are kept. None begins with random weights.
        budget: tokens or minutes; None takes 60 minutes.
        out: folder for the base.
        resume: go on from the state or the finished weights in ``out``.
        excluded: authors to leave out: handles, or files that list them.
        about: Markdown for the card on where the data is from and under which licences.
        seed: of weights and order.
        device: ``cpu``, ``cuda``, ``mps`` or None for the fastest there is.
        precision: ``bf16``, ``fp32`` or None for the machine's, where products may be in 8 bits.
        encode_only: stop once the corpora are encoded, for training elsewhere.
        compiled: use ``torch.compile``; None where there is a compiler.
        device_tokens: tokens that one device computes at once; None takes what suits it.
        checkpoint_seconds: at most so much training is lost when the process dies.
        measure_seconds: between two measurements of held-out posts.
    """

    preset: Preset = POCKET
    source: str | None = None
    budget: Budget = field(default_factory=lambda: Budget(minutes=60))
    out: Path = Path("base")
    resume: bool = False
    excluded: tuple[str, ...] = ()
    about: str | None = None
    seed: int = 0
    device: str | None = None
    precision: str | None = None
    encode_only: bool = False
    compiled: bool | None = None
    device_tokens: int | None = None
    checkpoint_seconds: float = 90.0
    measure_seconds: float = 300.0

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be {wanted}"
            for name, wanted, fine in (
                (
                    "--device-tokens",
                    "at least 1",
                    self.device_tokens is None or self.device_tokens > 0,
                ),
                ("--checkpoint-seconds", "at least 0", self.checkpoint_seconds >= 0),
                ("--measure-seconds", "at least 0", self.measure_seconds >= 0),
                ("--seed", "from 0 to 2^63 - 1", 0 <= self.seed < 2**63),
            )
            if not fine
        ]
        if faults:
            raise InputError("These settings can't be used: " + "; ".join(faults) + ".")


def make_base(
    specs: Sequence[str],
    options: PretrainOptions,
    listen: EventHandler = ignore,
    interrupt: Interrupt | None = None,
) -> Path:
    """Pre-train a base on corpora and write it to ``options.out``.

    Args:
        specs: ``path`` or ``path:weight``, or one folder of data encoded before.
        options: see :class:`PretrainOptions`.
        listen: is told every event.
        interrupt: what Ctrl-C does.

    Returns:
        The base's folder, or with ``encode_only`` that of the encoded data.

    Raises:
        InputError: a corpus, an option or the folder can't be used.
        TrainingError: the loss is no longer a number.
        Interrupted: stopped by the user; ``resume`` goes on.
    """
    language_model.quiet_transformers()
    prepared = encoded(Path(specs[0])) if len(specs) == 1 else None
    accelerator = _accelerator(devices.select_device(options.device, options.precision))
    before = _before(options)
    start = _start(options, before, prepared)
    if start is not None:
        options = replace(options, preset=options.preset.shaped_like(start))
    with _locked(options.out, accelerator):
        tokenizer = options.out if before is not None else None
        if start is not None:
            tokenizer = options.out / "work" / "tokenizer"
            start.tokenizer.save_pretrained(tokenizer)
        source = prepared or _choices(specs, options, tokenizer)
        return _PretrainRun(source, options, accelerator, listen, interrupt).make(before, start)


def _start(
    options: PretrainOptions, before: dict[str, Any] | None, prepared: Prepared | None
) -> LanguageModel | None:
    """The finished weights that ``source`` names; None where training starts from others.

    Raises:
        BotError: the folder holds finished weights, which are where training goes on.
        InputError: the tokenizer has more tokens than encoded corpora can tell apart, or isn't the
            one that they were encoded with.
    """
    if options.source is None:
        return None
    if before is not None:
        raise BotError(
            f"{options.out} holds a finished base; leave out --from to train it further."
        )
    start = language_model.load(options.source)
    if prepared and prepared.tokenizer.get_vocab() != start.tokenizer.get_vocab():
        raise InputError(
            f"{prepared.folder} was encoded with another tokenizer than {options.source!r} has; "
            "name the corpora themselves, or encode them with the same --from."
        )
    if len(start.tokenizer) > MOST_TOKENS:
        raise InputError(
            f"{options.source!r} has {len(start.tokenizer):,} tokens and at most {MOST_TOKENS:,} "
            "are possible; name a base with a smaller vocabulary."
        )
    return start


def _named(source: str | None) -> str | None:
    """A base for the record: of a path only the last part, as paths tell who somebody is."""
    return Path(source).name if source and Path(source).exists() else source


def _choices(
    specs: Sequence[str], options: PretrainOptions, tokenizer: Path | None
) -> EncodingConfig:
    return EncodingConfig(
        corpora=tuple(parse_corpora(specs)),
        excluded=authors_named(options.excluded),
        author_context=options.preset.author_context,
        vocabulary=options.preset.vocabulary,
        context=options.preset.context,
        tokenizer=tokenizer,
        source=options.source,
    )


class _PretrainRun:
    """Data, model, training, saving."""

    def __init__(
        self,
        source: EncodingConfig | Prepared,
        options: PretrainOptions,
        accelerator: Accelerator,
        listen: EventHandler,
        interrupt: Interrupt | None,
    ) -> None:
        self.source, self.options, self.accelerator = source, options, accelerator
        self.machine = devices.select_device(options.device, options.precision)
        self.listen = listen if accelerator.is_main_process else ignore
        self.interrupt = interrupt or Interrupt()
        self.work = options.out / "work"

    def make(self, before: dict[str, Any] | None, start: LanguageModel | None) -> Path:
        import torch

        data = self._data()
        if self.options.encode_only:
            return data.folder
        devices.tune_allocator()
        lm = start or self._model(data, before)
        language_model.convert(lm.model, self.accelerator.device, torch.float32)
        task = self._task(lm, data, before)
        progress = pretrain(task, self.listen)
        if before is None and start is None and (warning := progress.is_overfitting()):
            self.listen(Event("train", message=warning))
        if self.accelerator.is_main_process:
            earlier = self.options.out if before is not None else self.options.source
            kept = self._average(earlier, lm, data, progress) if earlier else None
            sitting = self._sitting(lm, data, progress, task) | {"kept": kept}
            sittings = [*(before["sittings"] if before is not None else []), sitting]
            self._save(lm, sittings, task.state_file)
        self.accelerator.wait_for_everyone()
        return self.options.out

    def _data(self) -> Prepared:
        """Encoded corpora: those given, or made by the first process while the others wait."""
        data = self.source
        if isinstance(data, EncodingConfig):
            with self.accelerator.main_process_first():
                data = prepare(self.work / "data", data, self.listen)
        total = sum(corpus["tokens"] for corpus in data.corpora)
        self.listen(Event("encode", message=f"{total:,} tokens in {len(data.corpora)} corpora"))
        return data

    def _model(self, data: Prepared, before: dict[str, Any] | None) -> LanguageModel:
        """The finished weights to train further, or new ones."""
        import torch

        if before is not None:
            lm = language_model.load(self.options.out)
        else:
            torch.manual_seed(self.options.seed)
            separator = data.tokenizer.eos_token_id
            model = self.options.preset.build(len(data.tokenizer), separator)
            context = self.options.preset.context
            lm = LanguageModel(model, data.tokenizer, separator, context, str(self.options.out))
        return lm

    def _task(self, lm: LanguageModel, data: Prepared, before: dict[str, Any] | None) -> Pretrain:
        options, preset = self.options, self.options.preset
        streams = [
            Stream(data.tokens_file(i), corpus["weight"], preset.row, options.seed, lm.separator)
            for i, corpus in enumerate(data.corpora)
        ]
        compiled = devices.has_compiler() if options.compiled is None else options.compiled
        return Pretrain(
            lm=lm,
            streams=streams,
            held_out=data.held_out(),
            preset=preset,
            budget=options.budget,
            machine=self.machine,
            accelerator=self.accelerator,
            state_file=self.work / "state.safetensors",
            plan=_plan(data, preset, lm.parameters, options),
            taken=_read_before(before, data, options),
            compiled=compiled,
            eight_bit=options.precision is None
            and int8_training.should_use(self.machine, compiled=compiled),
            device_tokens=options.device_tokens or self._at_once(),
            checkpoint_seconds=options.checkpoint_seconds,
            measure_seconds=options.measure_seconds,
            interrupt=self.interrupt,
        )

    def _at_once(self) -> int:
        return _AT_ONCE.get((self.machine.device, self.machine.precision), 32_768)

    def _average(
        self, earlier: str | Path, lm: LanguageModel, data: Prepared, progress: Progress
    ) -> float | None:
        """Share of the way from earlier weights to those trained further that is kept."""
        self.listen(Event("train", message="averaging with the weights before"))
        precision = self.machine.precision
        kept = average_with(earlier, lm, data.held_out(), progress, precision=precision)
        if kept is not None:
            bits = progress.curve[-1]["held_out_bits_per_byte"]["all"]
            said = f"keeping {kept:.0%} of the way from the weights before: held-out {bits:.3f}"
            self.listen(Event("train", message=said))
        return kept

    def _save(self, lm: LanguageModel, sittings: list[dict[str, Any]], state: Path) -> None:
        """Write the base in bfloat16 and how it was made; then the state is of no more use."""
        import torch

        card = render_base_card(sittings, len(lm.tokenizer), self.options.about)
        curve = draw_curve(sittings)
        language_model.convert(lm.model, torch.device("cpu"), torch.bfloat16)
        lm.model.config.dtype = torch.bfloat16
        out = self.options.out
        with files.atomic_write_dir(self.work / "model") as temporary:
            lm.save(temporary)
        for file in sorted((self.work / "model").iterdir()):
            os.replace(file, out / file.name)  # noqa: PTH105 - each whole, the weights among the last
        files.write_text(out / "README.md", card)
        files.write_text(out / "curve.svg", curve)
        files.write_json(out / RECORD, {"format": 1, "sittings": sittings})
        state.unlink(missing_ok=True)

    def _sitting(
        self, lm: LanguageModel, data: Prepared, progress: Progress, task: Pretrain
    ) -> dict[str, Any]:
        return {
            "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "corpora": data.corpora,
            "excluded_authors": data.excluded,
            "preset": asdict(self.options.preset),
            "parameters": lm.parameters,
            "flops_per_token": flops_per_token(lm.parameters, self.options.preset),
            "from": _named(self.options.source),
            "seed": self.options.seed,
            "taken": progress.taken,
            "compiled": task.compiled,
            "eight_bit": task.eight_bit,
            "machine": self.machine.as_dict()
            | {
                "processes": self.accelerator.num_processes,
                "matmul_flops": devices.matmul_flops(self.machine),
            },
            "versions": devices.package_versions(),
            "steps": progress.step,
            "tokens": progress.tokens,
            "seconds": round(max(progress.seconds, 1e-3), 3),
            "curve": progress.curve,
        }


def _accelerator(where: devices.ComputeDevice) -> Accelerator:
    try:
        from accelerate import Accelerator
    except ModuleNotFoundError as error:
        raise InputError(
            "Pre-training needs the package accelerate: pip install huggingtweets[pretrain]"
        ) from error
    # precision is ours: autocast stands inside the compiled function
    return Accelerator(mixed_precision="no", cpu=where.device == "cpu")


def _before(options: PretrainOptions) -> dict[str, Any] | None:
    """The record of finished weights in ``out`` to train further, or None to begin.

    Raises:
        BotError: there is nothing to resume, or something that would be overwritten.
    """
    record, out = options.out / RECORD, options.out
    state = out / "work" / "state.safetensors"
    if not options.resume:
        if record.exists() or state.exists():
            raise BotError(f"{out} holds a base already; add --resume or name another --out.")
        return None
    if record.exists():
        try:
            found: dict[str, Any] = json.loads(record.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BotError(f"{record} is damaged: {error}.") from error
        return found
    if not state.exists():
        raise BotError(f"{out} holds neither a base nor an interrupted one; leave out --resume.")
    return None


def _plan(data: Prepared, preset: Preset, parameters: int, options: PretrainOptions) -> str:
    parts = [data.fingerprint, asdict(preset), parameters, options.seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _read_before(
    before: dict[str, Any] | None, data: Prepared, options: PretrainOptions
) -> list[int]:
    """Rows that the last training read of the same streams, so that this one reads on."""
    last = before["sittings"][-1] if before else {}
    same = (
        [(one["name"], one["tokens"]) for one in last.get("corpora", [])]
        == [(one["name"], one["tokens"]) for one in data.corpora]
        and last["seed"] == options.seed
        and last["preset"]["row"] == options.preset.row
    )
    return list(last.get("taken", [])) if same else []


@contextmanager
def _locked(out: Path, accelerator: Accelerator) -> Iterator[None]:
    """Hold the folder so that no second training writes into it."""
    if not accelerator.is_main_process:
        yield
        return
    work = out / "work"
    made = [folder for folder in (work, *work.parents) if not folder.exists()]
    with files.wrap_os_errors(out):
        work.mkdir(parents=True, exist_ok=True)
    try:
        with files.locked(work):
            yield
    finally:
        _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    """Leave no folder of ours behind when nothing came of it; innermost first."""
    for folder in folders:
        with suppress(OSError):
            if [file.name for file in folder.iterdir()] == [".lock"]:
                (folder / ".lock").unlink()
            folder.rmdir()
