"""The same prompt in several runs: told by what it asks, not by its line number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from nbest.errors import InputError
from nbest.types import Prompt


def content_of(prompt: Prompt) -> bytes:
    """A digest of the conversation: equal for equal messages, on every machine."""
    return blake2b(msgspec.json.encode(prompt.messages), digest_size=16).digest()


class PromptIndex:
    """Numbers the prompts of several runs from 0; prompts that ask the same have one number.

    Of prompts that ask the same, those with the same id belong together. Where ids differ (a file of which
    lines were added, removed or sorted, with line numbers as ids), prompts are paired if each run has just one
    that asks this; among several it cannot be told which is which.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        """The id of each number, in the run that had the prompt first."""
        self._number_by_id: dict[str, int] = {}
        self._numbers_by_content: dict[bytes, list[int]] = {}

    def add(self, run: str, content_by_id: Mapping[str, bytes]) -> dict[str, int]:
        """Numbers of a run's prompts, by their ids there.

        Raises `InputError` where an id of an earlier run stands for a prompt that no earlier run has asked.
        """
        num_asked = Counter(content_by_id.values())
        known = {
            id_: self._known(id_, content, is_sole=num_asked[content] == 1)
            for id_, content in content_by_id.items()
        }
        numbers = {id_: number for id_, number in known.items() if number is not None}
        new = [id_ for id_ in content_by_id if id_ not in numbers]
        return numbers | {id_: self._added(run, id_, content_by_id[id_]) for id_ in new}

    def _known(self, id_: str, content: bytes, *, is_sole: bool) -> int | None:
        numbers = self._numbers_by_content.get(content, [])
        of_same_id = self._number_by_id.get(id_)
        if of_same_id in numbers:
            return of_same_id
        if is_sole and len(numbers) == 1:
            return numbers[0]
        return None

    def _added(self, run: str, id_: str, content: bytes) -> int:
        if id_ in self._number_by_id:
            raise InputError(
                f"{run} and an earlier run have different prompts under id {id_!r}: their rows were changed,"
                " or other rows were numbered; give rows an `id`"
            )
        number = len(self.ids)
        self.ids.append(id_)
        self._number_by_id[id_] = number
        self._numbers_by_content.setdefault(content, []).append(number)
        return number


def contents_of(prompts: Iterable[Prompt]) -> dict[str, bytes]:
    """Id → content, in order."""
    return {prompt.id: content_of(prompt) for prompt in prompts}
