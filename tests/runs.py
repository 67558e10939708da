"""Run directories for tests of what reads them: pools in five scripts, with hostile texts among them."""

from nbest.records import RunWriter
from nbest.types import Candidate, Message, Outcome, Prompt, SamplingParams, Selection, Usage

HOSTILE = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
QUESTIONS = {
    "ar": "كم المجموع؟",
    "ja": "合計はいくつですか？",
    "en": "How many?",
    "th": "เท่าไหร่",
    "ru": "Сколько?",
}


def outcome(i, language, *, winner=0, strategy="first", num=4, new=None, failed=False, gold="42"):
    candidates = tuple(
        Candidate(
            id=k,
            text=f"{QUESTIONS[language]} {k}\n{HOSTILE if k == 3 else ''}\n{42 if (i + k) % 2 or i == 5 else 41}",
            params=SamplingParams(temperature=0.7 if k else 0.0),
            usage=Usage(prompt=9 if k < 2 else 0, cached=0, completion=5, calls=int(k < 2)),
            language=language,
        )
        for k in range(num)
    )
    selection = (
        None
        if failed
        else Selection(
            winner=new or candidates[winner],
            weights={winner: 1.0},
            scores={k: -float(k) for k in range(num)},
            rationale=f"because {HOSTILE}",
            details={"checklist": [{"criterion": HOSTILE, "met": True}]},
        )
    )
    return Outcome(
        prompt=Prompt(
            id=f"{i}-{language}",
            messages=(Message(role="user", content=f"{QUESTIONS[language]} {HOSTILE}"),),
            language=language,
            task="words",
        ),
        strategy=strategy,
        seed=7,
        selection=selection,
        candidates=candidates,
        usage={
            "policy": Usage(prompt=18, cached=4, completion=5 * num, calls=2),
            "judge": Usage(prompt=100, completion=10, calls=1),
        },
        stopped="error" if failed else "done",
        error="no candidate is left" if failed else None,
        notes=("judge: asked twice",) if i == 1 else (),
        seconds=0.5,
        gold={"answer": gold, "problem": str(i)} if gold else {},
    )


def write(path, outcomes):
    with RunWriter(path, {"name": path.name}) as writer:
        for o in outcomes:
            writer.append(o)
    return path


def two_runs(folder, *, num_problems=6, num_candidates=4):
    """A run that drew pools and one that chose otherwise from them."""
    rows = [(i, lang) for i in range(num_problems) for lang in QUESTIONS]
    drawn = [
        outcome(i, lang, num=num_candidates, strategy="parallel(sampler=hedged(n=4), selector=mbr)", winner=1)
        for i, lang in rows
    ]
    chosen = [outcome(i, lang, num=num_candidates, winner=0) for i, lang in rows]
    return [write(folder / "pool", drawn), write(folder / "first", chosen)]
