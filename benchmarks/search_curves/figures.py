"""The figures of the page."""

from collections.abc import Sequence

from measure import BLOCKS, VERIFIERS
from plan import ABMCTS, AUCS, BEAM, DIFFERENT, DORA, DVTS, LOOKAHEAD, PARTICLES, REBASE, SQUARE
from tables import QUINTILES, SCALE, Results, title

from nbest.evaluate.confidence import Estimate
from nbest.report.curves import Curve, Panel, Point, curves
from nbest.report.svg import Svg
from nbest.report.table import count

PERCENT = SCALE.__class__(decimals=1, unit="%")
SHOWN = (DIFFERENT, BEAM, DVTS, REBASE, PARTICLES)
OTHERS = (BEAM, SQUARE, LOOKAHEAD, DORA, ABMCTS)
"""With the baselines as many curves as there are colours."""


def drawn(results: Results) -> dict[str, Svg]:
    """File name → drawing."""
    found = {f"search-{by}.svg": by_cost(results, by, SHOWN) for by in VERIFIERS if results.by_verifier[by]}
    others = {f"search-{by}-others.svg": by_cost(results, by, OTHERS) for by in map(str, AUCS)}
    return {
        **found,
        **others,
        "search-quintiles.svg": by_quintile(results),
        "search-gain.svg": gains(results),
    }


def by_cost(results: Results, by: str, shown: Sequence[str]) -> Svg:
    """Accuracy against measured tokens under one verifier, on all prompts."""
    study = results.study

    def point(name, n, result, gain=None):
        """Its whisker is the interval of the paired difference from best-of-n weighted at the same n."""
        value, cost = study.mean(result.right).value, result.tokens.mean()
        off = study.mean(gain) if gain is not None else Estimate(0, 0, 0)
        tip = f"{name}, n = {n}: {PERCENT.number(value)} %, {count(round(cost))} tokens per prompt"
        around = Estimate(value, value - off.value + off.low, value - off.value + off.high)
        return Point(cost, around, tip if gain is None else f"{tip}; {PERCENT.interval(off, signed=True)}")

    lines = {}
    for how, name in (("any", "ceiling"), ("weighted", "best-of-n weighted"), ("majority", "majority")):
        sizes = [n for n in BLOCKS if n <= 64 or results.has_summit]
        found = [study.best_of(n, by, how) for n in sizes]
        lines[name] = [point(name, n, r) for n, r in zip(sizes, found, strict=True)]
    single = point("one sample", 1, study.sampled("any", by, 1))
    for m in shown:
        if found := [f for f in results.by_verifier[by] if f.method == m]:
            lines[m] = [single, *(point(m, f.n, results.on_all(f, by), f.gain) for f in found)]
    return curves(
        [Panel("", [Curve(name, points) for name, points in lines.items()])],
        title=f"Accuracy against measured cost, {title(by)}",
        x_title="tokens per prompt that the model computed, read and drawn (log scale)",
        y_title=f"right answers (%), {title(by)}",
        scale=PERCENT,
        log=True,
    )


def by_quintile(results: Results, method: str = BEAM, n: int = 16) -> Svg:
    """A search less best-of-n weighted by difficulty: a curve per verifier."""
    study = results.study
    lines = [
        Curve(
            f"AUC {a}",
            [
                Point(b, gain, f"AUC {a}, quintile {b + 1}: {PERCENT.interval(gain, signed=True)} points")
                for b in range(5)
                for gain in [study.mean(f.gain, study.bins == b)]
            ],
        )
        for a in AUCS
        if (f := results.of(str(a), method, n))
    ]
    return curves(
        [Panel("", lines)],
        title=f"{method} less best-of-n weighted, by difficulty, n = {n}",
        x_title="quintile of difficulty",
        y_title=f"{method} − best-of-n weighted, points, n = {n}",
        scale=PERCENT,
        x_labels=QUINTILES,
    )


def gains(results: Results, n: int = 16) -> Svg:
    """Paired gain over best-of-n weighted at equal n, by verifier quality."""
    lines = [
        Curve(
            m,
            [
                Point(i, gain, f"{m}, AUC {a}: {PERCENT.interval(gain, signed=True)} points")
                for i, a in enumerate(AUCS)
                if (f := results.of(str(a), m, n))
                for gain in [results.study.mean(f.gain)]
            ],
        )
        for m in SHOWN
    ]
    return curves(
        [Panel("", lines)],
        title=f"Gain over best-of-n weighted by verifier quality, n = {n}",
        x_title="AUC of the verifier",
        y_title=f"search − best-of-n weighted, points, n = {n}",
        scale=PERCENT,
        x_labels=[str(a) for a in AUCS],
    )
