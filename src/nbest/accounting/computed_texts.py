"""Which texts one outcome has had computed: what an engine's cache of prefixes can save it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from nbest.types import Completion, Prompt, Request, Usage

_models_with_cache: Final[set[str]] = set()
"""Engines and models that have reported tokens from a cache in this process."""


class CallCosts(NamedTuple):
    """What is known of calls beside their usage; as in `Spent`."""

    reused: int
    context: int

    def __add__(self, other: object) -> CallCosts:
        assert isinstance(other, CallCosts)
        return CallCosts(self.reused + other.reused, self.context + other.context)


_NONE: Final = CallCosts(0, 0)


class _Computed(NamedTuple):
    prompt: Prompt
    """Held, so that its identity stays its own."""
    flat: str
    num_tokens_by_text: dict[str, int]
    """Text after the prompt (prefix and completion) → tokens of prompt and text together."""
    unread: list[tuple[str, int, Sequence[Completion]]]
    """Prefix, tokens of prompt and prefix, and completions of calls that are not in `num_tokens_by_text` yet: most
    outcomes never ask for them."""

    def read(self) -> dict[str, int]:
        """`num_tokens_by_text` of all calls."""
        for prefix, num_prompt, completions in self.unread:
            self.num_tokens_by_text.setdefault(prefix, num_prompt)
            for c in completions:
                # The last token that was drawn has not been read.
                num_tokens = num_prompt + max(0, c.usage.completion - 1)
                self.num_tokens_by_text.setdefault(prefix + c.text, num_tokens)
        self.unread.clear()
        return self.num_tokens_by_text


class ComputedTexts:
    """Remembers what was computed for one prompt's outcome, by engine and model.

    What a server reports as cached depends on what else it has computed, and on which of its slots were free. So a
    cost credits what this outcome itself had computed before, as a cache that forgets nothing would: the same texts
    cost the same in every run. Nothing is credited for engines that have never reported a token from a cache.
    """

    def __init__(self) -> None:
        self._by_prompt: dict[tuple[str, int], _Computed] = {}
        self._pending: dict[str, CallCosts] = {}
        """By model: to be added once it is known that the engine has a cache."""

    def count(self, request: Request, completions: Sequence[Completion], model: str) -> CallCosts:
        """Of one or more calls that returned. What they computed is remembered."""
        heads: list[int] = []
        for place, completion in enumerate(completions):
            if completion.usage.prompt:
                heads.append(place)
                if completion.usage.cached:
                    _models_with_cache.add(model)

        # In plain numbers: this runs for each call of each request.
        context = num_reused = context_reused = 0
        for head, end in pairwise([*heads, len(completions)]):
            num_prompt = completions[head].usage.prompt
            num_known = min(self._num_known(request, num_prompt, model), num_prompt - 1)
            context += _context(num_prompt, [c.usage.completion for c in completions[head:end]])
            num_reused += num_known
            context_reused += num_known * (num_known + 1) // 2
            self._remember(request, completions[head:end], num_prompt, model)

        earlier = self._pending.pop(model, _NONE)
        saved = CallCosts(num_reused + earlier.reused, earlier.context - context_reused)
        if model in _models_with_cache:
            return CallCosts(saved.reused, context + saved.context)
        self._pending[model] = saved
        return CallCosts(0, context)

    def count_cut(self, request: Request, usage: Usage, model: str) -> CallCosts:
        """Of a call that was cut, whose prompt is only known to have been computed where `num_prompt` knows it."""
        context = _context(usage.prompt, [usage.completion])
        if self.num_prompt(request, model) is None or model not in _models_with_cache:
            return CallCosts(0, context)
        num_known = max(0, usage.prompt - 1)
        return CallCosts(num_known, context - num_known * (num_known + 1) // 2)

    def num_prompt(self, request: Request, model: str) -> int | None:
        """Tokens of the request's prompt and prefix, where a call with the same ones has returned."""
        computed = self._by_prompt.get((model, id(request.prompt)))
        return None if computed is None else computed.read().get(request.prefix)

    def _remember(
        self, request: Request, completions: Sequence[Completion], num_prompt: int, model: str
    ) -> None:
        key = (model, id(request.prompt))
        if key not in self._by_prompt:
            self._by_prompt[key] = _Computed(request.prompt, _flat(request.prompt), {}, [])
        self._by_prompt[key].unread.append((request.prefix, num_prompt, completions))

    def _num_known(self, request: Request, num_prompt: int, model: str) -> int:
        """The most tokens of the prompt and prefix that this outcome had computed before."""
        if not self._by_prompt:
            return 0
        num_known = 0
        own = self._by_prompt.get((model, id(request.prompt)))
        if own is not None:
            if not request.prefix:
                return num_prompt
            for text, num_tokens in own.read().items():
                if text.startswith(request.prefix):
                    return num_prompt
                if request.prefix.startswith(text):
                    num_known = max(num_known, num_tokens)
        if num_known:
            return min(num_known, num_prompt)
        return self._num_shared(request, num_prompt, model)

    def _num_shared(self, request: Request, num_prompt: int, model: str) -> int:
        """Of a conversation that shares its beginning with others: by the share of characters.

        For two conversations it is the same whichever comes first, up to rounding.
        """
        flat = _flat(request.prompt) + request.prefix
        num_shared = 0
        for (other_model, _), computed in self._by_prompt.items():
            if other_model != model:
                continue
            num_flat = _num_common(flat, computed.flat)
            for text, num_tokens in computed.read().items():
                num_chars = num_flat
                if num_chars == len(computed.flat):
                    num_chars += _num_common(flat[num_chars:], text)
                of_this = num_prompt * num_chars // len(flat)
                of_other = num_tokens * num_chars // (len(computed.flat) + len(text))
                num_shared = max(num_shared, min(of_this, of_other))
        return num_shared


def _context(num_prompt: int, num_drawn: Sequence[int]) -> int:
    """Tokens attended to by all tokens of a call: those of the prompt, and of each draw."""
    num_attended = num_prompt * (num_prompt + 1) // 2
    for num in num_drawn:
        num_attended += num * num_prompt + num * (num + 1) // 2
    return num_attended


def _flat(prompt: Prompt) -> str:
    """A conversation as one text that ends where its answer begins."""
    turns = [f"\0{m.role}\0{m.content}" for m in prompt.messages]
    return "".join(turns) + "\0assistant\0"


def _num_common(a: str, b: str) -> int:
    """Characters that two texts have in common at their beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a.startswith(b[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
