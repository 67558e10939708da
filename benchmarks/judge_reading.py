"""How often a judge gives a verdict, by the way it is read: text, grammar, log-probabilities.

    python benchmarks/judge_reading.py --engine llamacpp --engine openai:http://localhost:8080/v1

For packaged problems in several languages a right and a wrong answer are put to the judge in every form there is:
pairs in both orders, one mark from 1 to 10, the best of three, agreement with gold. Counted are questions with a
verdict, verdicts that prefer the right answer (of two where it prefers one), tokens that the judge wrote, and seconds.
"""

import argparse
import asyncio
import time
from importlib.resources import files

from nbest.context import Context
from nbest.datasets import read_prompts
from nbest.judging.games import play
from nbest.judging.gold_judge import GoldJudge
from nbest.judging.judge_calls import ask
from nbest.judging.judge_questions import question
from nbest.judging.verdict_forms import numbers
from nbest.session import engine_of
from nbest.types import Candidate, SamplingParams

READS = ("text", "grammar", "logprobs")


async def games(rows, engine, read, max_tokens):
    """(with a verdict, asked, right preferred, one preferred)."""
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    counts = [0, 0, 0, 0]
    for ctx, prompt, right, wrong in rows(engine):
        for game in await play(
            [(right, wrong)],
            prompt,
            ctx,
            judge=None,
            params=params,
            read=read,
            template_language="en",
            templates=None,
        ):
            counts[1] += 1
            if game.reply.verdict is None:
                continue
            counts[0] += 1
            of_a, of_b = game.points
            if of_a != of_b:
                counts[3] += 1
                counts[2] += (game.a if of_a > of_b else game.b) is right
        counts[-1:] = [counts[-1]]
        yield counts, ctx


async def marks(rows, engine, read, max_tokens):
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    counts = [0, 0, 0, 0]
    for ctx, prompt, right, wrong in rows(engine):
        asked = [_question("score", prompt, {"1": c.text}, ctx, params, numbers(10)) for c in (right, wrong)]
        replies = await ask(asked, ctx, read=read)
        counts[1] += 2
        counts[0] += sum(r.verdict is not None for r in replies)
        values = [_expected(r) for r in replies]
        if None not in values and values[0] != values[1]:
            counts[3] += 1
            counts[2] += values[0] > values[1]
        yield counts, ctx


async def best_of_three(rows, engine, read, max_tokens):
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    counts = [0, 0, 0, 0]
    for at, (ctx, prompt, right, wrong) in enumerate(rows(engine)):
        shown = [wrong.text, wrong.text + " ?"]
        shown.insert(at % 3, right.text)
        asked = _question(
            "chops", prompt, {str(i): t for i, t in enumerate(shown, 1)}, ctx, params, numbers(3)
        )
        (reply,) = await ask([asked], ctx, read=read)
        counts[1] += 1
        if reply.verdict is not None:
            counts[0] += 1
            counts[3] += 1
            counts[2] += reply.verdict == at % 3 + 1
        yield counts, ctx


async def agreement(rows, engine, read, max_tokens):
    counts = [0, 0, 0, 0]
    for ctx, prompt, right, wrong in rows(engine):
        judge = GoldJudge(read=read, max_tokens=max_tokens)
        gold = (right.text.rpartition(" ")[2],)
        verdicts = await judge.verdicts(prompt, [right.text, wrong.text], gold, ctx)
        counts[1] += 2
        counts[0] += sum(v is not None for v in verdicts)
        if None not in verdicts and verdicts[0] != verdicts[1]:
            counts[3] += 1
            counts[2] += verdicts[0] > verdicts[1]
        yield counts, ctx


def _question(name, prompt, texts, ctx, params, form):
    return question(
        name, prompt, texts, ctx, role="judge", engine=None, params=params, template_language="en", templates=None,
        form=form,
    )  # fmt: skip


def _expected(reply):
    if reply.probabilities is not None:
        return sum(p * score for score, p in reply.probabilities.items())
    return reply.verdict


def rows_of(num_prompts):
    items = read_prompts(str(files("nbest") / "data" / "prompts" / "mini.jsonl"))[:num_prompts]

    def rows(engine):
        for item in items:
            gold = int(item.gold["answer"])
            right, wrong = (Candidate(id=i, text=f"= {n}") for i, n in enumerate((gold, gold + 7)))
            yield Context({"policy": engine}, prompt_id=item.prompt.id), item.prompt, right, wrong

    return rows


FORMS = {"games": games, "marks": marks, "best of three": best_of_three, "agreement with gold": agreement}


async def main(args):
    rows = rows_of(args.prompts)
    print("| engine | form | read | verdicts | right preferred | tokens written | seconds | notes |")
    print("|---|---|---|---|---|---|---|---|")
    for spec in args.engine:
        engine = engine_of(spec)
        for form, work in FORMS.items():
            for read in args.read:
                started, tokens, notes = time.monotonic(), 0, set()
                counts = [0, 0, 0, 0]
                async for found, ctx in work(rows, engine, read, args.max_tokens):
                    counts = found
                    tokens += sum(u.completion for u in ctx.meter.usage.values())
                    notes |= {note[:90] for note in ctx.notes}
                seconds = time.monotonic() - started
                print(
                    f"| {spec.rpartition('/')[2]} | {form} | {read} | {counts[0]} of {counts[1]} | {counts[2]} of {counts[3]}"
                    f" | {tokens} | {seconds:.0f} | {'; '.join(sorted(notes)[:1])} |",
                    flush=True,
                )
        await engine.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", action="append", required=True)
    parser.add_argument("--read", action="append", choices=READS)
    parser.add_argument("--prompts", type=int, default=13)
    parser.add_argument("--max-tokens", type=int, default=256)
    args = parser.parse_args()
    args.read = args.read or READS
    asyncio.run(main(args))
