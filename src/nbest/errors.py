"""Everything `nbest` raises on purpose.

    NbestError                 any of the below; the command line prints it in one line and exits with 2
    ├── SpecError              a name or parameter in "name(key=value)" is not known or does not fit
    ├── InputError             a file, a line of a file or an argument cannot be used as given
    ├── RecordsError           a run directory is in use, damaged, or was made under another configuration
    ├── MissingExtraError      an optional dependency is not installed
    ├── CapabilityError        the engine or the recorded pool lacks something that the method needs
    │   └── MissingEngineError it needs an engine that is not given
    ├── SelectionError         no candidate of the pool can be chosen
    └── EngineError            a model did not answer; `is_transient` tells whether trying again may help
        ├── EngineTimeoutError it did not answer in time
        ├── EngineHttpError    it answered with an error status
        ├── EngineProtocolError it answered with something that is no answer
        └── UnreachableError   nobody answers at that address
            └── UnavailableError  it failed too often of late, and is not asked before its cool-down ends

Every message says what was asked, what is known, and what to do. A failed candidate is data
(`Candidate.error`) and a failed prompt is an `Outcome`: neither raises.
"""


class NbestError(Exception):
    """Base of the tree."""


class SpecError(NbestError):
    """A name or parameter of a spec is not known or does not fit."""


class InputError(NbestError):
    """A file, a line of a file or an argument cannot be used as given."""


class RecordsError(NbestError):
    """A run directory is in use, damaged, or was made under another configuration."""


class MissingExtraError(NbestError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: run  pip install 'nbest[{extra}]'")


class CapabilityError(NbestError):
    """The engine or the recorded pool lacks something that the method needs."""


class MissingEngineError(CapabilityError):
    """The method needs an engine that is not given."""

    def __init__(self, message: str, *, name: str | None) -> None:
        super().__init__(message)
        self.name = name
        """What the engine would have to be called; None where any would do."""


class SelectionError(NbestError):
    """No candidate of the pool can be chosen."""


class EngineError(NbestError):
    """A model did not answer, or with something that cannot be used."""

    is_transient = False
    """Whether the same call may succeed when tried again."""
    is_about_the_text = False
    """Whether a server refuses this one text, and may take others."""
    causes: tuple["EngineError", ...] = ()
    """One per engine, where several were asked in turn (failover)."""


class EngineTimeoutError(EngineError):
    """A model did not answer in time."""

    is_transient = True


REFUSED = frozenset({400, 413, 422})
"""Statuses by which a server refuses one text, such as one that is too long; it may take others."""


class EngineHttpError(EngineError):
    """A server answered with an error status."""

    def __init__(self, message: str, *, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def is_transient(self) -> bool:  # type: ignore[override]
        """Too many requests, time-outs and server faults pass; a refused request does not."""
        return self.status in {408, 409, 425, 429} or self.status >= 500  # noqa: PLR2004

    @property
    def is_about_the_text(self) -> bool:  # type: ignore[override]
        return self.status in REFUSED


class EngineProtocolError(EngineError):
    """A server answered with something that is no answer."""

    is_transient = True


class UnreachableError(EngineError):
    """Nobody answers at that address."""

    is_transient = True


class UnavailableError(UnreachableError):
    """It failed too often of late, and is not asked before its cool-down ends."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
