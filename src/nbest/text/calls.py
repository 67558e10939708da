"""Tool calls as answers: compared by name and canonical arguments."""

from __future__ import annotations

import msgspec

from nbest.text.json_data import canonical_json
from nbest.types import Candidate, ToolCall


def canonical(call: ToolCall) -> str:
    """`name({"a": 1})` with keys sorted and numbers as JSON means them: 1.0 is 1.

    Arguments that are no JSON stay as they are.
    """
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return f"{call.name}({call.arguments.strip()})"
    return f"{call.name}({canonical_json(arguments)})"


def calls_key(candidate: Candidate) -> str | None:
    """What names the candidate's class among those that call tools, in whatever order; None without calls."""
    if not candidate.tool_calls:
        return None
    return "\n".join(sorted(map(canonical, candidate.tool_calls)))


def said(candidate: Candidate) -> str:
    """What a candidate says, its calls included, for whoever reads or compares candidates."""
    if not candidate.tool_calls:
        return candidate.text
    return "\n".join(filter(None, (candidate.text.strip(), *map(canonical, candidate.tool_calls))))
