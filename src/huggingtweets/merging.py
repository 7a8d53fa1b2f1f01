"""Make a bot from finished bots of one base, without training.

The result is a full run folder: it has the posts and the authors of all its bots, so what is asked
of an author's bot (a report, a card, deleting posts, opting out) holds for it, too.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from huggingtweets import pipeline
from huggingtweets.curation import Curated
from huggingtweets.errors import BaseModelError, BotError, InputError
from huggingtweets.events import Event, EventHandler, ignore
from huggingtweets.generation import bots
from huggingtweets.nn import devices, language_model
from huggingtweets.privacy.masking import LEVELS
from huggingtweets.storage import run_folder
from huggingtweets.storage.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from huggingtweets.nn.language_model import LanguageModel

METHODS = ("linear", "slerp", "task-arithmetic", "ties")
_SUM_TOLERANCE = 1e-6
_BYTES_EACH = 5  # of a parameter in fp32, and the report


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """Options of :func:`merge`.

    Attributes:
        weights: one for each bot, from 0 to 1; they sum to one. None for equal weights.
        method: ``linear`` (Wortsman et al. 2022), ``slerp`` (Shoemake 1985), ``task-arithmetic``
            (Ilharco et al. 2023) or ``ties`` (Yadav et al. 2023); the formulas are in
            :mod:`huggingtweets.nn.merging`.
        scale: of ``task-arithmetic`` and ``ties``: how far to go from the base, over 0 to 10.
            With 1, ``task-arithmetic`` is ``linear``.
        density: of ``ties``: the share of each bot's changes that is kept, over 0 to 1.
        name: name of the run folder; None for the names of the bots.
        out: folder that holds the runs.
        seed: of the report's generations.
        device: ``cpu``, ``cuda``, ``mps`` or None for the fastest available.
        precision: of the report: ``bf16``, ``fp32`` or None for the machine's.

    Raises:
        InputError: one sentence that names every invalid value.
    """

    weights: Sequence[float] | None = None
    method: str = "linear"
    scale: float = 1.0
    density: float = 0.2
    name: str | None = None
    out: Path = pipeline.DEFAULT_OUT
    seed: int = 0
    device: str | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.method not in METHODS:
            faults.append(f"--method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if not 0 < self.scale <= 10:
            faults.append(f"--scale must be over 0 and at most 10, not {self.scale}")
        if not 0 < self.density <= 1:
            faults.append(f"--density must be over 0 and at most 1, not {self.density}")
        if self.weights is not None:
            shown = ", ".join(f"{weight:g}" for weight in self.weights)
            if len(self.weights) < 2:
                faults.append(
                    f"--weights must be one number for each bot, such as 0.6,0.4, not {shown}"
                )
            elif not all(0 <= weight <= 1 for weight in self.weights):
                faults.append(f"--weights must be from 0 to 1, not {shown}")
            elif abs(math.fsum(self.weights) - 1) > _SUM_TOLERANCE:
                total = math.fsum(self.weights)
                faults.append(f"--weights must sum to 1, but {shown} sum to {total:g}")
        if faults:
            raise InputError("; ".join(faults) + ".")
        pipeline.TrainOptions(name=self.name, seed=self.seed)  # refuses what a run can't have


def merge(
    specs: Sequence[str | Path],
    options: MergeOptions | None = None,
    listen: EventHandler = ignore,
) -> RunFolder:
    """Merge finished bots into a new one and measure it.

    Args:
        specs: two or more run folders of bots that were trained from one base.
        options: how to merge.
        listen: called with every event.

    Raises:
        InputError: the bots can't be merged this way; nothing is written.
        Interrupted: stopped by the user; :func:`~huggingtweets.pipeline.resume` continues.
    """
    options = options or MergeOptions()
    started = time.monotonic()
    runs = _runs(specs, options)
    options = replace(options, weights=options.weights or [1 / len(runs)] * len(runs))
    records = [run.record() for run in runs]
    _check_one_base(runs, records)
    name = options.name or run_folder.unique_name(
        options.out, run_folder.folder_name([record.name for record in records])
    )
    run_folder.check_name_is_free(RunFolder(options.out / name))
    tables = _tables(runs)
    _check_measurable(tables["kept"], runs)
    listen(Event(stage="merge", message=f"{' and '.join(r.name for r in records)}"))
    merged, digest = _merged_model(runs, records, options, listen)
    run_folder.check_space(options.out, merged.parameters, _BYTES_EACH)
    device = devices.select_device(options.device, options.precision)
    record = _record(name, runs, records, options, device)
    record.config["base_digest"] = digest
    curated = Curated(tables["kept"], tables["dropped"])
    record.counts, record.counts_by_author = curated.counts, curated.counts_by_author
    if "mask" in record.config["curation"]:
        record.masked = curated.masked
    record.seconds = {"merge": round(time.monotonic() - started, 2)}
    run = run_folder.create(options.out, record, tables, merged.save)
    del merged  # the report loads it from disk, with its base
    return pipeline.resume(run.path, listen)


def _runs(specs: Sequence[str | Path], options: MergeOptions) -> list[RunFolder]:
    """Return the runs to merge; each is finished and up to date, and none is named twice."""
    if len(specs) < 2:
        raise InputError("Merging needs two bots or more; name another run folder.")
    if options.method == "slerp" and len(specs) > 2:
        raise InputError(
            f"slerp merges two bots, not {len(specs)}; merge more with --method linear."
        )
    if options.weights is not None and len(options.weights) != len(specs):
        raise InputError(
            f"--weights has {len(options.weights)} numbers for {len(specs)} bots; give one for "
            "each, in the same order."
        )
    runs = [bots.find_run_folder(spec) for spec in specs]
    paths = [run.path.resolve() for run in runs]
    for run, path in zip(runs, paths, strict=True):
        if paths.count(path) > 1:
            raise InputError(f"{run.path} is named twice; merging needs different bots.")
        if run.record().state not in ("trained", "done"):
            raise BotError(
                f"{run.path} is not finished ({run.display_state()}). Resume it with: "
                f"huggingtweets train --resume {run.path}"
            )
        run.check_up_to_date()
    return runs


def _check_one_base(runs: Sequence[RunFolder], records: Sequence[RunRecord]) -> None:
    """Check that all bots were trained from one base, as far as run.json tells."""
    bases = [(record.config["base"], record.config.get("base_digest")) for record in records]
    (first, first_digest), first_path = bases[0], runs[0].path
    for run, (base, digest) in zip(runs[1:], bases[1:], strict=True):
        is_same = digest == first_digest if digest and first_digest else base == first
        if not is_same:
            other = base if base != first else f"other weights of {base}"
            raise BotError(
                f"{first_path} was trained from {first} and {run.path} from {other}; only bots of "
                "one base can be merged. Train them from the same --base."
            )


def _tables(runs: Sequence[RunFolder]) -> dict[str, pl.DataFrame]:
    """Return the posts of all runs, each once. A post that one bot learnt is not held out."""
    together = {
        name: pl.concat([run.table(name) for run in runs], how="diagonal_relaxed")
        for name in ("posts", "kept", "dropped")
    }
    same = ["author", "id", "text"]
    order = pl.col("split").replace_strict({"train": 0, "held_out": 1}, default=2)
    kept = together["kept"].sort(order, maintain_order=True).unique(same, maintain_order=True)
    if "created_at" in kept.columns:
        kept = kept.sort("created_at", nulls_last=False, maintain_order=True)
    learnt = kept.filter(pl.col("split") == "train")["text"]
    is_learnt = (pl.col("split") == "held_out") & pl.col("text").is_in(learnt.implode())
    return {
        "posts": together["posts"].unique(same, maintain_order=True),
        "kept": kept.with_columns(
            pl.when(is_learnt).then(pl.lit("train")).otherwise("split").alias("split")
        ),
        "dropped": together["dropped"]
        .unique(same, maintain_order=True)
        .join(kept, on=["author", "id"], how="anti"),
    }


def _check_measurable(kept: pl.DataFrame, runs: Sequence[RunFolder]) -> None:
    if not (kept["split"] == "held_out").any():
        raise BotError(
            f"No post was held out from all of {', '.join(str(run.path) for run in runs)}, so the "
            "merged bot couldn't be measured. Train them with the same --holdout, --split and "
            "--seed."
        )


def _merged_model(
    runs: Sequence[RunFolder],
    records: Sequence[RunRecord],
    options: MergeOptions,
    listen: EventHandler,
) -> tuple[LanguageModel, str]:
    """Return the merged model, and the digest of the base."""
    from huggingtweets.nn import blended, merging

    base, digest = _base(records, runs, listen)
    models = [bots.load_from_run(run) for run in runs]
    blended.check_one_tokenizer(models)
    shapes = [_shapes(model) for model in (*models, base)]
    if any(shape != shapes[-1] for shape in shapes):
        raise BotError(
            f"The weights of {' and '.join(str(run.path) for run in runs)} and of their base "
            f"{base.source} have different names or shapes, so they can't be merged."
        )
    assert options.weights is not None  # noqa: S101 - set by the caller
    settings = merging.Settings(
        options.method,  # type: ignore[arg-type]  # checked by MergeOptions
        tuple(options.weights),
        options.scale,
        options.density,
    )
    first, *others = models
    merging.merge_into(first.model, [other.model for other in others], base.model, settings)
    return first, digest


def _base(
    records: Sequence[RunRecord], runs: Sequence[RunFolder], listen: EventHandler
) -> tuple[LanguageModel, str]:
    """Load the base that run.json names and check that it is the one the bots came from."""
    name = str(records[0].config["base"])
    base = language_model.load(name)
    digest = base.digest()
    for run, record in zip(runs, records, strict=True):
        expected = record.config.get("base_digest")
        if expected is None:
            message = f"{run.path} has no digest of its base; the {name} of today is taken for it"
            listen(Event(stage="curate", message=message))  # shown as a warning
        elif expected != digest:
            raise BaseModelError(
                f"The base {name} has changed since {run.path} was trained from it (SHA-256 "
                f"{digest[:12]}…, not {expected[:12]}…). Bring the earlier weights back, or train "
                "the bot again."
            )
    return base, digest


def _shapes(lm: LanguageModel) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in lm.model.named_parameters()}


def _masking(records: Sequence[RunRecord]) -> dict[str, Any]:
    """Return what is masked in the posts of all bots; the least that is true of each."""
    options = [record.config.get("curation") or {} for record in records]
    if any(record.masked is None for record in records):  # of an earlier version
        return {"scrub": all(of.get("scrub") or of.get("mask") == "mentions" for of in options)}
    return {"mask": min((of["mask"] for of in options), key=LEVELS.index)}


def _record(
    name: str,
    runs: Sequence[RunFolder],
    records: Sequence[RunRecord],
    options: MergeOptions,
    device: devices.ComputeDevice,
) -> RunRecord:
    """Return run.json of the merged bot; whatever is true of one bot's posts is true of its."""
    configs = [record.config for record in records]
    sources = dict.fromkeys(source for config in configs for source in config.get("sources", ()))
    config: dict[str, Any] = {
        "base": configs[0]["base"],
        "sources": list(sources),
        "out": str(options.out.absolute()),
        "seed": options.seed,
        "device": device.device,
        "precision": device.precision,
        "keep_names": any(config.get("keep_names") for config in configs),
        "curation": _masking(records),
        "track": "none",
    }
    left_out: dict[str, int] = {}
    for record in records:
        for reason, number in record.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + number
    scaled = {"scale": options.scale} if options.method in ("task-arithmetic", "ties") else {}
    dense = {"density": options.density} if options.method == "ties" else {}
    return RunRecord(
        name=name,
        authors=list(dict.fromkeys(name for record in records for name in record.authors)),
        config=config,
        counts={},
        counts_by_author={},
        state="trained",
        versions=devices.package_versions(),
        machine=device.as_dict(),
        left_out=left_out,
        handles=[
            author
            for record in records
            for author in record.authors
            if record.shown(author).startswith("@")
        ],
        chats=sorted({kind for record in records for kind in record.chats}),
        merged={
            "method": options.method,
            "weights": list(options.weights or ()),
            **scaled,
            **dense,
            "bots": [
                {
                    "name": record.name,
                    "path": str(run.path.absolute()),
                    "created_at": record.created_at,
                    "authors": record.names,
                }
                for run, record in zip(runs, records, strict=True)
            ],
        },
    )
