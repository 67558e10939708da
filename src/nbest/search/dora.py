"""Direction-oriented resource allocation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, fsum
from typing import ClassVar

from nbest.protocols import Utility
from nbest.search.machine import Batch, Node
from nbest.search.rebase import Rebase
from nbest.utilities.edit import Edit


@dataclass(frozen=True, slots=True, kw_only=True)
class Dora(Rebase):
    """Direction-oriented resource allocation (Wang et al. 2025, arXiv 2506.15707).

    REBASE, with a correction for steps that say the same in other words, which would get a share each:

    P_ij = exp(S_ij / T_s) / Σ_k exp(S_ik / T_s)     soft clusters, of the similarities S of all new steps
    γ_i = P_ii                                       uniqueness of step i
    W_i ∝ γ_i · count_i · exp(R_i / T)

    Where all steps are equally unlike, it is REBASE. The paper takes cosines of embeddings:
    `similarity=embedding(…)`. By default it is edit similarity, which needs no model and no language, and compares
    the wording alone.
    """

    is_open_to_clients: ClassVar[bool] = True

    similarity: Utility = field(default_factory=Edit)  # pyright: ignore[reportIncompatibleMethodOverride]
    """S, between the last steps of a round, 0–1."""
    spread: float = 0.01
    """T_s, in the unit of S: steps that differ by much more are different directions."""

    def __post_init__(self) -> None:
        Rebase.__post_init__(self)
        if not self.spread > 0:
            raise ValueError(f"spread must be above 0, got {self.spread}")

    def weights(self, nodes: Sequence[Node], batch: Batch) -> list[float]:
        shares = Rebase.weights(self, nodes, batch)
        uniqueness = [self._uniqueness(node, nodes, batch) for node in nodes]
        return [gamma * share for gamma, share in zip(uniqueness, shares, strict=True)]

    def _uniqueness(self, node: Node, nodes: Sequence[Node], batch: Batch) -> float:
        """γ: 1 for a step unlike all others, 1/m for each of m that are the same."""

        def likeness(other: Node) -> float:
            unknown = float(node is other)
            return batch.likeness.get((node.id, other.id), unknown)

        own = likeness(node)
        return 1 / fsum(other.count * exp((likeness(other) - own) / self.spread) for other in nodes)
