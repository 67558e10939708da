"""`nbest`: better answers from any language model, in any language, by spending compute at inference time.

import nbest

outcome = nbest.ask("…", engine="openai:http://localhost:8000/v1", strategy="parallel(selector=vote)")
outcome.text
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from nbest.context import Context
    from nbest.errors import EngineError, NbestError, SelectionError
    from nbest.protocols import (
        Capabilities,
        Engine,
        Sampler,
        Scorer,
        Search,
        Selector,
        Stop,
        Strategy,
        Task,
        Utility,
    )
    from nbest.session import Session, SyncSession, ask, ask_async
    from nbest.types import (
        Budget,
        Candidate,
        Completion,
        Logprobs,
        Message,
        Outcome,
        Prompt,
        Request,
        SamplingParams,
        Score,
        Selection,
        Usage,
    )

__version__ = "0.1.0.dev0"

__all__ = [
    "Budget",
    "Candidate",
    "Capabilities",
    "Completion",
    "Context",
    "Engine",
    "EngineError",
    "Logprobs",
    "Message",
    "NbestError",
    "Outcome",
    "Prompt",
    "Request",
    "Sampler",
    "SamplingParams",
    "Score",
    "Scorer",
    "Search",
    "Selection",
    "SelectionError",
    "Selector",
    "Session",
    "Stop",
    "Strategy",
    "SyncSession",
    "Task",
    "Usage",
    "Utility",
    "ask",
    "ask_async",
]

_HOME = {
    **dict.fromkeys(("Session", "SyncSession", "ask", "ask_async"), "nbest.session"),
    "Context": "nbest.context",
    **dict.fromkeys(("EngineError", "NbestError", "SelectionError"), "nbest.errors"),
    **dict.fromkeys(
        (
            "Capabilities",
            "Engine",
            "Sampler",
            "Scorer",
            "Search",
            "Selector",
            "Stop",
            "Strategy",
            "Task",
            "Utility",
        ),
        "nbest.protocols",
    ),
}
_OLDER_NAMES = {"solve": "ask", "asolve": "ask_async"}


def __getattr__(name: str) -> object:
    """Public names load at first use, so that the command line starts fast."""
    name = _OLDER_NAMES.get(name, name)
    if name not in __all__:
        raise AttributeError(f"module 'nbest' has no attribute {name!r}")
    return getattr(_import_module(_HOME.get(name, "nbest.types")), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
