"""A sample of outcomes on disk, in run directories that every other command reads."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbest.errors import InputError
from nbest.records import RunWriter
from nbest.serve.observability.background import Background
from nbest.types import Outcome

log = logging.getLogger(__name__)

_ROTATE_OUTCOMES = 100_000
_ROTATE_S = 86400.0
_QUEUE = 512
_PAUSE_S = 10.0
"""After a disk refused, until it is tried again; what comes in between is lost."""
_HASHES = 2.0**64


class Recorder:
    """Appends outcomes to `directory/HOST-PID-TIME-RANDOM`, a run that `nbest eval`, `report` and `select` read.

    A process writes to directories of its own, so that replicas may share `directory`, and begins a new
    one every 100 000 outcomes, every day, under every configuration and after a fault of the disk: each
    stays small enough to read, and old ones can be removed. Requests never wait: what the disk does not keep
    up with is dropped and counted. Raises `InputError` where `directory` cannot be written to.
    """

    def __init__(
        self,
        directory: Path | str,
        config: Mapping[str, Any],
        *,
        rate: float = 1.0,
        rotate_outcomes: int = _ROTATE_OUTCOMES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`config` goes into the manifests; it must hold no secrets."""
        self._directory = Path(directory)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise InputError(f"record: {directory} cannot be made: {e.strerror}") from None
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise InputError(f"record: {directory} cannot be written to")
        self._config = config
        self._rate = rate
        self._rotate_outcomes = rotate_outcomes
        self._clock = clock
        self._writer: RunWriter | None = None
        self._written_under: Mapping[str, Any] = config
        self._num_in_run = 0
        self._opened = 0.0
        self._paused_until = 0.0
        self._refusal = ""
        """The disk's last error."""
        self._background = Background(self._append, size=_QUEUE, name="nbest-recorder", at_end=self._finish)
        self.num_recorded = 0

    @property
    def num_dropped(self) -> int:
        """Sampled outcomes that are not on disk."""
        return self._background.num_dropped + self._background.num_failed

    def use(self, config: Mapping[str, Any]) -> None:
        """What manifests say from now on: a new run is begun where it is another."""
        self._config = config

    def offer(self, outcome: Outcome, *, patience_s: float = 0.0) -> None:
        """Records it, if its prompt's id is of the sample. Blocks as `Background.offer` does; never raises."""
        if is_sampled(outcome.prompt.id, self._rate):
            self._background.offer(outcome, patience_s=patience_s)

    def close(self, seconds: float = 5.0) -> bool:
        """Writes what waits; whether it was all done within `seconds`. Blocks; may be called twice."""
        return self._background.close(seconds)

    def _append(self, outcome: Outcome) -> None:
        writer = self._current()
        try:
            writer.append(outcome)
        except OSError as e:
            # Part of a line may have been written: nothing may follow it.
            self._pause(e)
            self._finish()
            raise
        self._num_in_run += 1
        self.num_recorded += 1

    def _current(self) -> RunWriter:
        """Raises `OSError` while the disk is left alone."""
        now = self._clock()
        if now < self._paused_until:
            raise OSError(f"the disk refused a moment ago: {self._refusal}")
        config = self._config
        is_full = self._num_in_run >= self._rotate_outcomes or now - self._opened >= _ROTATE_S
        if is_full or config != self._written_under:
            self._finish()
        if self._writer is None:
            path = self._directory / run_name()
            try:
                self._writer = RunWriter(path, config)
            except OSError as e:
                self._pause(e)
                shutil.rmtree(path, ignore_errors=True)  # half of a run, which no command reads
                raise
            self._num_in_run, self._opened, self._written_under = 0, now, config
        return self._writer

    def _pause(self, error: OSError) -> None:
        """Leaves the disk alone for a while."""
        self._paused_until = self._clock() + _PAUSE_S
        self._refusal = str(error)

    def _finish(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as e:
                log.warning("the record %s may lack its last outcomes: %s", writer.path, e)


def is_sampled(id_: str, rate: float) -> bool:
    """Whether a request is of the sample: by its id, so that every replica says the same."""
    return int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8]) < rate * _HASHES


def run_name() -> str:
    """HOST-PID-TIME-RANDOM: containers share process numbers, and a restarted one the second too."""
    host = re.sub(r"[^A-Za-z0-9.]+", "-", socket.gethostname())[:64]
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{host}-{os.getpid()}-{now}-{secrets.token_hex(3)}"
