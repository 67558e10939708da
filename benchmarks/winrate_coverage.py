"""Do the intervals of win-rates hold the truth as often as they say?

    OMP_NUM_THREADS=1 python benchmarks/winrate_coverage.py [--runs 400]

A simulated judge whose strength, position bias and love of length are known judges two systems (A the
better one) again and again, on new prompts each time; the truth is the same process on 400 000 prompts.
Coverage is the share of 95 % intervals that hold it: of the shipped interval (clusters of prompts), of the
same one with every prompt taken as independent, and of a bootstrap over single games, as Arena-Hard's
scripts do it.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

from nbest.arena.judged_games import Verdict
from nbest.arena.style_control import win_probability
from nbest.arena.winrate import win_rates
from nbest.judging.bradley_terry import bradley_terry
from nbest.judging.verdict_text import POINTS
from nbest.types import Message, Prompt

GRADES = np.array(["B>>A", "B>A", "A=B", "A>B", "A>>B"])
LANGUAGES = ("ar", "de", "en", "hi", "ja", "ru", "th", "zh", "fr", "ko", "pt", "tr")
BASE_LENGTH = 200


class World(NamedTuple):
    """How a judge sees two systems: log-odds that A's answer is the better one are
    gap + prompt + language + seat · position_bias + tanh(Δlength) · length_bias + logistic noise."""

    name: str
    clusters: int
    languages: int = 1
    gap: float = 0.4
    prompt_sd: float = 1.0
    """Of clusters: shared by the translations of a prompt."""
    language_sd: float = 0.5
    """Of one translation."""
    position_bias: float = 0.0
    length_bias: float = 0.0
    longer: float = 0.0
    """How much longer A's answers are on average, in standard deviations."""
    tie_below: float = 0.5
    """|log-odds| below this are a tie …"""
    much_above: float = 2.0
    """… and above this "much better"."""
    null_rate: float = 0.0


WORLDS = (
    World("fair judge", 100),
    World("few prompts", 20),
    World("position bias", 100, position_bias=1.5),
    World("strong system", 100, gap=3.0),
    World("8 translations of each prompt", 50, languages=8),
    World("12 translations, position bias", 40, languages=12, position_bias=1.5),
    World("a tenth of the games without verdict", 100, null_rate=0.1),
)


def simulate(world: World, seed: int) -> list[Verdict]:
    """Both games of every prompt."""
    rng = np.random.default_rng(seed)
    size = (world.clusters, world.languages)
    lengths = np.round(BASE_LENGTH + 40 * (rng.standard_normal(size) + world.longer)).clip(20).astype(int)
    grades = games(world, rng, (lengths - BASE_LENGTH) / 40)
    # As `length_feature` scales it, so that the coefficient is `length_bias` but for rounding.
    verdicts = []
    for c in range(world.clusters):
        for k in range(world.languages):
            language = LANGUAGES[k]
            texts = {"a": "x" * lengths[c, k], "b": "y" * BASE_LENGTH}
            for order, seats in enumerate((("a", "b"), ("b", "a"))):
                grade = None if rng.random() < world.null_rate else str(grades[order, c, k])
                shown = (texts[seats[0]], texts[seats[1]])
                verdicts.append(verdict(f"{c}-{language}", language, seats, shown, grade, c))
    return verdicts


def verdict(
    id_: str, language: str, seats: tuple[str, str], texts: tuple[str, str], grade: str | None, cluster: int
) -> Verdict:
    return Verdict(
        prompt=Prompt(id=id_, messages=(Message(role="user", content="?"),), language=language),
        systems=seats,
        texts=texts,
        grade=grade,
        problem=None if grade else "no verdict",
        is_asked=True,
        is_answered=True,
        gold={"cluster": cluster},
        usage={},
    )


def games(world: World, rng: np.random.Generator, longer: np.ndarray) -> np.ndarray:
    """Grades by seat, (2, clusters, languages): A first, then A second."""
    size = longer.shape
    prefers = world.gap + world.prompt_sd * rng.standard_normal((size[0], 1))
    prefers = prefers + world.language_sd * rng.standard_normal(size)
    scale = np.sqrt(np.mean(longer**2, axis=0)).clip(1e-9)
    return seated(world, rng, prefers + world.length_bias * np.tanh(longer / scale))


def seated(world: World, rng: np.random.Generator, prefers: np.ndarray) -> np.ndarray:
    """Grades of both games, given how much the judge prefers the first system."""
    seats = []
    for sign in (1, -1):
        x = sign * prefers + world.position_bias + rng.logistic(size=prefers.shape)
        level = (np.abs(x) >= world.tie_below).astype(int) + (np.abs(x) >= world.much_above)
        seats.append(GRADES[2 + np.sign(x).astype(int) * level])
    return np.array(seats)


def truth(world: World, *, num: int = 400_000) -> float:
    """A's share of the points in the long run, at the lengths of `world`."""
    rng = np.random.default_rng(12345)
    longer = rng.standard_normal((num, 1)) + world.longer
    return share_of_points(games(world, rng, longer))


def share_of_points(grades: np.ndarray) -> float:
    """Of the system that is first in `grades[0]` and second in `grades[1]`."""
    won = points(grades[0], 0).sum() + points(grades[1], 1).sum()
    lost = points(grades[0], 1).sum() + points(grades[1], 0).sum()
    return float(won / (won + lost))


def points(grades: np.ndarray, seat: int) -> np.ndarray:
    table = np.array([POINTS[g][seat] for g in GRADES])
    order = {g: i for i, g in enumerate(GRADES)}
    return table[np.vectorize(order.__getitem__, otypes=[int])(grades)]


def per_game_interval(verdicts: list[Verdict], seed: int) -> tuple[float, float]:
    """Percentiles over resampled points, `>>` being three of them: what Arena-Hard's scripts do."""
    won, lost = [], []
    for v in verdicts:
        if v.grade is None:
            continue
        of_first, of_second = POINTS[v.grade]
        ours, theirs = (of_first, of_second) if v.systems[0] == "a" else (of_second, of_first)
        repeat = int(max(1, ours + theirs))
        won += [ours / repeat] * repeat
        lost += [theirs / repeat] * repeat
    scores = np.array(won) / (np.array(won) + np.array(lost))
    rows = np.random.default_rng(seed).integers(scores.size, size=(1000, scores.size))
    low, high = np.quantile(scores[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def several(*, runs: int, clusters: int = 60, languages: int = 4) -> None:
    """Three systems, all against all: coverage of the Bradley–Terry win-rates against the weakest."""
    gaps, names = np.array([0.0, 0.5, 1.0]), ("a", "b", "c")
    pairs = [(0, 1), (0, 2), (1, 2)]

    def play(rng: np.random.Generator, size: tuple[int, int]) -> dict[tuple[int, int], np.ndarray]:
        quality = gaps + rng.standard_normal((size[0], 1, 3)) + 0.5 * rng.standard_normal((*size, 3))
        world = World("", 0, position_bias=0.5)
        return {(i, j): seated(world, rng, quality[..., i] - quality[..., j]) for i, j in pairs}

    won = np.zeros((3, 3))
    for (i, j), grades in play(np.random.default_rng(9), (200_000, 1)).items():
        won[i, j] = share_of_points(grades)
        won[j, i] = 1 - won[i, j]
    theta = bradley_terry(won, prior=0)
    hits, widths = np.zeros(2), []
    for seed in range(runs):
        verdicts = []
        for (i, j), grades in play(np.random.default_rng(seed), (clusters, languages)).items():
            for order, seats in enumerate(((names[i], names[j]), (names[j], names[i]))):
                verdicts += [
                    verdict(f"{c}-{k}", LANGUAGES[k], seats, ("x", "y"), str(grades[order, c, k]), c)
                    for c in range(clusters)
                    for k in range(languages)
                ]
        found = win_rates(verdicts, baseline="a", seed=seed).systems[1:]
        for k, row in enumerate(found):
            true = float(win_probability(theta, k + 1, 0))
            hits[k] += row.bradley_terry.low <= true <= row.bradley_terry.high
            widths.append(row.bradley_terry.high - row.bradley_terry.low)
    print(
        f"\nBradley–Terry, three systems, {clusters} × {languages}: intervals of width {100 * np.mean(widths):.1f} hold the"
        f" truth in {100 * hits[0] / runs:.1f} % and {100 * hits[1] / runs:.1f} %"
    )


class Coverage(NamedTuple):
    bias: float
    width: float
    clusters: float
    prompts: float
    games: float


def coverage(world: World, *, runs: int, resamples: int = 1000) -> Coverage:
    """Over `runs` simulated evaluations."""
    true = truth(world)
    hits = np.zeros(3)
    errors, widths = [], []
    for seed in range(runs):
        verdicts = simulate(world, seed)
        found = win_rates(verdicts, baseline="b", resamples=resamples, seed=seed).systems[0].win_rate
        alone = [v._replace(gold={}) for v in verdicts]
        naive = win_rates(alone, baseline="b", resamples=resamples, seed=seed).systems[0].win_rate
        low, high = per_game_interval(verdicts, seed)
        hits += [found.low <= true <= found.high, naive.low <= true <= naive.high, low <= true <= high]
        errors.append(found.value - true)
        widths.append(found.high - found.low)
    return Coverage(float(np.mean(errors)), float(np.mean(widths)), *(hits / runs).tolist())


def length_control(*, runs: int) -> None:
    """A judge that loves length, systems that differ in length: what is found with and without control."""
    print(
        "\n| A longer by, sd | judge's love of length | win-rate | at equal length | truth at equal length | coverage |"
    )
    print("|---|---|---|---|---|---|")
    for longer, bias in ((0.0, 1.5), (0.5, 1.5), (1.0, 1.5), (1.0, 0.0), (-1.0, 1.5)):
        # Verdicts of two grades and no differences between prompts: exactly the model that is fitted.
        world = World(
            "length", 300, gap=0.4, prompt_sd=0, language_sd=0, length_bias=bias, longer=longer,
            tie_below=0, much_above=np.inf,
        )  # fmt: skip
        mixed = world._replace(prompt_sd=1.0, tie_below=0.5, much_above=2.0, position_bias=0.5)
        for label, w in (("", world), (", prompts differ, five grades, position bias", mixed)):
            true = truth(w._replace(length_bias=0.0))
            found = [
                win_rates(simulate(w, s), baseline="b", resamples=300, seed=s).systems[0] for s in range(runs)
            ]
            hit = np.mean([f.length_controlled.low <= true <= f.length_controlled.high for f in found])
            print(
                f"| {longer:+.1f} | {bias:.1f}{label} | {100 * np.mean([f.win_rate.value for f in found]):.1f}"
                f" | {100 * np.mean([f.length_controlled.value for f in found]):.1f} | {100 * true:.1f} | {100 * hit:.0f} % |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=400)
    a = parser.parse_args()
    print(
        "| judge and prompts | clusters × languages | truth | bias | mean width | clusters | prompts | games |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for world in WORLDS:
        c = coverage(world, runs=a.runs)
        print(
            f"| {world.name} | {world.clusters} × {world.languages} | {100 * truth(world):.1f} | {100 * c.bias:+.2f}"
            f" | {100 * c.width:.1f} | **{100 * c.clusters:.1f} %** | {100 * c.prompts:.1f} % | {100 * c.games:.1f} % |",
            flush=True,
        )
    several(runs=a.runs)
    length_control(runs=max(20, a.runs // 4))


if __name__ == "__main__":
    main()
