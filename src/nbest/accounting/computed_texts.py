"""Which texts one outcome has had computed: the part of an engine's cache that it has paid for itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from nbest.types import Completion, Prompt, Request, Usage, replace


class _Computed(NamedTuple):
    prompt: Prompt
    """Held, so that its identity stays its own."""
    num_tokens_by_text: dict[str, int]
    """Text after the prompt (prefix and completion) → tokens of prompt and text together."""


class ComputedTexts:
    """Remembers what was computed for one prompt's outcome, by engine and model.

    A server reports as cached whatever it finds, also what other prompts or an earlier run had computed. Only what
    this outcome computed is credited, so the rest is marked as `Usage.preloaded`.
    """

    def __init__(self) -> None:
        self._by_prompt: dict[tuple[str, int], _Computed] = {}

    def counted(
        self, request: Request, completions: Sequence[Completion], model: str
    ) -> tuple[list[Completion], int]:
        """`completions` of one or more calls, with `Usage.preloaded`, and their sum for `Spent.context`.

        What they computed is remembered.
        """
        counted = list(completions)
        context = 0
        heads = [i for i, c in enumerate(counted) if c.usage.prompt]
        for head, end in pairwise([*heads, len(counted)]):
            usage = counted[head].usage
            if usage.cached:
                num_own = self._num_known(request, usage.prompt, model)
                usage = replace(usage, preloaded=max(0, usage.cached - num_own))
                counted[head] = replace(counted[head], usage=usage)
            context += _context(usage, [c.usage.completion for c in counted[head:end]])
            self._remember(request, counted[head:end], usage.prompt, model)
        return counted, context

    def num_prompt(self, request: Request, model: str) -> int | None:
        """Tokens of the request's prompt and prefix, where a call with the same ones has returned."""
        computed = self._by_prompt.get((model, id(request.prompt)))
        return None if computed is None else computed.num_tokens_by_text.get(request.prefix)

    def _remember(
        self, request: Request, completions: Sequence[Completion], num_prompt: int, model: str
    ) -> None:
        key = (model, id(request.prompt))
        if key not in self._by_prompt:
            self._by_prompt[key] = _Computed(request.prompt, {})
        num_tokens_by_text = self._by_prompt[key].num_tokens_by_text
        num_tokens_by_text.setdefault(request.prefix, num_prompt)
        for c in completions:
            num_tokens_by_text[request.prefix + c.text] = num_prompt + c.usage.completion

    def _num_known(self, request: Request, num_prompt: int, model: str) -> int:
        """The most tokens of the prompt and prefix that this outcome had computed before."""
        num_known = 0
        own = self._by_prompt.get((model, id(request.prompt)))
        if own is not None:
            for text, num_tokens in own.num_tokens_by_text.items():
                if text.startswith(request.prefix):
                    return num_prompt
                if request.prefix.startswith(text):
                    num_known = max(num_known, num_tokens)
        if num_known:
            return min(num_known, num_prompt)
        return self._num_shared(request, num_prompt, model)

    def _num_shared(self, request: Request, num_prompt: int, model: str) -> int:
        """Of a conversation that shares its beginning with others: by the share of characters."""
        flat = _flat(request.prompt) + request.prefix
        longest = 0
        for (other_model, _), computed in self._by_prompt.items():
            if other_model != model:
                continue
            beginning = _flat(computed.prompt)
            num_chars = _num_common(flat, beginning)
            if num_chars == len(beginning):
                rests = computed.num_tokens_by_text
                num_chars += max(_num_common(flat[num_chars:], rest) for rest in rests)
            longest = max(longest, num_chars)
        return num_prompt * longest // max(1, len(flat))


def _context(usage: Usage, num_drawn: Sequence[int]) -> int:
    """Tokens attended to by all computed ones: of the prompt behind its credited part, and of each draw."""
    num_prompt, num_credited = usage.prompt, usage.cached - usage.preloaded
    of_prompt = (num_prompt * (num_prompt + 1) - num_credited * (num_credited + 1)) // 2
    of_draws = sum(num * num_prompt + num * (num + 1) // 2 for num in num_drawn)
    return of_prompt + of_draws


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
