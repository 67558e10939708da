"""The report's page in headless Chromium, opened from a file as a reader would."""

import asyncio

import pytest
import pytest_asyncio

import runs
from browser import chromium
from nbest.report.report import write
from nbest.types import Candidate

FUSED = Candidate(id=4, text="الجواب: ٤٢", parents=(1, 2))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    chromium.executable()
    paths = runs.two_runs(folder, num_problems=30)
    extra = [runs.outcome(90, "ar", new=FUSED, strategy="fuse"), runs.outcome(91, "ja", failed=True)]
    paths.append(runs.write(folder / "fuse", extra))
    await asyncio.to_thread(write, paths, out=folder / "report.html")
    async with chromium.tab(folder / "profile") as tab:
        await tab.look()
        tab.path = folder / "report.html"
        yield tab


in_browser = pytest.mark.asyncio(loop_scope="module")
"""All tests share the module's loop, as the browser does."""
SEARCH = "(async()=>{{byId('search').value={0!r}; await filter()}})()"


@in_browser
async def test_it_opens_from_a_file_asks_nothing_of_anyone_and_has_no_error(page):
    await page.open(page.path)
    assert page.errors == []
    assert {url.split(":")[0] for url in page.requests} <= {"file", "about", "blob"}
    assert await page.js("byId('count').textContent") == "152 of 152 prompts"
    assert await page.js("document.querySelectorAll('figure svg').length") >= 4


@in_browser
async def test_hostile_texts_are_harmless(page):
    await page.open(page.path, "#prompt=0-ar")
    shown = await page.js("byId('pool').textContent")
    assert runs.HOSTILE in shown
    assert await page.js("document.title") == "nbest report"
    assert await page.js("byId('browser').querySelectorAll('script, img').length") == 0


@in_browser
async def test_no_other_script_may_run(page):
    await page.open(page.path)
    await page.js(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert await page.js("window.ran ?? null") is None
    assert any("Content Security Policy" in e for e in page.errors)
    page.errors.clear()


@in_browser
async def test_texts_have_their_language_and_direction(page):
    await page.open(page.path, "#prompt=1-ar")
    assert await page.js("getComputedStyle(document.querySelector('#pool .card .text')).direction") == "rtl"
    assert await page.js("document.querySelector('#pool .card .text').lang") == "ar"
    await page.open(page.path, "#prompt=1-ja")
    assert await page.js("getComputedStyle(document.querySelector('#pool .card .text')).direction") == "ltr"
    assert await page.js("document.querySelector('#pool .card .text').lang") == "ja"


@in_browser
async def test_a_line_of_digits_stands_with_the_text_that_it_ends(page):
    await page.open(page.path, "#prompt=1-ar")
    last = """[...document.querySelectorAll("#pool .card .text")].map((text) => {
      const range = document.createRange();
      range.selectNodeContents(text.lastElementChild);
      const [line, around] = [range.getBoundingClientRect(), text.getBoundingClientRect()];
      return Math.round(around.right - line.right);
    })"""
    assert await page.js(last) == [0, 0, 0, 0]
    lines = "[...document.querySelectorAll('#pool .card .text')].at(-1).innerText"
    assert (await page.js(lines)).splitlines() == ["كم المجموع؟ 3", runs.HOSTILE, "41"]


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read_in_both_schemes(page, scheme):
    await page.look(scheme=scheme)
    await page.open(page.path, "#prompt=90-ar")
    too_faint = await page.js(chromium.TOO_FAINT)
    await page.look()
    assert too_faint == []


@in_browser
async def test_search_looks_into_prompts_and_candidates(page):
    await page.open(page.path)
    await page.js(SEARCH.format("合計は"))
    assert await page.js("byId('count').textContent") == "31 of 152 prompts"
    await page.js(SEARCH.format("جواب"))
    assert await page.js("byId('count').textContent") == "1 of 152 prompts"
    assert await page.js("document.querySelector('#pool mark').textContent") == "جواب"
    await page.js(SEARCH.format("no such text"))
    assert await page.js("byId('pool').textContent") == "No prompt is like that."


@in_browser
async def test_filters(page):
    await page.open(page.path, "#language=th")
    assert await page.js("byId('count').textContent") == "30 of 152 prompts"
    await page.open(page.path, "#show=8")
    assert await page.js("byId('count').textContent") == "1 of 152 prompts"
    assert "no candidate is left" in await page.js("byId('pool').textContent")


@in_browser
async def test_the_winner_its_scores_and_what_it_was_made_from(page):
    await page.open(page.path, "#prompt=90-ar")
    assert await page.js("document.querySelector('.card.won .tag').textContent") == "★ #4"
    assert "from #1, #2" in await page.js("document.querySelector('.card.won').textContent")
    assert await page.js("document.querySelectorAll('.node').length") == 5
    assert "criterion" in await page.js("document.querySelector('.why').textContent")
    await page.open(page.path, "#prompt=1-en")
    assert await page.js("document.querySelector('.card.won .tag').textContent") == "★ #1"
    await page.js("document.querySelectorAll('.methods button')[1].click()")
    assert await page.js("document.querySelector('.card.won .tag').textContent") == "★ #0"
    assert await page.js("document.activeElement.textContent") == "first ✓ right"


@in_browser
async def test_many_games_do_not_push_the_candidates_away(page):
    await page.open(page.path, "#prompt=1-ar")
    games = "Array.from({ length: 500 }, (_, a) => ({ a, b: a + 1, verdict: 'A>B' }))"
    await page.js(f"document.querySelector('.why').replaceWith(explained({{ d: {{ games: {games} }} }}))")
    assert (await page.js("document.querySelector('.why').textContent")).count("verdict") == 500
    assert await page.js("document.querySelector('.why').offsetHeight < innerHeight")


@in_browser
async def test_everything_can_be_done_from_the_keyboard(page):
    await page.open(page.path)
    chosen = "document.querySelector('#list [aria-selected=true]').id"
    await page.js("byId('list').focus()")
    assert await page.js(chosen) == "row-0"
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "j", "j", "k"):
        await page.press(key)
    await page.until(f"{chosen} === 'row-2'")
    await page.press("End")
    await page.until(f"{chosen} === 'row-151'")
    assert await page.js("byId('place').textContent") == "101–152"
    await page.press("/")
    assert await page.js("document.activeElement.id") == "search"


@in_browser
async def test_it_fits_a_telephone_and_follows_the_scheme(page):
    await page.look(width=400, height=800)
    await page.open(page.path, "#prompt=1-ar")
    assert await page.js("document.documentElement.scrollWidth") == 400
    light = await page.js("getComputedStyle(document.body).backgroundColor")
    await page.look(scheme="dark")
    assert await page.js("getComputedStyle(document.body).backgroundColor") != light
    await page.look()
