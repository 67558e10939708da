"""The playground against the gateway itself, over the embedded model and a judge whose replies are scripted."""

import asyncio
import contextlib
import re
import sys

import pytest
import pytest_asyncio
from aiohttp import web

from browser import chromium
from nbest.judging.verdict_text import choice

in_browser = pytest.mark.asyncio(loop_scope="module")
ARABIC = (
    "لدى مريم ٣٩ لعبة. ثم تشتري مريم ٢٦ أخرى. الآن يتضاعف العدد ٥ مرات. تهدي الجدة مريم ٣٦ لعبة."
    " تهدي الجدة مريم ٨٥ لعبة. تجد مريم ١٣٥ لعبة. كم لعبة هناك في النهاية؟"
)
JAPANESE = "花子はコインを１１枚持っています。花子は賞品としてコインを７枚もらいました。花子は今、コインを何枚持っていますか？"
VERDICT = "## قائمة التحقق\n1. هل الحساب صحيح؟\n\n**المرشح 2** هو الأفضل.\n\n[[2]]"
PRESETS = """
[presets]
judged = "parallel(sampler=iid(n=6, temperature=1.0), selector=chops)"
vote = "parallel(sampler=hedged(n=5), selector=vote)"
fused = "parallel(sampler=iid(n=4, temperature=1.0), selector=fuse)"
search = "tree(search=rebase(n=4, rounds=6), verifier=rollouts(k=2))"
[serve.prices.policy]
prompt = 1.0
completion = 2.0
"""


async def _judge(request):
    message = {"role": "assistant", "content": VERDICT}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return web.json_response({**answer, "usage": {"prompt_tokens": 70, "completion_tokens": 30}})


async def _judges(request):
    return web.json_response({"object": "list", "data": [{"id": "judge", "object": "model"}]})


@contextlib.asynccontextmanager
async def judge():
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", _judge), web.get("/v1/models", _judges)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def gateway(folder, *engines):
    """Runs `nbest serve`; gives the address of its page."""
    config = folder / "gateway.toml"
    config.write_text(PRESETS)
    command = ["-m", "nbest", "serve", "--port", "0", "--config", str(config), *engines]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=folder, stderr=asyncio.subprocess.PIPE
    )
    try:
        said = b""
        async with asyncio.timeout(60):
            while not (found := re.search(rb"page at (\S+)", said)):
                line = await process.stderr.readline()
                assert line, said.decode()
                said += line
        yield found[1].decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        print((await process.communicate())[1].decode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory):
    chromium.executable()
    folder = tmp_path_factory.mktemp("gateway")
    engines = ["--engine", "llamacpp", "--engine"]
    async with (
        judge() as url,
        gateway(folder, *engines, f"judge=openai:{url}") as address,
        chromium.tab(folder / "profile") as tab,
    ):
        await tab.look()
        tab.address = address
        yield tab


async def ask(tab, prompt, **fields):
    await tab.call("Page.navigate", url="about:blank")
    await tab.call("Page.navigate", url=tab.address)
    await tab.until("document.documentElement?.dataset.ready === 'true'")
    for name, value in {"prompt": prompt, **fields}.items():
        await tab.js(f"byId({name!r}).value = {value!r}")
    await tab.js("byId('run').click()")


def texts(tab, selector):
    return tab.js(f"[...document.querySelectorAll({selector!r})].map((n) => n.textContent)")


@in_browser
async def test_an_arabic_prompt_is_answered_and_the_judges_words_are_shown(page):
    await ask(page, ARABIC, model="nbest-mini@judged", size="6")
    await page.until("!running && !!shown", 60)
    assert page.errors == []
    cards = await texts(page, ".card .prose")
    assert len(cards) == 6
    assert sum("ثم" in text for text in cards) > 1
    styles = await page.js("[...document.querySelectorAll('.card .prose')].map((n) => [n.lang, n.dir])")
    assert {direction for _, direction in styles} == {"rtl"}
    assert ["ar", "rtl"] in styles
    ids = await texts(page, ".card .top > :first-child")
    assert sorted(re.sub(r"\D", "", i) for i in ids) == list("012345")
    [won] = await texts(page, ".card.won .prose")
    assert await texts(page, ".answer > .text .prose") == [won]
    [seen] = await texts(page, ".seen .chip.won")
    assert seen == f"{choice(VERDICT, 6)} = {(await texts(page, '.answer .star'))[0][2:]} ★"
    assert await texts(page, ".reply h4") == ["قائمة التحقق"]
    roles = {row.split("\t")[0] for row in await texts(page, ".cost tbody th")}
    assert roles == {"judge", "policy"}
    assert await texts(page, ".cost tbody tr:first-child td") == ["1", "70", "0", "30"]


@in_browser
async def test_a_japanese_prompt_is_answered_and_costs_what_the_price_list_says(page):
    await ask(page, JAPANESE, model="nbest-mini@vote")
    await page.until("!running && !!shown", 60)
    assert page.errors == []
    assert len(await texts(page, ".card .prose")) == 5
    assert all("答え" in text for text in await texts(page, ".card .prose"))
    assert await page.js("document.querySelector('.answer > .text .prose').lang") == "ja"
    [won] = await texts(page, ".card.won .prose")
    assert await texts(page, ".answer > .text .prose") == [won]
    _, read, _, written = map(int, await texts(page, ".cost tbody td"))
    assert float((await texts(page, ".cost dd"))[1]) == pytest.approx((read + 2 * written) / 1e6, rel=0.01)


@in_browser
async def test_a_fused_answer_names_what_it_was_made_from(page):
    await ask(page, JAPANESE, model="nbest-mini@fused", strategy="rsa(steps=2, subset=2, sampler=iid(n=3))")
    await page.until("!running && !!shown", 60)
    assert page.errors == []
    assert any("from" in chips for chips in await texts(page, ".card .top"))


@in_browser
async def test_steps_of_a_search_keep_their_cards_and_have_the_verifiers_values(page):
    await ask(page, ARABIC, model="nbest-mini@search")
    await page.until("!running && !!shown", 60)
    assert page.errors == []
    ids = await texts(page, ".card .top > :first-child")
    assert sorted(int(re.sub(r"\D", "", i)) for i in ids) == list(range(len(ids)))
    assert any("score" in card for card in await texts(page, ".card.step"))
    answers, steps = [int(head.split()[-1]) for head in await texts(page, ".pool h2")]
    assert (answers, answers + steps) == (await page.js("shown.view.nbest.num_candidates"), len(ids))


@in_browser
async def test_what_the_gateway_refuses_is_said_in_its_words(page):
    await ask(page, JAPANESE, strategy="parallel(selector=voet)")
    await page.until("!running && !!shown", 60)
    assert "vote" in (await texts(page, ".run > .problem"))[0]
    page.errors.clear()  # the browser counts a refused request as an error


@in_browser
async def test_a_run_that_was_stopped_holds_up_nobody(page):
    await ask(page, ARABIC, model="nbest-mini@judged", size="64")
    await page.until("!!running?.run")
    await page.js("byId('stop').click()")
    await page.until("!running")
    assert await page.js("document.querySelector('.status').dataset.state") == "stopped"
    await page.js("byId('size').value = 2; byId('run').click()")
    await page.until("!running && runs.length === 2 && shown.view.key === 'done'", 30)
