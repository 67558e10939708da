"""Early-stopping self-consistency: stop at the first unanimous window of draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nbest.plan.features import Features
from nbest.plan.trajectories import Bools, Trajectories


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

    def stops_on(self, trajectories: Trajectories, mean_length: float | None) -> Bools:
        """The rule after each draw of each trajectory."""
        classes_TK = trajectories.classes_TK
        stops_TK = np.zeros(classes_TK.shape, dtype=np.bool_)
        for end in range(self.window, classes_TK.shape[1] + 1, self.window):
            window = classes_TK[:, end - self.window : end]
            is_unanimous_T = (window[:, 0] >= 0) & (window == window[:, :1]).all(axis=1)
            stops_TK[:, end - 1 :] |= is_unanimous_T[:, None]
        return stops_TK
