"""The playground in headless Chromium, against a stand-in that says what the gateway may say."""

import asyncio
import json

import pytest
import pytest_asyncio
from aiohttp import web

from browser import chromium, standin
from browser.standin import candidate

in_browser = pytest.mark.asyncio(loop_scope="module")
"""All tests share the module's loop, as the browser does."""
HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
ARABIC = "كم يساوي ٦ × ٧؟"
JAPANESE = "6 × 7 はいくつですか。"
JUDGED = "## قائمة التحقق\n1. هل هي صحيحة؟\n- **المرشح 2** صحيح\n\n[[2]]"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(tmp_path_factory):
    async with chromium.tab(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def server():
    async with standin.served() as (server, url):
        server.url = url
        yield server


async def opened(tab, server, *, locale="en", width=1200, height=900):
    await tab.look(width=width, height=height)
    agent = await tab.js("navigator.userAgent")
    await tab.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=locale)
    await tab.call("Page.navigate", url="about:blank")
    tab.errors.clear()
    tab.requests.clear()
    await tab.call("Page.navigate", url=server.url)
    await tab.until("document.documentElement?.dataset.ready === 'true'")
    await tab.js("sessionStorage.clear(); localStorage.clear()")


async def run(tab, prompt, **fields):
    fields = {"prompt": prompt, **fields}
    await tab.js(f"Object.entries({json.dumps(fields)}).forEach(([id, v]) => byId(id).value = v)")
    await tab.js("byId('run').click()")


async def asked_and_done(tab, prompt, **fields):
    await run(tab, prompt, **fields)
    await tab.until("!running && shown")


def texts(tab, selector):
    return tab.js(f"[...document.querySelectorAll('{selector}')].map((n) => n.textContent)")


def text(tab, selector):
    return tab.js(f"document.querySelector('{selector}')?.textContent")


async def pool(ask, say, request):
    """Three candidates, of which the last to arrive has id 0 and one failed; a judge chooses."""
    await say.start(request)
    arrived = [
        candidate(
            "٦ × ٧ = 42",
            language="ar",
            params={"temperature": 0.7, "seed": 1},
            usage={"completion": 12345},
        ),
        candidate("", error="upstream answered 500", finish="error"),
        candidate("الجواب ٤١", language="ar", params={"temperature": 0.0}, finish="length"),
    ]
    for one in arrived:
        await say.candidate(one)
    await say.called("judge")
    final = [{**one, "id": i} for one, i in zip(arrived, (2, 1, 0), strict=True)]
    await say.finish(
        "٦ × ٧ = 42",
        chosen=2,
        scores={"0": 0.25, "2": 0.75},
        weights={"0": 0.1, "2": 0.9},
        rationale=JUDGED,
        details={"rounds": [{"shown": [0, 2], "chosen": 2, "reply": JUDGED}]},
        usage_by_role={
            "policy": {"prompt": 20, "cached": 4, "completion": 30, "calls": 3},
            "judge": {"prompt": 100, "cached": 0, "completion": 50, "calls": 1},
        },
        flops=3.21e12,
        cost=0.0125,
        notes=["one of three failed"],
        candidates=sorted(final, key=lambda c: c["id"]),
    )


@in_browser
async def test_it_asks_nobody_but_its_server_and_has_no_error(tab, server):
    await opened(tab, server)
    assert tab.errors == []
    assert {url for url in tab.requests if not url.startswith(("about", "data"))} == {
        server.url,
        server.url.replace("/ui", "/v1/models"),
    }
    assert await texts(tab, "#model option") == ["small", "small@careful"]
    assert await tab.js("byId('strategy').placeholder") == "parallel"
    await tab.js("byId('model').value = 'small@careful'; byId('model').dispatchEvent(new Event('change'))")
    assert await tab.js("byId('strategy').placeholder") == "parallel(selector=chops)"


@in_browser
async def test_what_the_form_says_is_what_is_asked(tab, server):
    server.script = pool
    await opened(tab, server)
    await asked_and_done(
        tab, ARABIC, model="small@careful", strategy="rsa", size="3", deadline="2.5", language="ar"
    )
    [ask] = server.asked
    assert (ask.model, ask.messages[0].content, ask.stream, ask.include_usage) == (
        "small@careful",
        ARABIC,
        True,
        True,
    )
    said = ask.nbest
    assert (said.strategy, said.n, said.deadline, said.language) == ("rsa", 3, 2.5, "ar")
    assert (said.candidates, said.progress) == (True, "events")
    await asked_and_done(tab, ARABIC, model="small", strategy="", size="", deadline="", language="")
    said = server.asked[-1].nbest
    assert (said.strategy, said.n, said.deadline, said.language) == (None, None, None, None)


@in_browser
async def test_candidates_arrive_one_after_another_and_stay_where_they_are(tab, server):
    go_on = asyncio.Event()

    async def paced(ask, say, request):
        await say.start(request)
        arrived = [candidate("one"), candidate("two")]
        await say.candidate(arrived[0])
        await go_on.wait()
        await say.candidate(arrived[1])
        final = [{**arrived[1], "id": 0}, {**arrived[0], "text": "one\n", "id": 1}]
        await say.finish("two", chosen=0, candidates=final)

    server.script = paced
    await opened(tab, server)
    await run(tab, "say a number", size="3")
    await tab.until("document.querySelectorAll('.card:not(.empty)').length === 1")
    assert await tab.js("document.querySelectorAll('.card.empty').length") == 2
    assert await text(tab, ".status span") == "Waiting for candidates · 1 / 3"
    assert await text(tab, "#live") == "Candidate 1"
    assert await tab.js("document.querySelector('.run').getAttribute('aria-busy')") == "true"
    await tab.js("window.first = document.querySelector('.card .text')")
    go_on.set()
    await tab.until("!running")
    assert await texts(tab, ".card .prose") == ["one", "two"]
    assert await texts(tab, ".card .top > :first-child") == ["#1", "★ #0"]
    assert await tab.js("first === document.querySelector('.card .text')")
    assert await tab.js("document.querySelectorAll('.card.empty').length") == 0
    assert await tab.js("document.querySelector('.run').hasAttribute('aria-busy')") is False


@in_browser
async def test_steps_of_a_search_end_below_the_answers_that_they_led_to(tab, server):
    go_on = asyncio.Event()
    drawn = [candidate("6 × 7", params={"seed": 1}), candidate("7 × 6"), candidate("6 × 7\n= 42")]

    async def search(ask, say, request):
        await say.start(request)
        for one in drawn:
            await say.candidate(one)
        await go_on.wait()
        steps = [{**one, "text": one["text"] + "\n", "finish": "step"} for one in drawn[:2]]
        final = [{**one, "id": i} for i, one in enumerate([*steps, {**drawn[2], "parents": [0]}])]
        await say.finish(
            drawn[2]["text"], chosen=2, candidates=final, details={"values": {"0": 0.5, "1": 0.25}}
        )

    server.script = search
    await opened(tab, server)
    await run(tab, "6 × 7?", size="1")
    await tab.until("document.querySelectorAll('.card:not(.empty)').length === 3")
    assert await text(tab, ".status span") == "Waiting for candidates · 3"
    assert "complete" not in str(await texts(tab, ".card"))  # nobody knows yet which are steps
    await tab.js("window.first = document.querySelector('.card .text')")
    go_on.set()
    await tab.until("!running")
    assert await text(tab, ".status span") == "Done · 1 / 1"
    assert await texts(tab, ".pool h2") == ["Candidates 1", "Steps 2"]
    assert await texts(tab, ".card .top > :first-child") == ["★ #2", "#0", "#1"]
    steps = await texts(tab, ".card.step")
    assert [("score" in step, "step" in step) for step in steps] == [(True, True)] * 2
    assert await tab.js("first === document.querySelector('.card.step .text')")


@in_browser
async def test_a_step_is_shown_as_one_when_it_arrives(tab, server):
    go_on = asyncio.Event()
    step = candidate("6 × 7 =\n", finish="step")

    async def search(ask, say, request):
        await say.start(request)
        await say.candidate(step)
        await go_on.wait()
        await say.finish("6 × 7 =", chosen=0, stopped="deadline", candidates=[{**step, "id": 0}])

    server.script = search
    await opened(tab, server)
    await run(tab, "6 × 7?", size="1")
    await tab.until("document.querySelectorAll('.card.step').length === 1")
    assert await texts(tab, ".pool h2") == ["Candidates ", "Steps 1"]
    assert await tab.js("document.querySelectorAll('.card.empty').length") == 1
    go_on.set()
    await tab.until("!running")
    assert await texts(tab, ".card.won .star") == ["★ #0"]  # the search had nothing else to answer with
    assert await tab.js("document.querySelectorAll('.pool')[1].checkVisibility()") is False


@in_browser
async def test_a_step_that_had_to_be_the_answer_is_shown_as_one(tab, server):
    async def cut_short(ask, say, request):
        await say.start(request)
        step = candidate("6 × 7 =\n", finish="step", id=0)
        await say.finish("6 × 7 =", chosen=0, stopped="deadline", candidates=[step])

    server.script = cut_short
    await opened(tab, server)
    await asked_and_done(tab, "6 × 7?")
    assert await texts(tab, ".card.won .star") == ["★ #0"]
    assert await tab.js("document.querySelectorAll('.pool')[1].checkVisibility()") is False


@in_browser
async def test_the_winner_is_marked_and_everything_is_said_about_it(tab, server):
    server.script = pool
    await opened(tab, server)
    await asked_and_done(tab, ARABIC)
    assert tab.errors == []
    assert await text(tab, ".answer > .text") == "٦ × ٧ = 42"
    assert await text(tab, ".answer .star") == "★ #2"
    assert await texts(tab, ".card .top > :first-child") == ["★ #2", "#1", "#0"]
    won = await text(tab, ".card.won")
    for said in (
        "winner",
        "Arabic",
        "score 0.75",
        "weight 90%",
        "T 0.7",
        "tokens 12,345",
        "complete",
        "mini",
    ):
        assert said in won
    assert await tab.js("document.querySelector('.card.won .bar i').style.inlineSize") == "90%"
    _, failed, cut = await texts(tab, ".card")
    assert "failed: upstream answered 500" in failed
    assert "cut off" in cut
    assert await texts(tab, ".seen .chip") == ["1 = #0", "2 = #2 ★"]
    why = await text(tab, ".why")
    assert why.count("المرشح 2") == 1
    assert "[[2]]" not in why
    assert await texts(tab, ".why h4") == ["قائمة التحقق"]
    assert await texts(tab, ".why strong") == ["المرشح 2"]
    assert await texts(tab, ".cost tr") == [
        "RoleCallsReadCachedWritten",
        "policy320430",
        "judge1100050",
        "Total4120480",
    ]
    assert await texts(tab, ".cost dd") == ["1.3 sec", "3.21 TFLOP", "0.0125", "parallel"]
    assert await text(tab, ".clock") == "1.3 sec"
    assert await text(tab, ".notes") == "one of three failed"
    assert "winner #2" in await text(tab, "#live")


@in_browser
async def test_an_answer_is_seen_while_it_is_written(tab, server):
    go_on = asyncio.Event()

    async def fusing(ask, say, request):
        await say.start(request)
        parts = [candidate("東京", language="ja"), candidate("大阪", language="ja")]
        for one in parts:
            await say.candidate(one)
        await say.text("首都は")
        await go_on.wait()
        await say.text("東京です")
        final = [{**one, "id": i} for i, one in enumerate(parts)]
        fused = candidate("首都は東京です", id=2, language="ja", parents=[0, 1])
        await say.finish("首都は東京です", chosen=2, candidates=[*final, fused])

    server.script = fusing
    await opened(tab, server)
    await run(tab, "日本の首都は？")
    await tab.until("document.querySelector('.answer .prose')?.textContent === '首都は'")
    assert await text(tab, ".status span") == "Writing · 2"
    assert await tab.js("document.querySelector('.answer .prose p').lang") == "ja"
    go_on.set()
    await tab.until("!running")
    assert await text(tab, ".answer > .text") == "首都は東京です"
    assert await texts(tab, ".card .top > :first-child") == ["#0", "#1", "★ #2"]
    assert "from \u2066#0\u2069 \u2066#1\u2069" in await text(tab, ".card.won")


@in_browser
async def test_games_of_two_and_calls_of_tools_are_shown(tab, server):
    call = {"id": "c1", "name": "weather", "arguments": '{"city":"القاهرة"}'}

    async def script(ask, say, request):
        await say.start(request)
        one = candidate("", tool_calls=[call])
        await say.candidate(one)
        await say.candidate({**one, "tool_calls": []})
        games = [
            {"a": 0, "b": 1, "verdict": "B>>A", "reply": "B is better\n\n[[B>>A]]"},
            {"a": 1, "b": 0, "verdict": None, "problem": "no verdict"},
        ]
        final = [{**one, "id": 1}, {**one, "tool_calls": [], "id": 0}]
        await say.finish("", chosen=1, candidates=final, details={"games": games, "more": {"k": [[1, 2]]}})

    server.script = script
    await opened(tab, server)
    await asked_and_done(tab, "weather?")
    assert await texts(tab, ".why .reply summary") == ["#1 ≫ #0", "#1 ? #0 no verdict"]
    assert await texts(tab, ".why .reply .chip") == ["A = #0", "B = #1"]
    assert await texts(tab, ".why .reply .prose") == ["B is better"]
    assert await texts(tab, ".card.won pre") == ['weather({"city":"القاهرة"})']
    assert await text(tab, ".answer pre") == 'weather({"city":"القاهرة"})'
    assert await texts(tab, ".tree .tree .tree bdi") == ["1, 2"]


@in_browser
async def test_what_a_candidate_thought_is_folded_away_in_its_own_direction(tab, server):
    async def script(ask, say, request):
        await say.start(request)
        await say.candidate(candidate("42", language="ar", reasoning="ستة في سبعة"))
        await say.candidate(candidate("42", language="ja"))
        await say.finish("42", chosen=None, candidates=None)

    server.script = script
    await opened(tab, server)
    await asked_and_done(tab, ARABIC)
    assert await texts(tab, ".card .reasoning summary") == ["Reasoning"]
    assert await tab.js("document.querySelector('.card .reasoning').open") is False
    assert await texts(tab, ".card .reasoning .prose") == ["ستة في سبعة"]
    style = "getComputedStyle(document.querySelector('.reasoning .prose p')).direction"
    assert await tab.js(style) == "rtl"


@in_browser
async def test_many_games_do_not_push_the_candidates_away(tab, server):
    async def script(ask, say, request):
        await say.start(request)
        players = [candidate(str(i), id=i) for i in range(12)]
        games = [
            {"a": i, "b": j, "verdict": "A>B", "reply": "A"} for i in range(12) for j in range(12) if i != j
        ]
        await say.finish("0", chosen=0, candidates=players, details={"games": games})

    server.script = script
    await opened(tab, server)
    await asked_and_done(tab, "which?")
    assert await tab.js("document.querySelectorAll('.why summary').length") == 132
    assert await tab.js("document.querySelector('.answer').offsetHeight < innerHeight")


@in_browser
async def test_what_a_critic_said_keeps_its_lines_and_its_direction(tab, server):
    critique = "## مراجعة\n- الحساب خطأ\n\n[[2]]"

    async def refining(ask, say, request):
        await say.start(request)
        drawn = [candidate("41", id=0), candidate("42", id=1, parents=[0])]
        critiques = [
            {"of": 0, "verdict": 2, "reply": critique},
            {"of": 1, "verdict": None, "problem": "no verdict"},
        ]
        details = {"critiques": critiques, "more": "one\ntwo"}
        await say.finish("42", chosen=1, candidates=drawn, details=details)

    server.script = refining
    await opened(tab, server)
    await asked_and_done(tab, ARABIC)
    assert await texts(tab, ".seen .chip") == ["#0 ✗", "#1"]
    assert await texts(tab, ".judged h4") == ["مراجعة"]
    assert await texts(tab, ".judged .item") == ["-الحساب خطأ"]
    assert await tab.js("getComputedStyle(document.querySelector('.judged .item')).direction") == "rtl"
    assert await texts(tab, ".judged .bad") == ["no verdict"]
    assert (
        await tab.js("getComputedStyle(document.querySelector('.tree p')).whiteSpaceCollapse") == "preserve"
    )


@in_browser
async def test_hostile_texts_are_harmless(tab, server):
    async def script(ask, say, request):
        await say.start(request)
        one = candidate(HOSTILE, error=None, engine=HOSTILE, language="xx-" + HOSTILE)
        await say.candidate(one)
        await say.text(HOSTILE)
        await say.finish(
            HOSTILE,
            chosen=0,
            rationale=f"# {HOSTILE}\n- **{HOSTILE}**\n|a|\n|-|\n|{HOSTILE}|\n```\n{HOSTILE}",
            details={HOSTILE: [HOSTILE]},
            notes=[HOSTILE],
            candidates=[{**one, "id": 0}],
            usage_by_role={"policy": {"prompt": 1, "completion": 1, "calls": 1}},
        )

    server.script = script
    await opened(tab, server)
    await asked_and_done(tab, HOSTILE)
    assert (await tab.js("document.body.textContent")).count("window.ran=1") > 12
    assert await tab.js("document.querySelectorAll('main script, img').length") == 0
    assert await tab.js("window.ran ?? null") is None
    assert tab.errors == []


@in_browser
async def test_no_other_script_and_no_markup_from_text_may_enter(tab, server):
    await opened(tab, server)
    await tab.js(
        "try { document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'})) } catch {}"
    )
    assert await tab.js("window.ran ?? null") is None
    assert await tab.js("try { document.body.innerHTML = '<b>x</b>'; false } catch { true }")
    assert await tab.js("fetch('http://127.0.0.1:9/').then(() => false, () => true)")


@in_browser
async def test_stop_cancels_the_work_and_keeps_what_is_there(tab, server):
    async def endless(ask, say, request):
        await say.start(request)
        await say.candidate(candidate("one"))
        await asyncio.sleep(60)

    server.script = endless
    await opened(tab, server)
    await run(tab, "anything")
    await tab.until("!!document.querySelector('.card:not(.empty)')")
    assert await tab.js("byId('run').disabled && !byId('stop').disabled")
    await tab.js("byId('stop').click()")
    await asyncio.wait_for(server.was_cancelled.wait(), 5)
    await tab.until("!running")
    assert (await text(tab, ".status span")).startswith("Stopped")
    assert await texts(tab, ".card .prose") == ["one"]
    assert await tab.js("document.querySelector('.run > .problem').hidden")


@in_browser
async def test_on_a_telephone_a_run_and_what_stops_it_are_in_sight_together(tab, server):
    async def endless(ask, say, request):
        await say.start(request)
        await asyncio.sleep(60)

    server.script = endless
    await opened(tab, server, width=360, height=640)
    await run(tab, "word " * 9999)
    await tab.until("!!document.querySelector('.status')")
    for place in ("#stop", ".status"):
        box = f"document.querySelector({place!r}).getBoundingClientRect()"
        assert await tab.js(f"{box}.top >= 0 && {box}.bottom <= innerHeight")
    await tab.js("byId('stop').click()")
    await tab.until("!running")


@in_browser
async def test_errors_are_shown_where_they_happen(tab, server):
    async def refused(ask, say, request):
        raise web.HTTPTooManyRequests(text="too many requests of this key")

    async def broken(ask, say, request):
        await say.start(request)
        await say.candidate(candidate("one"))
        await say.error("every upstream is down")

    async def cut(ask, say, request):
        await say.start(request)
        await say.raw(b'data: {"choices": [], "nb')
        request.transport.close()

    async def silent(ask, say, request):
        await say.start(request)

    problem = ".run > .problem"
    expected = {
        refused: "too many requests of this key Try again in 7 s.",
        broken: "every upstream is down",
        cut: "The connection ended before the answer.",
        silent: "The connection ended before the answer.",
    }
    await opened(tab, server)
    for script, message in expected.items():
        server.script = script
        await asked_and_done(tab, "anything")
        assert await text(tab, problem) == message
        assert await tab.js(f"document.querySelector('{problem}').getAttribute('role')") == "alert"
        assert (await text(tab, ".status span")).startswith("failed")
    await tab.js("byId('prompt').value = ' '; byId('run').click()")
    assert await text(tab, "#problem") == "Type a prompt first."


@in_browser
async def test_a_server_that_is_gone_is_named_as_such(tab, server):
    await opened(tab, server)
    await tab.js("globalThis.fetch = () => Promise.reject(new TypeError('no'))")
    await asked_and_done(tab, "anything")
    assert await text(tab, ".run > .problem") == "The server cannot be reached."


@in_browser
async def test_a_key_is_asked_for_when_the_server_wants_one_and_not_kept_for_long(tab, server):
    server.script = pool
    server.key = standin.KEY
    await opened(tab, server)
    assert await tab.js("byId('key-row').hidden") is False
    assert await text(tab, "#problem") == "This server wants an API key."
    assert await tab.js("document.activeElement.id") == "key"
    enter = "byId('key').value = {0!r}; byId('key').dispatchEvent(new Event('change'))"
    await tab.js(enter.format("wrong"))
    await tab.until("byId('problem').textContent === 'The server does not accept this key.'")
    await tab.js(enter.format(standin.KEY))
    await tab.until("models.size === 2 && byId('problem').hidden")
    await asked_and_done(tab, ARABIC)
    assert await text(tab, ".answer .star") == "★ #2"
    assert await tab.js("Object.values(sessionStorage)") == [standin.KEY]
    assert standin.KEY not in await tab.js("JSON.stringify([{...localStorage}, document.cookie])")


@in_browser
async def test_texts_have_their_language_and_direction(tab, server):
    async def mixed(ask, say, request):
        await say.start(request)
        said = {
            "ar": "GPU هي وحدة ٤٢\n\n٤٢ = 42",
            "he": "התשובה 42",
            "ja": "答えは42",
            "en": "It is 42 (اثنان)",
        }
        for code, words in said.items():
            await say.candidate(candidate(words, language=code))
        await say.finish("42", chosen=None, candidates=None)

    server.script = mixed
    await opened(tab, server)
    await asked_and_done(tab, ARABIC)
    style = "[...document.querySelectorAll('.card .prose p')].map((p) => getComputedStyle(p).direction)"
    assert await tab.js(style) == ["rtl", "rtl", "rtl", "ltr", "ltr"]
    langs = "[...document.querySelectorAll('.card .prose')].map((p) => p.lang)"
    assert await tab.js(langs) == ["ar", "he", "ja", "en"]
    assert await tab.js("getComputedStyle(document.querySelector('.asked .prose p')).direction") == "rtl"
    assert await tab.js("getComputedStyle(byId('prompt')).direction") == "rtl"


@in_browser
@pytest.mark.parametrize(("locale", "direction"), [("ar", "rtl"), ("ja", "ltr")])
async def test_a_tally_reads_as_the_labels_around_it(tab, server, locale, direction):
    async def voting(ask, say, request):
        await say.start(request)
        await say.finish("42", chosen=None, rationale="42: 5 · 41: 1")

    server.script = voting
    await opened(tab, server, locale=locale)
    await asked_and_done(tab, ARABIC)
    assert await tab.js("getComputedStyle(document.querySelector('.why .prose p')).direction") == direction


@in_browser
@pytest.mark.parametrize("language", ["en", "ar", "hi", "ja", "ko", "th", "zh"])
async def test_code_keeps_its_columns_in_every_language(tab, server, language):
    async def coding(ask, say, request):
        await say.start(request)
        await say.candidate(candidate("```\niiii\nwwww\n```", language=language))
        await say.finish("", chosen=None, strategy="parallel(selector=best(scorer=logprob))")

    server.script = coding
    await opened(tab, server, locale=language)
    await asked_and_done(tab, ARABIC)
    fonts = (
        "[...document.querySelectorAll('.card code, .cost code')].map((n) => getComputedStyle(n).fontFamily)"
    )
    assert ["monospace" in font for font in await tab.js(fonts)] == [True, True]


@in_browser
async def test_a_strategy_is_broken_between_its_parts(tab, server):
    spec = "parallel(selector=best(scorer=reward_model))"

    async def script(ask, say, request):
        await say.start(request)
        await say.finish("42", chosen=None, strategy=spec)

    server.script = script
    await opened(tab, server, width=1280)
    await asked_and_done(tab, ARABIC)
    assert await text(tab, ".cost code") == spec
    lines = """[...document.querySelector(".cost code").childNodes].filter((n) => n.data).map((n) => {
      const range = document.createRange();
      range.selectNode(n);
      return range.getClientRects().length;
    })"""
    assert set(await tab.js(lines)) == {1}


@in_browser
@pytest.mark.parametrize(
    ("locale", "said", "direction"),
    [("ar-EG", "الفائزة", "rtl"), ("ja", "採用", "ltr"), ("sw,th", "ผู้ชนะ", "ltr"), ("sw", "winner", "ltr")],
)
async def test_the_interface_speaks_the_readers_language(tab, server, locale, said, direction):
    server.script = pool
    await opened(tab, server, locale=locale)
    await asked_and_done(tab, JAPANESE)
    assert await text(tab, ".card.won .chip.won") == said
    assert await tab.js("document.documentElement.dir") == direction
    assert tab.errors == []


@in_browser
async def test_the_language_of_the_interface_can_be_switched_while_a_run_is_shown(tab, server):
    server.script = pool
    await opened(tab, server)
    await asked_and_done(tab, ARABIC)
    everything = "byId('interface').value = {0!r}; byId('interface').dispatchEvent(new Event('change'))"
    for code in await tab.js("Object.keys(DATA.words)"):
        await tab.js(everything.format(code))
        assert await tab.js("document.documentElement.lang") == code
        assert await tab.js("[...document.querySelectorAll('[data-word]')].every((n) => n.textContent)")
        assert await text(tab, ".card.won .chip.won") == await tab.js(f"DATA.words[{code!r}].winner")
        assert await tab.js("document.documentElement.scrollWidth <= innerWidth")
    await tab.call("Page.navigate", url=server.url)
    await tab.until("document.documentElement?.dataset.ready === 'true'")
    assert await tab.js("document.documentElement.lang") == code


@in_browser
async def test_everything_can_be_done_from_the_keyboard(tab, server):
    async def endless(ask, say, request):
        await say.start(request)
        await asyncio.sleep(60)

    async def key(name, modifiers=0):
        for kind in ("rawKeyDown", "keyUp"):
            code = {"Tab": 9, "Enter": 13, "Escape": 27}[name]
            await tab.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                modifiers=modifiers,
                windowsVirtualKeyCode=code,
            )

    server.script = endless
    await opened(tab, server)
    await tab.js("byId('prompt').focus()")
    seen = []
    for _ in range(12):
        await key("Tab")
        seen.append(await tab.js("document.activeElement.id || document.activeElement.lang"))
    expected = [
        "ar",
        "zh",
        "hi",
        "ja",
        "ru",
        "th",
        "model",
        "strategy",
        "size",
        "deadline",
        "language",
        "run",
    ]
    assert seen == expected
    assert await tab.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await tab.js("byId('prompt').value = 'hi'; byId('prompt').focus()")
    await key("Enter", modifiers=2)
    await tab.until("!!(running?.run && document.querySelector('.run'))")
    await key("Escape")
    await tab.until("!running")
    assert (await text(tab, ".status span")).startswith("Stopped")
    await tab.js("byId('run').focus()")
    await tab.js("byId('run').click()")
    await tab.until("!!running?.run")
    assert await tab.js("document.activeElement.id") == "stop"
    await tab.js("byId('stop').click()")
    await tab.until("!running")
    assert await tab.js("document.activeElement.id") == "run"


@in_browser
async def test_earlier_prompts_come_back_with_their_results_and_are_not_kept(tab, server):
    server.script = pool
    await opened(tab, server)
    await asked_and_done(tab, ARABIC, size="3")
    await asked_and_done(tab, JAPANESE, size="")
    assert await texts(tab, "#history .head") == [JAPANESE, ARABIC]
    await tab.js("byId('model').value = 'small@careful'; hint()")
    await tab.js("document.querySelectorAll('#history button')[1].click()")
    assert await tab.js("[byId('model').value, byId('strategy').placeholder]") == ["small", "parallel"]
    assert await text(tab, ".asked .prose") == ARABIC
    assert await text(tab, ".card.won .star") == "★ #2"
    assert await tab.js("[byId('prompt').value, byId('size').value]") == [ARABIC, "3"]
    assert await tab.js("document.activeElement.textContent.includes('كم')")
    kept = await tab.js("JSON.stringify([{...localStorage}, {...sessionStorage}, location.href])")
    assert ARABIC not in kept


@in_browser
@pytest.mark.parametrize("width", [360, 768, 1600])
@pytest.mark.parametrize("locale", ["de", "ar"])
async def test_it_fits_every_width(tab, server, width, locale):
    server.script = pool
    await opened(tab, server, width=width, locale=locale)
    await asked_and_done(tab, "Donaudampfschifffahrtsgesellschaft" * 9, strategy="parallel(" * 20)
    assert await tab.js("document.documentElement.scrollWidth") == width


@in_browser
@pytest.mark.parametrize("width", [360, 1280])
async def test_no_figure_of_the_cost_is_cut_off_in_any_language(tab, server, width):
    usage = {"prompt": 123456, "cached": 98304, "completion": 45678, "calls": 128}

    async def dear(ask, say, request):
        await say.start(request)
        roles = ("policy", "verifier", "judge", "fusor")
        await say.finish("42", chosen=None, usage_by_role=dict.fromkeys(roles, usage))

    server.script = dear
    await opened(tab, server, width=width)
    await asked_and_done(tab, ARABIC)
    cut = """Object.keys(DATA.words).filter((code) => {
      speak(code);
      const table = document.querySelector(".cost .scroll");
      return table.scrollWidth > table.clientWidth;
    })"""
    assert await tab.js(cut) == []


@in_browser
async def test_the_cost_stands_before_the_candidates_where_there_is_no_room_beside_the_answer(tab, server):
    server.script = pool
    await opened(tab, server, width=1100)
    await asked_and_done(tab, ARABIC)
    top = "document.querySelector({0!r}).getBoundingClientRect().top"
    places = [await tab.js(top.format(place)) for place in (".answer", ".cost", ".pool")]
    assert places == sorted(places)


@in_browser
async def test_a_refusal_stands_without_empty_tables(tab, server):
    async def refused(ask, say, request):
        raise web.HTTPTooManyRequests(text="too many requests of this key")

    server.script = refused
    await opened(tab, server)
    await asked_and_done(tab, ARABIC)
    assert await tab.js("document.querySelector('.run > .problem').checkVisibility()")
    assert not await tab.js("document.querySelector('.cost').checkVisibility()")
    assert not await tab.js("document.querySelector('.pool').checkVisibility()")


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read_in_both_schemes(tab, server, scheme):
    server.script = pool
    await opened(tab, server)
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    wanted = [{"name": "prefers-color-scheme", "value": scheme}, still]
    await tab.call("Emulation.setEmulatedMedia", features=wanted)
    await asked_and_done(tab, ARABIC, strategy="rsa")
    await tab.js("byId('prompt').value = byId('strategy').value = ''")
    assert await tab.js(chromium.TOO_FAINT) == []


@in_browser
async def test_it_follows_the_scheme_and_moves_nothing_where_that_is_not_wanted(tab, server):
    server.script = pool
    await opened(tab, server)
    await asked_and_done(tab, ARABIC)
    moving = (
        "document.getAnimations().length + getComputedStyle(document.querySelector('.card')).animationName"
    )
    colour = "getComputedStyle(document.body).backgroundColor"
    light = await tab.js(colour)
    wanted = [
        {"name": "prefers-color-scheme", "value": "dark"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    await tab.call("Emulation.setEmulatedMedia", features=wanted)
    assert await tab.js(colour) != light
    assert await tab.js(moving) == "0none"
    await tab.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert await tab.js("getComputedStyle(byId('side')).display") == "none"
    assert await tab.js("getComputedStyle(document.querySelector('.card .text')).maxBlockSize") == "none"
    await tab.call("Emulation.setEmulatedMedia", media="", features=[])
