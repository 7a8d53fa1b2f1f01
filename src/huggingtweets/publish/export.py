"""Export a bot to a folder outside its run, for other programs. No export holds a post."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from huggingtweets.decoding import decode
from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.events import Event, ignore
from huggingtweets.publish import adapter, gguf, onnx, web_page
from huggingtweets.publish.card import CARD, render_card
from huggingtweets.publish.escaping import one_line
from huggingtweets.publish.facts import Facts
from huggingtweets.publish.files import check_may_leave, parts_of
from huggingtweets.storage import files

if TYPE_CHECKING:
    from huggingtweets.events import EventHandler
    from huggingtweets.publish.facts import AdapterFacts
    from huggingtweets.publish.gguf import GgufFacts
    from huggingtweets.publish.onnx import OnnxFacts
    from huggingtweets.storage.run_folder import RunFolder

FORMATS = ("gguf", "safetensors", "adapter", "web", "onnx")


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """One export, as the run remembers it.

    Attributes:
        path: the folder, absolute.
        to: one of :data:`FORMATS`.
        made_at: UTC, ISO 8601.
    """

    path: str
    to: str
    made_at: str


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export.

    Attributes:
        path: the folder.
        to: one of :data:`FORMATS`.
        sizes: bytes of each file, by name.
        gguf: of the GGUF file or the page's model, if there is one.
        onnx: of the ONNX file, if there is one.
        adapter: of the small bot, if it is one.
    """

    path: Path
    to: str
    sizes: dict[str, int]
    gguf: GgufFacts | None = None
    onnx: OnnxFacts | None = None
    adapter: AdapterFacts | None = None


def export(
    run: RunFolder,
    to: str = "gguf",
    quantize: str | None = None,
    out: Path | None = None,
    *,
    rank: int | None = None,
    listen: EventHandler = ignore,
) -> Exported:
    """Export a run's bot to a new folder; on any error nothing is left there.

    Args:
        run: a finished run.
        to: ``gguf`` for llama.cpp and what is built on it, ``safetensors`` for Hugging Face tools,
            ``adapter`` for peft and vLLM, ``web`` for a page that runs the bot in the visitor's
            browser, or ``onnx`` for ONNX runtimes.
        quantize: number format of a GGUF file or a page's model; default ``q8_0``.
        out: the folder, which must not exist. Default: ``exports/RUN-FORMAT``.
        rank: of an adapter; default 16.
        listen: called with what is being done.

    Raises:
        OptedOutError: an author asked not to be imitated.
        BotError: the run is not finished, or its bot is out of date.
        InputError: there is no such format, or the bot can't be exported to it.
        StorageError: the folder exists, or can't be written.
    """
    quantize = _checked(to, quantize, rank)
    check_may_leave(run)
    target = _target(run, to, out)
    if target.exists() or target.is_symlink():
        raise StorageError(f"{target} already exists. Choose another --out, or delete it.")
    new_parents = [folder for folder in target.absolute().parents if not folder.exists()]
    try:
        with run.locked(), files.atomic_write_dir(target, public=to == "web") as folder:
            made = _write(run, folder, to, quantize=quantize, rank=rank, listen=listen)
            sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
            _remember(run, target, to)
    except BaseException:
        for parent in new_parents:
            with suppress(OSError):  # not there, or not empty
                parent.rmdir()
        raise
    return replace(made, path=target, sizes=sizes)


def _checked(to: str, quantize: str | None, rank: int | None) -> str | None:
    """Check the options of an export; return the number format of one that has it.

    Raises:
        InputError: they don't go together.
    """
    if to not in FORMATS:
        raise InputError(
            f"--to must be {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {one_line(to)[:40]!r}."
        )
    if rank is not None:
        check_rank(rank, to)
    if to == "onnx":
        onnx.check_available()
    if to in ("gguf", "web"):
        quantize = (quantize or gguf.DEFAULT_KIND).lower()
        gguf.check_kind(quantize)
    elif quantize is not None:
        raise InputError(
            f"--quantize applies to --to gguf and web; {to} keeps the bot's own numbers."
        )
    return quantize


def _write(
    run: RunFolder,
    folder: Path,
    to: str,
    *,
    quantize: str | None,
    rank: int | None,
    listen: EventHandler,
) -> Exported:
    """Write the files of an export into a folder."""
    made = Exported(folder, to, {})
    if quantize is not None:
        write = web_page.write if to == "web" else gguf.write
        return replace(made, gguf=write(run, folder, quantize, listen))
    if to == "onnx":
        return replace(made, onnx=onnx.write(run, folder, listen))
    if to == "adapter":
        return replace(made, adapter=adapter.write(run, folder, rank, listen))
    _copy(run, folder, listen)
    return made


def current_page(run: RunFolder, out: Path | None = None) -> Path | None:
    """Return the folder of the bot's page, if it was exported before and is not out of date.

    Args:
        run: a finished run.
        out: the folder. Default: as for :func:`export`.

    Raises:
        OptedOutError: an author asked not to be imitated.
        BotError: the run is not finished, or its bot is out of date.
        StorageError: the page is older than the bot.
    """
    check_may_leave(run)
    folder = _target(run, "web", out)
    path = str(folder.absolute())
    if not web_page.is_page(folder) or all(record.path != path for record in records(run)):
        return None
    made = (folder / web_page.SETTINGS).stat().st_mtime
    if any(file.stat().st_mtime > made for file in run.bot.glob("*.safetensors")):
        raise StorageError(f"{folder} is older than the bot. Delete it and export again.")
    return folder


def _target(run: RunFolder, to: str, out: Path | None) -> Path:
    return Path("exports", f"{run.path.absolute().name}-{to}") if out is None else out


def copies_of(run: RunFolder) -> list[str]:
    """Describe the exports of a run, which may have been copied anywhere."""
    try:
        return [
            f"the export {made.path} ({made.to}, {made.made_at[:10]}) and its copies"
            for made in records(run)
        ]
    except BotError as error:
        return [f"its exports, which can't be listed: {error}"]


def records(run: RunFolder) -> list[ExportRecord]:
    """Return all exports of a run, oldest first.

    Raises:
        BotError: ``exports.json`` is damaged.
    """
    try:
        return decode(run.exports_file.read_bytes(), list[ExportRecord])
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise BotError(f"{run.exports_file} is damaged. Move it away and export again.") from error


def _remember(run: RunFolder, target: Path, to: str) -> None:
    """Add an export to the run, before its folder gets its name."""
    path = str(target.absolute())
    made = ExportRecord(path, to, datetime.now(UTC).isoformat(timespec="seconds"))
    earlier = [record for record in records(run) if record.path != path]
    files.write_json(run.exports_file, [asdict(record) for record in (*earlier, made)])


def check_rank(rank: int, to: str = "adapter") -> None:
    """Check the rank of an adapter.

    Raises:
        InputError: it is too small or too large, or the export is no adapter.
    """
    from huggingtweets.training.recipe import MAX_RANK

    if to != "adapter":
        raise InputError(f"--rank applies to --to adapter, not to {to}.")
    if not 1 <= rank <= MAX_RANK:
        raise InputError(f"--rank must be from 1 to {MAX_RANK}, not {rank}.")


def _copy(run: RunFolder, folder: Path, listen: EventHandler) -> None:
    """Copy the files of a bot that may be published; a small one becomes a whole model."""
    listen(Event("export", message="to safetensors"))
    for name, content in parts_of(run.bot).items():
        if isinstance(content, Path) and not (run.is_small and name.startswith("adapter_")):
            shutil.copyfile(content, folder / name)
    if run.is_small:
        from huggingtweets.generation import bots

        bots.load_from_run(run).save(folder)
        text = render_card(replace(Facts.of(run), adapter=None))
        (folder / CARD).write_text(text, encoding="utf-8")
