"""Stories: chains of operations, before they are written in a language, and their splits.

The splits are disjoint by structure: the hash of the numbers and operations decides the split, so a
held-out chain of numbers is never trained on in any language.
"""

import hashlib
import random
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

MAX_NUM_STEPS = 6
MIN_VALUE = 2
"""No count is ever 0 or 1, so no sentence needs a singular."""
MAX_VALUE = 999
NUM_NAMES = 4
NUM_OBJECTS = 8
_KIND_WEIGHTS = {"add": 3.0, "sub": 3.0, "mul": 2.0, "div": 2.0, "again": 0.7}
_NUM_STEPS_WEIGHTS = (1.0, 1.2, 1.2, 1.1, 1.0, 0.9)
_ASIDE_RATE = 0.3
_LARGE_RATE = 0.4
_SMALL_LIMIT, _LARGE_LIMIT = 20, 60
_VERY_LARGE_RATE = 0.3
_OPERATOR_BY_KIND = {"add": "+", "again": "+", "sub": "-", "mul": "×", "div": "÷"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of the running count; `number` is its operand, `variant` picks the sentence."""

    kind: str
    number: int
    variant: int


@dataclass(frozen=True, slots=True)
class Equation:
    """`left operator right = value`, as one line of a solution states it (it may be false in an attempt)."""

    left: int
    operator: str
    right: int
    value: int


@dataclass(frozen=True, slots=True)
class Story:
    """A problem before it is written in a language."""

    start: int
    operations: tuple[Operation, ...]
    name: int
    obj: int
    start_variant: int
    ask_variant: int
    aside: tuple[int, int, int] | None
    """An irrelevant sentence: (sentence variant, its number, its position)."""

    @property
    def structure(self) -> str:
        """The numbers and operations; stories that differ only in names and wording share it."""
        return f"{self.start}" + "".join(f" {operator}{number}" for operator, number in self.givens)

    @property
    def givens(self) -> tuple[tuple[str, int], ...]:
        """What a solver has to extract from the text, in order: operator and operand of each operation."""
        return tuple((_OPERATOR_BY_KIND[operation.kind], operation.number) for operation in self.operations)

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The true chain of equations; its last value is the answer."""
        chain: list[Equation] = []
        value = self.start
        for operation in self.operations:
            operator = _OPERATOR_BY_KIND[operation.kind]
            chain.append(
                Equation(value, operator, operation.number, calculate(value, operator, operation.number))
            )
            value = chain[-1].value
        return tuple(chain)


def calculate(left: int, operator: str, right: int) -> int:
    """The value of one equation; division rounds down (a true chain only divides exactly)."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "×":
        return left * right
    return left // right


def split_of(story: Story) -> Split:
    """The split a story belongs to: 5 % validation, 5 % test, by a hash of its structure."""
    bucket = int.from_bytes(hashlib.sha256(story.structure.encode()).digest()[:4], "big") % 20
    split_by_bucket: dict[int, Split] = {0: "validation", 1: "test"}
    return split_by_bucket.get(bucket, "train")


def draw_story(rng: random.Random, split: Split, max_num_steps: int = MAX_NUM_STEPS) -> Story:
    """Draw a story of the split by rejection."""
    while True:
        story = _draw_any_story(rng, max_num_steps)
        if split_of(story) == split:
            return story


def _draw_any_story(rng: random.Random, max_num_steps: int) -> Story:
    num_steps = rng.choices(range(1, max_num_steps + 1), _NUM_STEPS_WEIGHTS[:max_num_steps])[0]
    is_large = rng.random() < _LARGE_RATE
    limit = _SMALL_LIMIT
    if is_large:
        limit = _LARGE_LIMIT
    start = value = rng.randint(2, limit)
    operations: list[Operation] = []
    while len(operations) < num_steps:
        operation = _draw_operation(rng, start, value, is_large=is_large, is_first=not operations)
        if operation is None:
            continue
        new_value = calculate(value, _OPERATOR_BY_KIND[operation.kind], operation.number)
        if MIN_VALUE <= new_value <= MAX_VALUE:
            operations.append(operation)
            value = new_value

    has_aside = rng.random() < _ASIDE_RATE
    return Story(
        start=start,
        operations=tuple(operations),
        name=rng.randrange(NUM_NAMES),
        obj=rng.randrange(NUM_OBJECTS),
        start_variant=rng.randrange(2),
        ask_variant=rng.randrange(2),
        aside=(rng.randrange(2), rng.randint(2, 60), rng.randint(1, num_steps + 1)) if has_aside else None,
    )


def _draw_operation(
    rng: random.Random, start: int, value: int, *, is_large: bool, is_first: bool
) -> Operation | None:
    """One operation, or None where the drawn kind is impossible."""
    kind = rng.choices(tuple(_KIND_WEIGHTS), tuple(_KIND_WEIGHTS.values()))[0]
    variant = rng.randrange(4)
    if kind == "again":
        if is_first:
            return None
        return Operation(kind, start, variant)
    if kind == "mul":
        return Operation(kind, rng.randint(2, 9 if is_large else 5), variant)
    if kind == "div":
        divisors = [d for d in range(2, 10) if value % d == 0 and value > d]
        if not divisors:
            return None
        return Operation(kind, rng.choice(divisors), variant)
    limit = _SMALL_LIMIT
    if is_large:
        limit = _LARGE_LIMIT
        if rng.random() < _VERY_LARGE_RATE:
            limit = 3 * _LARGE_LIMIT
    return Operation(kind, rng.randint(2, limit), variant)
