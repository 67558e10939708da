"""Recorded runs for tests of plans: prompts of known difficulty in eight languages, a pool and a search for each."""

from random import Random

from nbest.records import RunWriter
from nbest.types import Candidate, Message, Outcome, Prompt, SamplingParams, Selection, Usage

QUESTIONS = {
    "ar": "كم المجموع؟",
    "zh": "一共多少？",
    "hi": "कुल कितना है?",
    "ja": "合計はいくつですか？",
    "ko": "모두 몇 개입니까?",
    "ru": "Сколько всего?",
    "th": "ทั้งหมดเท่าไหร่",
    "en": "How many in all?",
}
POOL = "parallel(sampler=iid(n=24, temperature=0.8), selector=vote)"
BEAM = "beam(n=8, verifier=logprob)"
LENGTH = 20
EASY, MEDIUM, HARD = 0.95, 0.55, 0.08


def prompt_of(i, language):
    text = f"{i}: {QUESTIONS[language]}"
    messages = (Message(role="user", content=text),)
    return Prompt(id=f"{i}-{language}", messages=messages, language=language, task="sums")


def outcome_of(prompt, strategy, answers, *, tokens=LENGTH, chosen=0):
    candidates = tuple(
        Candidate(
            id=i,
            text=f"{answer}",
            params=SamplingParams(temperature=0.8, seed=i),
            usage=Usage(prompt=9, completion=tokens, calls=1),
            engine="model-a",
            language=prompt.language,
        )
        for i, answer in enumerate(answers)
    )
    usage = Usage(prompt=9, completion=tokens * len(answers), calls=1)
    return Outcome(
        prompt=prompt,
        strategy=strategy,
        seed=0,
        selection=Selection(winner=candidates[chosen], weights={chosen: 1.0}),
        candidates=candidates,
        usage={"policy": usage},
        gold={"answer": "42", "cluster": prompt.id.partition("-")[0]},
    )


def write_runs(folder, *, num_problems=30, num_draws=24, seed=0):
    """A pool and a search, which solves what is hard for the pool, at the cost of eight answers."""
    rng = Random(seed)
    pool, beam = folder / "pool", folder / "beam"
    with RunWriter(pool, {"name": "pool"}) as of_pool, RunWriter(beam, {"name": "beam"}) as of_beam:
        for i in range(num_problems):
            share = (EASY, MEDIUM, HARD)[i % 3]
            for language in QUESTIONS:
                prompt = prompt_of(i, language)
                draws = [
                    "42" if rng.random() < share else str(rng.randrange(100, 109)) for _ in range(num_draws)
                ]
                of_pool.append(outcome_of(prompt, POOL, draws))
                answer = "42" if rng.random() < 0.85 else "7"
                of_beam.append(outcome_of(prompt, BEAM, [answer] * 8))
    return [str(pool), str(beam)]


PLAN = """\
pilot = 4
sampler = "iid(n=16, temperature=0.8)"
mean_length = 5.0
engines = ["scripted"]

[efforts]
low = 4.0
medium = 8.0
high = 16.0

[difficulty]
edges = [0.7]
shares = [0.5, 0.5]
intercept = 0.0

[difficulty.weights]
agreement = 1.0

[provenance]
languages = ["th", "en", "zh"]
tasks = ["sums"]
"""
CHOICES = (
    (4.0, 1, None, "vote(sampler=iid(n=4, temperature=0.8))"),
    (4.0, 2, None, "vote(sampler=iid(n=4, temperature=0.8))"),
    (8.0, 1, None, "vote(sampler=iid(n=4, temperature=0.8))"),
    (8.0, 2, None, "vote(sampler=iid(n=8, temperature=0.8))"),
    (16.0, 1, None, "vote(sampler=iid(n=4, temperature=0.8))"),
    (16.0, 2, None, "vote(sampler=iid(n=16, temperature=0.8))"),
    (16.0, 1, "th", "vote(sampler=iid(n=6, temperature=0.8))"),
)


def write_plan_file(path, *, head=PLAN, choices=CHOICES):
    """A plan of two bins by agreement: easy prompts stop at the pilot, hard ones draw up to the budget."""
    rows = []
    for budget, bin_, language, strategy in choices:
        row = f'\n[[choices]]\nbudget = {budget}\nbin = {bin_}\nstrategy = "{strategy}"\n'
        row += "value = 0.5\ncost = 4.0\nnum_prompts = 10\n"
        if language:
            row += f'language = "{language}"\n'
        rows.append(row)
    path.write_text(head + "".join(rows), encoding="utf-8")
    return str(path)
