"""How good a verifier is: the chance that it scores a right candidate above a wrong one of the same problem.

Asked of finished answers, and of beginnings with equally many steps, which is what a round of search compares.
"""

import asyncio
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from draw import record
from plan import AUCS, DRAW, Cell, items, verifier

from nbest import registry
from nbest.accounting.meter import total
from nbest.context import Context
from nbest.evaluate.confidence import Estimate
from nbest.evaluate.estimators import is_right
from nbest.evaluate.intervals import mean_interval
from nbest.lab.word_steps import WordSteps
from nbest.records import read_outcomes
from nbest.sampling.step_draws import shortened
from nbest.scoring.step_texts import prefixes_of
from nbest.session import engine_of
from nbest.types import replace

ROLLED = "temperature=0.8, max_tokens=160"
DEAR = "step_judge(max_tokens=40)"
"""Reads each beginning by itself behind a long instruction: asked about one prompt of each language."""
SCORERS = (
    "logprob",
    "logprob(normalise=none)",
    "self_certainty",
    "deep_conf",
    f"rollouts(k=4, value=share, {ROLLED})",
    f"rollouts(k=8, value=share, {ROLLED})",
    f"rollouts(k=8, value=majority, {ROLLED})",
    "token_prm",
    DEAR,
    *(verifier(str(auc)) for auc in AUCS),
)
PER_LANGUAGE = 5
SAMPLES = Cell(
    "scored samples",
    "none",
    16,
    f"parallel(sampler=iid(n=16, {DRAW}), selector=best(self_certainty))",
    PER_LANGUAGE,
    seed=2,
)


async def measure(out: Path, engine_spec: str) -> None:
    """Writes out/verifiers.json: scorer → for answers and beginnings, pairs compared and won per problem."""
    await record(SAMPLES, items(PER_LANGUAGE), out / SAMPLES.folder, engine_spec)
    few = {i.prompt.id for i in items(1)}
    outcomes = list(read_outcomes(out / SAMPLES.folder))
    found_path = out / "verifiers.json"
    found = json.loads(found_path.read_text(encoding="utf-8")) if found_path.exists() else {}
    engine = engine_of(engine_spec)
    for spec in SCORERS:
        if spec in found:
            continue
        asked = outcomes if spec != DEAR else [o for o in outcomes if o.prompt.id in few]
        rows = await asyncio.gather(*(_judged(o, spec, engine) for o in asked))
        found[spec] = rows
        found_path.write_text(json.dumps(found), encoding="utf-8")
        print(spec, auc_of(rows, "answers"), auc_of(rows, "beginnings"), flush=True)
    await engine.aclose()


async def _judged(outcome, spec, engine):
    scorer = registry.parse("scorers", spec)
    ctx = Context({"policy": engine}, seed=0, prompt_id=outcome.prompt.id, gold=outcome.gold)
    row = {"cluster": outcome.gold["cluster"]}
    answers = [c for c in outcome.candidates if c.is_usable and c.finish == "stop"]
    truth = [is_right(c, outcome) for c in answers]
    scores = [s.value for s in await scorer(outcome.prompt, answers, ctx)] if answers else []
    row["answers"] = _pairs([(truth, scores)])
    before = total(ctx.meter.usage)
    by_depth = defaultdict(dict)
    for c in outcome.candidates:
        for depth, text in enumerate(prefixes_of(c.text, "line")[:-1]):
            begun = replace(c, text=text, finish="step", logprobs=shortened(c.logprobs, len(text)))
            by_depth[depth].setdefault(text, begun)
    groups = []
    for begun in by_depth.values():
        batch = [replace(c, id=i) for i, c in enumerate(begun.values())]
        right = [s.value == 1 for s in await WordSteps()(outcome.prompt, batch, ctx)]
        groups.append((right, [s.value for s in await scorer(outcome.prompt, batch, ctx)]))
    row["beginnings"] = _pairs(groups)
    spent = total(ctx.meter.usage)
    row["num_beginnings"] = sum(len(b) for b in by_depth.values())
    row["tokens"] = spent.prompt - spent.cached + spent.completion
    row["tokens_answers"] = before.prompt - before.cached + before.completion
    return row


def _pairs(groups):
    """Pairs of a right and a wrong one with scores, and how many the right one wins; a tie is half a win."""
    pairs, won = 0, 0.0
    for truth, scores in groups:
        good = np.array([s for t, s in zip(truth, scores, strict=True) if t and s is not None])
        bad = np.array([s for t, s in zip(truth, scores, strict=True) if not t and s is not None])
        gap = good[:, None] - bad[None, :]
        pairs, won = pairs + gap.size, won + float((gap > 0).sum() + (gap == 0).sum() / 2)
    return [pairs, won]


def auc_of(rows, kind: str) -> Estimate | None:
    """Mean over problems that have such pairs, with an interval over problems."""
    kept = [r for r in rows if r[kind][0]]
    if not kept:
        return None
    shares = np.array([r[kind][1] / r[kind][0] for r in kept])
    return mean_interval(shares, clusters=[r["cluster"] for r in kept])
