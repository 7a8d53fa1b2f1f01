"""Export a bot to a folder outside its run, for other programs. No export holds a post."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from huggingtweets.errors import BotError, InputError, StorageError
from huggingtweets.events import Event, ignore
from huggingtweets.publish import gguf, onnx, web_page
from huggingtweets.publish.escaping import one_line
from huggingtweets.publish.files import check_may_leave, parts_of
from huggingtweets.storage import files

if TYPE_CHECKING:
    from huggingtweets.events import EventHandler
    from huggingtweets.publish.gguf import GgufFacts
    from huggingtweets.publish.onnx import OnnxFacts
    from huggingtweets.storage.run_folder import RunFolder

FORMATS = ("gguf", "safetensors", "web", "onnx")


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
    """

    path: Path
    to: str
    sizes: dict[str, int]
    gguf: GgufFacts | None = None
    onnx: OnnxFacts | None = None


def export(
    run: RunFolder,
    to: str = "gguf",
    quantize: str | None = None,
    out: Path | None = None,
    *,
    listen: EventHandler = ignore,
) -> Exported:
    """Export a run's bot to a new folder; on any error nothing is left there.

    Args:
        run: a finished run.
        to: ``gguf`` for llama.cpp and what is built on it, ``safetensors`` for Hugging Face tools,
            ``web`` for a page that runs the bot in the visitor's browser, or ``onnx`` for ONNX
            runtimes.
        quantize: number format of a GGUF file or a page's model; default ``q8_0``.
        out: the folder, which must not exist. Default: ``exports/RUN-FORMAT``.
        listen: called with what is being done.

    Raises:
        OptedOutError: an author asked not to be imitated.
        BotError: the run is not finished, or its bot is out of date.
        InputError: there is no such format, or the bot can't be exported to it.
        StorageError: the folder exists, or can't be written.
    """
    if to not in FORMATS:
        raise InputError(
            f"--to must be {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {one_line(to)[:40]!r}."
        )
    if to == "onnx":
        onnx.check_available()
    if to in ("gguf", "web"):
        quantize = (quantize or gguf.DEFAULT_KIND).lower()
        gguf.check_kind(quantize)
    elif quantize is not None:
        raise InputError(
            f"--quantize applies to --to gguf and web; {to} keeps the bot's own numbers."
        )
    check_may_leave(run)
    target = _target(run, to, out)
    if target.exists() or target.is_symlink():
        raise StorageError(f"{target} already exists. Choose another --out, or delete it.")
    new_parents = [folder for folder in target.absolute().parents if not folder.exists()]
    try:
        with run.locked(), files.atomic_write_dir(target, public=to == "web") as folder:
            facts = onnx_facts = None
            if quantize is not None:
                write = web_page.write if to == "web" else gguf.write
                facts = write(run, folder, quantize, listen)
            elif to == "onnx":
                onnx_facts = onnx.write(run, folder, listen)
            else:
                _copy(run, folder, listen)
            sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
            _remember(run, target, to)
    except BaseException:
        for parent in new_parents:
            with suppress(OSError):  # not there, or not empty
                parent.rmdir()
        raise
    return Exported(target, to, sizes, facts, onnx_facts)


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
        return msgspec.json.decode(run.exports_file.read_bytes(), type=list[ExportRecord])
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


def _copy(run: RunFolder, folder: Path, listen: EventHandler) -> None:
    """Copy the files of a bot that may be published."""
    listen(Event("export", message="to safetensors"))
    for name, content in parts_of(run.bot).items():
        if isinstance(content, Path):
            shutil.copyfile(content, folder / name)
