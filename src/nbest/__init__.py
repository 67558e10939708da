"""`nbest`: better answers from any language model, in any language, by spending compute at inference time.

import nbest

outcome = nbest.solve("…", engine="openai:http://localhost:8000/v1", strategy="parallel(selector=vote)")
outcome.text
"""

__version__ = "0.1.0.dev0"

from nbest.errors import NbestError
from nbest.session import Session, SyncSession, asolve, solve
from nbest.types import (
    Budget,
    Candidate,
    Completion,
    Message,
    Outcome,
    Prompt,
    Request,
    SamplingParams,
    Score,
    Selection,
    Usage,
)

__all__ = [
    "Budget",
    "Candidate",
    "Completion",
    "Message",
    "NbestError",
    "Outcome",
    "Prompt",
    "Request",
    "SamplingParams",
    "Score",
    "Selection",
    "Session",
    "SyncSession",
    "Usage",
    "asolve",
    "solve",
]
