"""What a judge may answer: the options of a verdict, and how one is read from a reply. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast

from nbest.judging.verdict_text import POINTS, Grade, choice, grade
from nbest.types import Json

V = TypeVar("V")

_ASSESSMENT: Final = "assessment"
_VERDICT: Final = "verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictForm(Generic[V]):
    """The options of a verdict, and the reader of a reply that ends with one of them."""

    parse: Callable[[str], V]
    """Reads the verdict of a reply. Raises `NoVerdictError` where it has none."""
    verdict_by_option: Mapping[str, V]
    """Each option as templates ask for it (what stands in the double square brackets); empty for free text."""

    def read(self, reply: str) -> V:
        """The verdict of a reply, be it text or the JSON that `response_format` asks for.

        Raises `NoVerdictError` where there is none.
        """
        verdict = self._structured(reply)
        return self.parse(reply) if verdict is None else verdict

    def response_format(self, *, has_assessment: bool) -> Json:
        """OpenAI's `response_format` for a JSON object that ends with one of the options.

        vLLM, SGLang and llama.cpp make a grammar of it. The assessment comes first, so that a judge reasons
        before it decides.
        """
        properties: dict[str, Json] = {_ASSESSMENT: {"type": "string"}} if has_assessment else {}
        properties[_VERDICT] = {"type": "string", "enum": list(self.verdict_by_option)}
        schema = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        return {
            "type": "json_schema",
            "json_schema": {"name": _VERDICT, "strict": True, "schema": schema},
        }

    def _structured(self, reply: str) -> V | None:
        """The verdict of a reply that is nothing but our JSON object; None for any other reply."""
        try:
            value: Any = json.loads(reply)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        fields = cast("dict[str, Any]", value)
        if not fields.keys() <= {_ASSESSMENT, _VERDICT}:
            return None
        return self.verdict_by_option.get(str(fields.get(_VERDICT)))


def numbers(count: int, *, least: int = 1) -> VerdictForm[int]:
    """One whole number from `least` to `count`."""
    return VerdictForm(
        parse=partial(choice, count=count, least=least),
        verdict_by_option={str(n): n for n in range(least, count + 1)},
    )


GRADES: Final[VerdictForm[Grade]] = VerdictForm(parse=grade, verdict_by_option={g: g for g in POINTS})
"""How a pair compares."""

FREE_TEXT: Final[VerdictForm[str]] = VerdictForm(parse=str, verdict_by_option={})
"""Whatever the model writes."""
