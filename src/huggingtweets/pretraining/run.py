"""Pre-training from corpora to a model folder.

.. code-block:: text

    OUT/
      config.json model.safetensors tokenizer.json …   the base, as transformers loads it
      pretrain.json       corpora and counts, recipe, machine, seconds, curve
      README.md curve.svg the card
      work/               encoded data and the checkpoint; can be deleted after training
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from huggingtweets.errors import BotError, InputError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.nn import devices, int8_training, language_model
from huggingtweets.nn.language_model import LanguageModel
from huggingtweets.pretraining.averaging import average_with
from huggingtweets.pretraining.card import render_base_card, render_curve
from huggingtweets.pretraining.corpus import Corpus, parse_corpora
from huggingtweets.pretraining.encode import (
    EncodingConfig,
    Prepared,
    authors_named,
    load_encoded,
    prepare,
)
from huggingtweets.pretraining.loop import PretrainTask, pretrain
from huggingtweets.pretraining.presets import POCKET, Preset, flops_per_token
from huggingtweets.pretraining.progress import Budget, Progress
from huggingtweets.pretraining.tokens import MAX_VOCABULARY, Stream
from huggingtweets.storage import checkpoint, files
from huggingtweets.training import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from accelerate import Accelerator

RECORD = "pretrain.json"
_CPU_DEVICE_TOKENS = {"fp32": 1024, "bf16": 4096}
"""Tokens that a CPU processes at once; more don't fit into its caches."""

_GPU_DEVICE_TOKENS = 32_768

_TOKENIZER = "tokenizer"
"""Folder in ``work/``: the tokenizer of the weights that ``--from`` names."""


@dataclass(frozen=True)
class PretrainOptions:
    """The user's settings.

    Attributes:
        preset: architecture and recipe.
        source: existing weights to start from: a built-in base, a folder, a GGUF file or a Hub id.
            The new base has their architecture and tokenizer. None starts from random weights.
        budget: the end of training; default 60 minutes.
        out: folder for the base.
        resume: continue from the checkpoint or the finished weights in ``out``.
        excluded: authors to exclude: handles, or files that list them.
        about: Markdown for the card about the data's origin and licences.
        seed: seed of weights and order.
        device: ``cpu``, ``cuda``, ``mps`` or None for the fastest available.
        precision: ``bf16`` or ``fp32``; None chooses the machine's fastest and may use 8-bit
            matrix products.
        encode_only: stop after encoding the corpora, to train on another machine.
        compiled: whether to use ``torch.compile``; None uses it if there is a compiler.
        device_tokens: tokens that one device processes at once; None chooses by device.
        checkpoint_seconds: seconds between checkpoints.
        measure_seconds: seconds between measurements of held-out posts.
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
            f"{name} must be {expected}"
            for name, expected, valid in (
                (
                    "--device-tokens",
                    "at least 1",
                    self.device_tokens is None or self.device_tokens > 0,
                ),
                ("--checkpoint-seconds", "at least 0", self.checkpoint_seconds >= 0),
                ("--measure-seconds", "at least 0", self.measure_seconds >= 0),
                ("--seed", "from 0 to 2^63 - 1", 0 <= self.seed < 2**63),
            )
            if not valid
        ]
        if faults:
            raise InputError("These settings are invalid: " + "; ".join(faults) + ".")


def make_base(
    specs: Sequence[str],
    options: PretrainOptions,
    listen: EventHandler = ignore,
    interrupt: Interrupt | None = None,
) -> Path:
    """Pre-train a base on corpora and write it to ``options.out``.

    Args:
        specs: ``path`` or ``path:weight``, or one folder of encoded data.
        options: see :class:`PretrainOptions`.
        listen: called with each event.
        interrupt: handles Ctrl-C.

    Returns:
        The base's folder, or that of the encoded data with ``encode_only``.

    Raises:
        InputError: a corpus, an option or the folder can't be used.
        BotError: the folder's content doesn't match ``resume``, or is damaged.
        TrainingError: the loss is not a finite number.
        Interrupted: the user stopped the training; ``resume`` continues it.
    """
    language_model.quiet_transformers()
    prepared = load_encoded(Path(specs[0])) if len(specs) == 1 else None
    corpora = () if prepared else tuple(parse_corpora(specs))
    accelerator = _accelerator(devices.select_device(options.device, options.precision))
    record = _existing_record(options)
    source_model = _load_source(options, record, prepared)
    if source_model is not None:
        options = replace(options, preset=options.preset.shaped_like(source_model))
    with _locked(options.out, accelerator):
        tokenizer = options.out if record is not None else None
        if source_model is not None:
            tokenizer = options.out / "work" / _TOKENIZER
            source_model.tokenizer.save_pretrained(tokenizer)
        data = prepared or _encoding_config(corpora, options, tokenizer)
        run = _PretrainRun(data, options, accelerator, listen, interrupt)
        return run.make(record, source_model)


def _existing_record(options: PretrainOptions) -> dict[str, Any] | None:
    """Load the record of a finished base in ``out`` to train further; None if there is none.

    Raises:
        BotError: there is nothing to resume, or a base would be overwritten.
    """
    record, out = options.out / RECORD, options.out
    state = out / "work" / "state.safetensors"
    if not options.resume:
        if record.exists() or state.exists():
            raise BotError(f"{out} contains a base already; add --resume or choose another --out.")
        return None
    if record.exists():
        try:
            loaded: dict[str, Any] = files.read_json(record)
        except (OSError, ValueError) as error:
            raise BotError(f"{record} is damaged: {error}.") from error
        return loaded
    if not state.exists():
        raise BotError(f"{out} contains no base and no interrupted training; leave out --resume.")
    return None


def _load_source(
    options: PretrainOptions, record: dict[str, Any] | None, prepared: Prepared | None
) -> LanguageModel | None:
    """Load the model that ``source`` names; None without a source.

    Raises:
        BotError: ``out`` contains a finished base, so ``source`` would be ignored.
        InputError: the vocabulary is too large for encoded corpora, or the corpora were encoded
            with another tokenizer.
    """
    if options.source is None:
        return None
    if record is not None:
        raise BotError(
            f"{options.out} contains a finished base; leave out --from to train it further."
        )
    model = language_model.load(options.source)
    if prepared and prepared.tokenizer.get_vocab() != model.tokenizer.get_vocab():
        raise InputError(
            f"{prepared.folder} was encoded with another tokenizer than that of "
            f"{options.source!r}; name the corpora, or encode them with the same --from."
        )
    if len(model.tokenizer) > MAX_VOCABULARY:
        raise InputError(
            f"{options.source!r} has a vocabulary of {len(model.tokenizer):,} tokens, but at most "
            f"{MAX_VOCABULARY:,} are possible; choose a base with a smaller vocabulary."
        )
    return model


def _encoding_config(
    corpora: tuple[Corpus, ...], options: PretrainOptions, tokenizer: Path | None
) -> EncodingConfig:
    return EncodingConfig(
        corpora=corpora,
        excluded=authors_named(options.excluded),
        author_context=options.preset.author_context,
        vocabulary=options.preset.vocabulary,
        context=options.preset.context,
        tokenizer=tokenizer,
        source=options.source,
    )


class _PretrainRun:
    """One session: encode the data, build or load the model, train and save."""

    def __init__(
        self,
        data: EncodingConfig | Prepared,
        options: PretrainOptions,
        accelerator: Accelerator,
        listen: EventHandler,
        interrupt: Interrupt | None,
    ) -> None:
        self.data, self.options, self.accelerator = data, options, accelerator
        self.machine = devices.select_device(options.device, options.precision)
        self.listen = listen if accelerator.is_main_process else ignore
        self.interrupt = interrupt or Interrupt()
        self.work = options.out / "work"

    def make(self, record: dict[str, Any] | None, source_model: LanguageModel | None) -> Path:
        """Run the session and return the folder of the base or of the encoded data.

        Args:
            record: record of the finished base to train further, or None.
            source_model: the model that ``--from`` names, or None.
        """
        data = self._prepare_data()
        if self.options.encode_only:
            return data.folder
        devices.tune_allocator()
        lm = source_model or self._initial_model(data, record)
        language_model.convert(lm.model, self.accelerator.device, torch.float32)
        task = self._task(lm, data, record)
        progress = pretrain(task, self.listen)
        if record is None and source_model is None and (warning := progress.is_overfitting()):
            self.listen(Event("train", message=warning))
        if self.accelerator.is_main_process:
            initial = self.options.out if record is not None else self.options.source
            weight = self._interpolate(initial, lm, data, progress) if initial else None
            session = self._session_record(lm, data, progress, task) | {"kept": weight}
            sessions = [*(record["sittings"] if record is not None else []), session]
            self._save(lm, sessions, task.state_file)
        self.accelerator.wait_for_everyone()
        return self.options.out

    def _prepare_data(self) -> Prepared:
        """Encode the corpora in the main process while the others wait, unless that is done."""
        data = self.data
        if isinstance(data, EncodingConfig):
            with self.accelerator.main_process_first():
                data = prepare(self.work / "data", data, self.listen)
        total = sum(corpus["tokens"] for corpus in data.corpora)
        self.listen(Event("encode", message=f"{total:,} tokens in {len(data.corpora)} corpora"))
        return data

    def _initial_model(self, data: Prepared, record: dict[str, Any] | None) -> LanguageModel:
        """Load the finished base in ``out``, or create a model with random weights."""
        if record is not None:
            return language_model.load(self.options.out)
        torch.manual_seed(self.options.seed)
        separator = data.tokenizer.eos_token_id
        model = self.options.preset.build(len(data.tokenizer), separator)
        context = self.options.preset.context
        return LanguageModel(model, data.tokenizer, separator, context, str(self.options.out))

    def _task(
        self, lm: LanguageModel, data: Prepared, record: dict[str, Any] | None
    ) -> PretrainTask:
        options, preset = self.options, self.options.preset
        streams = [
            Stream(data.tokens_file(i), corpus["weight"], preset.row, options.seed, lm.separator)
            for i, corpus in enumerate(data.corpora)
        ]
        compiled = devices.has_compiler() if options.compiled is None else options.compiled
        return PretrainTask(
            lm=lm,
            streams=streams,
            held_out=data.held_out(),
            preset=preset,
            budget=options.budget,
            machine=self.machine,
            accelerator=self.accelerator,
            state_file=self.work / "state.safetensors",
            fingerprint=_fingerprint(data, preset, lm.parameters, options),
            rows_read=_rows_read(record, data, options),
            compiled=compiled,
            int8=options.precision is None
            and int8_training.should_use(self.machine, compiled=compiled),
            device_tokens=options.device_tokens or self._default_device_tokens(),
            checkpoint_seconds=options.checkpoint_seconds,
            measure_seconds=options.measure_seconds,
            interrupt=self.interrupt,
        )

    def _default_device_tokens(self) -> int:
        if self.machine.device == "cpu" and self.machine.precision in _CPU_DEVICE_TOKENS:
            return _CPU_DEVICE_TOKENS[self.machine.precision]
        return _GPU_DEVICE_TOKENS

    def _interpolate(
        self, initial: str | Path, lm: LanguageModel, data: Prepared, progress: Progress
    ) -> float | None:
        """Interpolate with the initial weights; return the weight of the trained parameters."""
        self.listen(Event("train", message="interpolating with the initial weights"))
        precision = self.machine.precision
        weight = average_with(initial, lm, data.held_out(), progress, precision=precision)
        if weight is not None:
            bits = progress.curve[-1]["held_out_bits_per_byte"]["all"]
            message = f"kept {weight:.0%} of the weight change: held-out {bits:.3f} bits per byte"
            self.listen(Event("train", message=message))
        return weight

    def _save(self, lm: LanguageModel, sessions: list[dict[str, Any]], state: Path) -> None:
        """Write the base in bfloat16, its card and its record, then delete the checkpoint."""
        card = render_base_card(sessions, len(lm.tokenizer), self.options.about)
        curve = render_curve(sessions)
        language_model.convert(lm.model, torch.device("cpu"), torch.bfloat16)
        lm.model.config.dtype = torch.bfloat16
        out = self.options.out
        with files.atomic_write_dir(self.work / "model") as temporary:
            lm.save(temporary)
        for file in sorted((self.work / "model").iterdir()):
            os.replace(file, out / file.name)  # noqa: PTH105 - atomic for each file
        files.write_text(out / "README.md", card)
        files.write_text(out / "curve.svg", curve)
        files.write_json(out / RECORD, {"format": 1, "sittings": sessions})
        checkpoint.remove(state)

    def _session_record(
        self, lm: LanguageModel, data: Prepared, progress: Progress, task: PretrainTask
    ) -> dict[str, Any]:
        return {
            "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "corpora": data.corpora,
            "excluded_authors": data.excluded,
            "preset": asdict(self.options.preset),
            "parameters": lm.parameters,
            "flops_per_token": flops_per_token(lm.parameters, self.options.preset),
            "from": _without_folder(self.options.source),
            "seed": self.options.seed,
            "taken": progress.taken,
            "compiled": task.compiled and not progress.compiling_failed,
            "eight_bit": task.int8,
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
    # the compiled loss function contains autocast, so Accelerate must not add it
    return Accelerator(mixed_precision="no", cpu=where.device == "cpu")


def _without_folder(source: str | None) -> str | None:
    """Name of the source for the record, without the folders of a path, which may be private."""
    return Path(source).name if source and Path(source).exists() else source


def _fingerprint(data: Prepared, preset: Preset, parameters: int, options: PretrainOptions) -> str:
    """Hash of everything that determines the result of training, except the budget."""
    parts = [data.fingerprint, asdict(preset), parameters, options.seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _rows_read(
    record: dict[str, Any] | None, data: Prepared, options: PretrainOptions
) -> list[int]:
    """Rows that earlier sessions read of each stream; empty if the streams have changed."""
    last = record["sittings"][-1] if record else {}
    unchanged = (
        [(corpus["name"], corpus["tokens"]) for corpus in last.get("corpora", [])]
        == [(corpus["name"], corpus["tokens"]) for corpus in data.corpora]
        and last["seed"] == options.seed
        and last["preset"]["row"] == options.preset.row
    )
    return list(last.get("taken", [])) if unchanged else []


@contextmanager
def _locked(out: Path, accelerator: Accelerator) -> Iterator[None]:
    """Lock the folder against other trainings; remove it again if nothing was encoded."""
    if not accelerator.is_main_process:
        yield
        return
    work = out / "work"
    new_folders = [folder for folder in (work, *work.parents) if not folder.exists()]
    with files.wrap_os_errors(out):
        files.make_folder(work)
    try:
        with files.locked(work):
            yield
    finally:
        _remove_unused(new_folders)


def _remove_unused(folders: list[Path]) -> None:
    """Remove folders that contain at most a lock file and a copied tokenizer; innermost first."""
    for folder in folders:
        with suppress(OSError):
            if {file.name for file in folder.iterdir()} <= {".lock", _TOKENIZER}:
                shutil.rmtree(folder)
