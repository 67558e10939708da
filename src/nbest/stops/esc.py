"""Early-stopping self-consistency: stop at the first unanimous window of draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nbest.plan.features import Features


@dataclass(frozen=True, slots=True, kw_only=True)
class Esc:
    """Stops after the first window of draws that all have the same answer (Li et al. 2024, arXiv 2401.10480).

    Windows stand one behind the other: draws 1 … window, window + 1 … 2·window, and so on. A draw without an answer
    agrees with none.
    """

    is_open_to_clients: ClassVar[bool] = True

    window: int = 5

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window must be at least 1, got {self.window}")

    def __call__(self, features: Features) -> bool:
        num_windows = features.n // self.window
        windows = [features.classes[i * self.window : (i + 1) * self.window] for i in range(num_windows)]
        return any(window[0] is not None and len(set(window)) == 1 for window in windows)
