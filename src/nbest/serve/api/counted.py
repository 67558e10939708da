"""Names under which servers take n and `max_tokens` as well. What they ask for would be drawn, and not counted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from nbest.serve.api.bad_request import invalid
from nbest.types import Json

_DRAWS = re.compile(
    r"(?:n|num|number(?:of)?)"
    r"(?:best|cmpls?|completions?|choices?|candidates?|(?:return|output)?sequences|samples?|generations?|outputs?"
    r"|responses?|results?|parallel|predictions?|beams?|groups?)"
    r"|bestof|candidatecount|samplecount|beam(?:width|size)|usebeamsearch"
)
"""How many texts are drawn for one: llama.cpp, vLLM, SGLang, TGI, Gemini, Ollama, transformers."""
_TOKENS = re.compile(
    r"(?:n|num)predict|max(?:new|output|completion|gen|generated)?tokens(?:tosample)?|max(?:new|gen)?len(?:gth)?"
)
_NOT_LETTERS = re.compile(r"[^a-z0-9]+")
_WRAPPERS = frozenset(
    {"extrabody", "options", "parameters", "params", "samplingparams", "generationconfig", "vllmxargs"}
)
"""Keys whose values are parameters again."""
_ONE = (None, False, 1)


def check_counted(body: Mapping[str, Json], at: str = "") -> None:
    """Raises `BadRequestError` for a key of `body` by which an engine would draw more, or longer texts."""
    for key, value in body.items():
        name = _NOT_LETTERS.sub("", key.lower())
        if (_DRAWS.fullmatch(name) or (at and name == "n")) and value not in _ONE:
            raise invalid(at + key, 'is not supported: say "nbest": {"n": …} to choose from more answers')
        if _TOKENS.fullmatch(name) and value is not None:
            raise invalid(at + key, "is not supported: say max_tokens, or max_output_tokens to /v1/responses")
        if name in _WRAPPERS and isinstance(value, Mapping):
            check_counted(cast("Mapping[str, Json]", value), f"{at}{key}.")
