"""Outcomes on disk: a run directory that no crash corrupts.

    run/
      manifest.json          schema version, configuration; written once, atomically
      outcomes-00000.jsonl   one outcome a line, appended with one write each; then -00001, …
      lock                   held by the one writer; the kernel frees it when the writer dies

`kill -9` at any moment loses at most the prompts in flight: a torn last line is cut off when the run
is opened again. A prompt whose outcome is an error is tried again on resume; its later line counts.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from nbest.errors import InputError, NbestError, RecordsError
from nbest.own_texts import with_joined_texts, with_own_texts
from nbest.registry import parse, spec_of
from nbest.types import Outcome, Prompt, Stopped

SCHEMA = 2
_READ = frozenset({1, SCHEMA})
"""Schemas of runs that are read and gone on with: outcomes of the first hold every text in full (decision 0012)."""
_SHARD_BYTES = 64 << 20
_SYNC_SECONDS = 1.0
_KIND_BY_KEY = {"engine": "engines", "presets": "strategies", "select": "selectors", "strategy": "strategies"}
"""What the specs of a configuration name, by the key that they stand under."""


class _Head(msgspec.Struct):
    """As much of an outcome as resuming needs."""

    prompt: Prompt
    stopped: Stopped = "done"
    error: str | None = None


class RunWriter:
    """Appends to a run directory, new or begun; close it, or use it in a `with`.

    Raises `RecordsError` where the run was made under another `config` (it names the keys), is
    being written by somebody else, or holds a line that is no outcome.
    """

    def __init__(
        self, path: Path | str, config: Mapping[str, Any], *, shard_bytes: int = _SHARD_BYTES
    ) -> None:
        self.path = Path(path)
        self._shard_bytes = shard_bytes
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; `out` needs a directory")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path)
        try:
            _check_manifest(self.path, config)
            self._shard = len(_shards(self.path)) - 1
            _cut_torn_line(self.path)
            self.recorded: dict[str, Prompt] = {}
            """Prompts with an outcome that stands, by id."""
            for _, _, head in _heads(self.path):
                if head.stopped == "error" and head.error is not None:
                    self.recorded.pop(head.prompt.id, None)
                else:
                    self.recorded[head.prompt.id] = head.prompt
            self._file = self._open_shard()
        except BaseException:
            os.close(self._lock)
            raise
        self._synced = time.monotonic()

    def append(self, outcome: Outcome) -> None:
        """One write of one line; on disk (not only in the system's cache) within about a second."""
        line = msgspec.json.encode(with_own_texts(outcome)) + b"\n"
        if os.fstat(self._file).st_size + len(line) > self._shard_bytes and os.fstat(self._file).st_size:
            os.fsync(self._file)
            os.close(self._file)
            self._shard += 1
            self._file = self._open_shard()
        written = 0
        while written < len(line):
            written += os.write(self._file, line[written:])
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def close(self) -> None:
        """May be called twice."""
        if self._lock >= 0:
            try:
                os.fsync(self._file)
            finally:  # a disk that refuses keeps no files open
                os.close(self._file)
                os.close(self._lock)
                self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_shard(self) -> int:
        self._shard = max(self._shard, 0)
        name = self.path / f"outcomes-{self._shard:05}.jsonl"
        return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def read_outcomes(path: Path | str) -> Iterator[Outcome]:
    """The outcomes of a run, in recorded order; of a prompt tried again, the last one.

    Raises `RecordsError` where the directory is no run or a line is no outcome. A torn last line,
    of a run that is being written or was cut off, is passed over.
    """
    path = Path(path)
    read_manifest(path)
    last = {head.prompt.id: (shard, at) for shard, at, head in _heads(path)}
    standing = set(last.values())
    decoder = msgspec.json.Decoder(Outcome)
    for shard, at, line in _lines(path):
        if (shard, at) in standing:
            yield _joined(_decoded(decoder, line, shard, at), shard, at)


def recorded_prompts(path: Path | str) -> Iterator[Prompt]:
    """The prompts of a run's outcomes, without reading the outcomes; as many as `read_outcomes` has.

    Raises `RecordsError` as there.
    """
    path = Path(path)
    read_manifest(path)
    last = {head.prompt.id: head.prompt for _, _, head in _heads(path)}
    yield from last.values()


def read_manifest(path: Path | str) -> dict[str, Any]:
    """What a run was made with. Raises `RecordsError` where there is none."""
    file = Path(path) / "manifest.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise RecordsError(f"{path} is no run directory: it has no manifest.json") from None
    except msgspec.DecodeError as e:
        raise RecordsError(f"{file} is damaged ({e})") from None


def _locked(path: Path) -> int:
    lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise RecordsError(
            f"{path} is being written by another process; wait for it, or choose another `out`"
        ) from None
    return lock


def _check_manifest(path: Path, config: Mapping[str, Any]) -> None:
    file = path / "manifest.json"
    if not file.exists():
        if _shards(path):
            raise RecordsError(f"{path} holds outcomes but no manifest.json; choose another `out`")
        from nbest import __version__  # noqa: PLC0415 (the package imports us)

        made = {"schema": SCHEMA, "nbest": __version__, "config": config}
        partial = file.with_suffix(".tmp")
        with partial.open("wb") as f:
            f.write(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
            f.flush()
            os.fsync(f.fileno())
        partial.replace(file)
        return
    manifest = read_manifest(path)
    if manifest.get("schema") not in _READ:
        raise RecordsError(f"{path} has record schema {manifest.get('schema')}, this nbest writes {SCHEMA}")
    then = _flat(manifest["config"])
    now = _flat(msgspec.to_builtins(config))
    keys = sorted(then.keys() | now.keys())
    differing = [k for k in keys if not _is_same(k, then.get(k), now.get(k))]
    if differing:
        what = "; ".join(f"{k} was {then.get(k)!r}, is {now.get(k)!r}" for k in differing)
        raise RecordsError(
            f"{path} was made under another configuration: {what}."
            " Choose another `out`, or the same configuration"
        )


def _is_same(key: str, then: Any, now: Any) -> bool:
    """Whether two values are equal, or specs of equal plug-ins: names change, and old runs go on."""
    if then == now:
        return True
    kinds = [_KIND_BY_KEY[part] for part in key.split(".") if part in _KIND_BY_KEY]
    if not kinds or not isinstance(then, str):
        return False
    try:
        return spec_of(parse(kinds[0], then)) == now
    except NbestError:
        return False


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            flat[prefix + key] = value
    return flat


def _shards(path: Path) -> list[Path]:
    return sorted(path.glob("outcomes-*.jsonl"))


def _cut_torn_line(path: Path) -> None:
    """Cuts what a killed writer left of its last line."""
    shards = _shards(path)
    if not shards:
        return
    with shards[-1].open("r+b") as f:
        size = end = f.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            f.seek(start)
            newline = f.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            f.truncate(end)


def _lines(path: Path) -> Iterator[tuple[Path, int, bytes]]:
    """Whole lines with their shard and line number."""
    for shard in _shards(path):
        with shard.open("rb") as f:
            for number, line in enumerate(f, 1):
                if line.endswith(b"\n"):
                    yield shard, number, line


def _heads(path: Path) -> Iterator[tuple[Path, int, _Head]]:
    decoder = msgspec.json.Decoder(_Head)
    for shard, number, line in _lines(path):
        yield shard, number, _decoded(decoder, line, shard, number)


def _joined(outcome: Outcome, shard: Path, number: int) -> Outcome:
    try:
        return with_joined_texts(outcome)
    except KeyError as e:
        raise RecordsError(
            f"{shard}, line {number}: candidate {e} is missing, which others continue; remove the line to go on"
        ) from None


def _decoded(decoder: msgspec.json.Decoder[Any], line: bytes, shard: Path, number: int) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise RecordsError(
            f"{shard}, line {number}: no outcome ({e}); remove the line to go on without it"
        ) from None
