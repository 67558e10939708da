"""The trees of searches on the embedded model, in headless Chromium."""

import asyncio
import itertools

import pytest
import pytest_asyncio

import runs
from browser import chromium
from nbest.engines.llamacpp.llamacpp import LlamaCpp
from nbest.lab.problems import problems
from nbest.records import RunWriter
from nbest.registry import parse
from nbest.report.report import write
from nbest.run import ask
from nbest.types import Candidate, Message, Prompt

LANGUAGES = ["ar", "hi", "ja", "ru", "th", "zh"]
SEARCH = "tree(search=beam(n=6, width=2), verifier=logprob, temperature=1.3, step_tokens=48)"
FUSED = Candidate(id=4, text=f"{runs.HOSTILE} ٤٢", parents=(1, 2))


async def searched(folder):
    """One problem in six languages, each answered by a beam search. Outcomes by language."""
    strategy, engine = parse("strategies", SEARCH), LlamaCpp(slots=6, context=512)
    found = {}
    with RunWriter(folder, {"name": folder.name}) as writer:
        for p in problems("test", 1, languages=LANGUAGES):
            turns = (Message(role="user", content=p.text),)
            prompt = Prompt(id=f"s-{p.language}", messages=turns, language=p.language)
            found[p.language] = await ask(prompt, strategy, {"policy": engine}, gold={"answer": p.answer})
            writer.append(found[p.language])
    await engine.aclose()
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    chromium.executable()
    outcomes = await searched(folder / "search")
    hostile = runs.write(folder / "fused", [runs.outcome(90, "ar", strategy="fuse", new=FUSED)])
    await asyncio.to_thread(write, [folder / "search", hostile], out=folder / "report.html")
    async with chromium.tab(folder / "profile") as tab:
        await tab.look()
        tab.path, tab.outcomes = folder / "report.html", outcomes
        yield tab


in_browser = pytest.mark.asyncio(loop_scope="module")
"""All tests share the module's loop, as the browser does."""
SELECTED = "document.querySelector('.node[aria-selected=true]')"


def distinct(outcome):
    """Draws of one text after one parent, as one."""
    keys = {}
    for c in outcome.candidates:
        keys[c.id] = (keys[c.parents[0]] if c.parents else None, c.text, c.finish, c.error)
    return set(keys.values())


@in_browser
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_search_is_drawn_with_its_values_and_the_chosen_path(page, language):
    outcome = page.outcomes[language]
    await page.open(page.path, f"#prompt=s-{language}")
    assert page.errors == []
    nodes = distinct(outcome)
    assert await page.js("document.querySelectorAll('.node').length") == len(nodes)
    assert await page.js("document.querySelectorAll('.node b').length") == len(nodes)
    assert await page.js("document.querySelectorAll('.search path').length") == len(nodes)
    lines = outcome.text.strip().splitlines()
    on_path = await page.js("document.querySelectorAll('.node.on-path').length")
    assert on_path == len(lines) == await page.js("document.querySelectorAll('.edge.on-path').length")
    won = "document.querySelector('.node.won .own')"
    assert await page.js(f"{won}.textContent") == lines[-1]
    assert await page.js(f"{won}.lang") == language
    assert await page.js(f"getComputedStyle({won}).direction") == ("rtl" if language == "ar" else "ltr")
    assert await page.js("[...document.querySelectorAll('.path .text')].map((n) => n.textContent)") == lines
    drawn = await page.js("[...document.querySelectorAll('.node .facts')].map((n) => n.textContent).join()")
    assert f"★#{outcome.selection.winner.id}" in drawn


@in_browser
async def test_no_node_lies_upon_another(page):
    for language in LANGUAGES:
        await page.open(page.path, f"#prompt=s-{language}")
        places = await page.js(
            "[...document.querySelectorAll('.node')].map((n) => [n.offsetLeft, n.offsetTop, n.offsetWidth])"
        )
        assert len({(x, y) for x, y, _ in places}) == len(places)
        for x in {x for x, _, _ in places}:
            column = sorted(y for at, y, _ in places if at == x)
            assert all(b - a >= 64 for a, b in itertools.pairwise(column))
        columns = sorted({x for x, _, _ in places})
        assert all(b - a > places[0][2] for a, b in itertools.pairwise(columns))


@in_browser
async def test_the_tree_is_used_from_the_keyboard(page):
    await page.open(page.path, "#prompt=s-ja")
    assert await page.js(f"{SELECTED}.classList.contains('won')")
    assert await page.js("document.querySelectorAll('.node[tabindex=\"0\"]').length") == 1
    await page.js(f"{SELECTED}.focus()")
    depth = int(await page.js(f"{SELECTED}.getAttribute('aria-level')"))
    await page.press("ArrowLeft")
    assert int(await page.js(f"{SELECTED}.getAttribute('aria-level')")) == depth - 1
    assert await page.js(f"document.activeElement === {SELECTED}")
    assert await page.js("document.querySelectorAll('.path .stage').length") == depth - 1
    await page.press("Home")
    assert await page.js(f"{SELECTED}.getAttribute('aria-level')") == "1"
    await page.press("ArrowDown")
    below = await page.js(f"{SELECTED}.offsetTop")
    await page.press("ArrowUp")
    assert await page.js(f"{SELECTED}.offsetTop") < below
    await page.press("End")
    assert await page.js(f"{SELECTED}.classList.contains('won')")
    await page.js("document.querySelector('.node').click()")
    assert await page.js("document.activeElement === document.querySelector('.node')")


@in_browser
async def test_steps_have_no_cards_and_their_values_are_not_told_twice(page):
    await page.open(page.path, "#prompt=s-th")
    answers = [c for c in page.outcomes["th"].candidates if c.finish != "step"]
    assert await page.js("document.querySelectorAll('.card').length") == len(answers)
    assert "values" not in await page.js("document.querySelector('.why')?.textContent ?? ''")


@in_browser
async def test_what_a_fused_answer_was_made_from(page):
    await page.open(page.path, "#prompt=90-ar")
    assert await page.js("document.querySelector('.node.won .nr').textContent") == "★#4"
    assert await page.js("document.querySelectorAll('.search .edge.other').length") == 1
    assert await page.js("document.title") == "nbest report"
    assert await page.js("byId('browser').querySelectorAll('script, img').length") == 0


@in_browser
async def test_a_wide_tree_scrolls_within_a_telephone(page):
    await page.look(width=400, height=800, scheme="dark")
    await page.open(page.path, "#prompt=s-zh")
    assert await page.js("document.documentElement.scrollWidth") == 400
    assert await page.js("document.querySelector('.frame').scrollWidth > 400")
    await page.look()


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nodes_of_every_value_can_be_read_in_both_schemes(page, scheme):
    await page.look(scheme=scheme)
    await page.open(page.path, "#prompt=s-hi")
    too_faint = await page.js(chromium.TOO_FAINT)
    await page.look()
    assert too_faint == []
