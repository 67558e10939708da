"""What SIGHUP does."""

import asyncio
import logging
import time

import pytest

from nbest.serve import start as serve_start
from nbest.serve.api_errors import ApiError
from nbest.serve.gateway import Gateway
from nbest.serve.keys import new_key
from nbest.serve.service import Service
from nbest.serve.start import _Server
from nbest.settings.gateway import read

KEYS = '[[serve.keys]]\nname = "鍵"\nsha256 = "{}"\n'.format("a" * 64)


@pytest.fixture(autouse=True)
def settles_fast(monkeypatch):
    monkeypatch.setattr(serve_start, "_SETTLE_S", 0.02)


class Told:
    def __init__(self):
        self.configs = []

    def use(self, gateway):
        self.configs.append(gateway.config)


class Running:
    """A gateway that has started, and its file."""

    def __init__(self, tmp_path, text):
        self.file = tmp_path / "gateway.toml"
        self.write(text)
        settings = read(str(self.file), {})
        self.server = _Server(settings, str(self.file), {}, insecure=False)
        self.service = Service(Gateway(settings))
        self.told = Told()

    def write(self, text):
        self.file.write_text(f'engine = "fake"\n{text}', encoding="utf-8")

    async def reload(self):
        await self.server._reload(self.service, self.told)

    @property
    def strategy(self):
        return self.service.gateway.config["strategy"]


async def test_a_good_configuration_is_taken_and_told(tmp_path):
    running = Running(tmp_path, 'sample = "iid(n=2)"')
    running.write('sample = "iid(n=3)"\n[presets]\n"सरल" = "vote(n=2)"\n')
    await running.reload()
    assert running.strategy == "parallel(sampler=iid(n=3))"
    assert running.told.configs == [running.service.gateway.config]
    assert running.service.is_ready


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 3", "gateway.toml, line 2: unknown key 'prot'"),
        ("[serve]\nport = ", "line 3: Invalid value"),
        ('model = "m"', "`model` means nothing to engine  fake"),
    ],
)
async def test_a_bad_one_is_said_and_the_old_one_stands(tmp_path, caplog, text, says):
    running = Running(tmp_path, 'sample = "iid(n=2)"')
    old = running.service.gateway
    running.write(text)
    await running.reload()
    assert running.service.gateway is old
    assert "the configuration stays as it was: " in caplog.text
    assert says in caplog.text
    assert not running.told.configs


async def test_a_withdrawn_key_is_out_at_once_though_no_engine_answers(tmp_path, caplog):
    withdrawn, config = new_key("鍵")
    kept, other = new_key("ключ")
    running = Running(tmp_path, config)
    old = running.service.gateway
    text = f'engine = "openai:http://127.0.0.1:1/v1"\n{other}# end\n'
    running.file.write_text(text, encoding="utf-8")
    await running.reload()
    assert running.service.gateway is old
    assert running.service.keys.who({"api-key": kept}).name == "ключ"
    with pytest.raises(ApiError):
        running.service.keys.who({"api-key": withdrawn})
    assert "keys and limits are the new ones, all else stays as it was: nobody answers at" in caplog.text


async def test_a_public_address_keeps_its_keys_whatever_the_file_says_of_the_address(tmp_path, caplog):
    running = Running(tmp_path, f'[serve]\nhost = "0.0.0.0"\n{KEYS}')
    running.write("[serve]\n")  # 127.0.0.1, which needs none; but 0.0.0.0 is still listened on
    await running.reload()
    assert running.service.gateway.settings.serve.keys
    assert "`host` 0.0.0.0 lets other machines in" in caplog.text


async def test_the_last_signal_counts_however_long_the_first_takes(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    running = Running(tmp_path, 'sample = "iid(n=2)"')
    asked, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Gateway):
        async def start(self):
            if self.config["strategy"].endswith("(n=3))"):
                asked.set()
                await go_on.wait()
            await super().start()

    monkeypatch.setattr(serve_start, "Gateway", Slow)
    running.write('sample = "iid(n=3)"')
    first = asyncio.ensure_future(running.reload())
    await asked.wait()
    running.write('sample = "iid(n=4)"')
    second = asyncio.ensure_future(running.reload())
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.gather(first, second)
    assert running.strategy == "parallel(sampler=iid(n=4))"


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "is empty"), (" \n\n", "is empty"), ('engine = "fake"\n', "has no keys any more")],
)
async def test_no_key_is_lost_to_a_file_that_is_empty_or_cut(tmp_path, caplog, text, says):
    running = Running(tmp_path, KEYS)
    old = running.service.gateway
    running.file.write_text(text, encoding="utf-8")
    await running.reload()
    assert running.service.gateway is old
    assert says in caplog.text
    with pytest.raises(ApiError):
        running.service.keys.who({})


async def test_an_empty_file_is_refused_where_there_were_no_keys_too(tmp_path, caplog):
    running = Running(tmp_path, 'sample = "iid(n=2)"')
    running.file.write_text("", encoding="utf-8")
    await running.reload()
    assert running.strategy == "parallel(sampler=iid(n=2))"
    assert "is empty" in caplog.text


async def test_a_file_that_is_still_being_written_is_read_when_it_is_whole(tmp_path):
    other = KEYS.replace("a" * 64, "b" * 64).replace("鍵", "مفتاح")
    running = Running(tmp_path, KEYS + other)
    running.write(KEYS)  # a configuration by itself, of which the second key is still to come
    reloading = asyncio.ensure_future(running.reload())
    await asyncio.sleep(0.01)
    running.write(KEYS + other + '[presets]\n"सरल" = "vote(n=2)"\n')
    await reloading
    assert [k.name for k in running.service.gateway.settings.serve.keys] == ["鍵", "مفتاح"]
    assert "सरल" in running.service.gateway.strategies.presets


@pytest.mark.parametrize("end", ["", "\n[presets]\n", "# end\n[presets]\n", "# the end\n"])
async def test_a_file_that_is_cut_between_two_keys_withdraws_none(tmp_path, caplog, end):
    kept, first = new_key("ключ")
    other, second = new_key("مفتاح")
    running = Running(tmp_path, first + second)
    running.write(first + end)
    await running.reload()
    assert "lacks the keys 'مفتاح', and may be cut" in caplog.text
    assert running.service.keys.who({"api-key": kept}).name == "ключ"
    assert running.service.keys.who({"api-key": other}).name == "مفتاح"


@pytest.mark.parametrize("end", ["# end", "# end\n\n", "  # end  \n"])
async def test_a_file_that_says_that_it_is_whole_withdraws_keys(tmp_path, end):
    kept, first = new_key("ключ")
    other, second = new_key("مفتاح")
    running = Running(tmp_path, first + second)
    running.write(first + end)
    await running.reload()
    assert running.service.keys.who({"api-key": kept}).name == "ключ"
    with pytest.raises(ApiError):
        running.service.keys.who({"api-key": other})


async def test_a_new_key_under_an_old_name_withdraws_the_old_one_which_needs_the_mark(tmp_path, caplog):
    _, first = new_key("ключ")
    rotated, second = new_key("ключ")
    running = Running(tmp_path, first)
    running.write(second)
    await running.reload()
    assert "lacks the keys 'ключ'" in caplog.text
    running.write(second + "# end")
    await running.reload()
    assert running.service.keys.who({"api-key": rotated}).name == "ключ"


async def test_a_file_that_is_slow_to_read_does_not_stop_the_event_loop(tmp_path, monkeypatch):
    running = Running(tmp_path, 'sample = "iid(n=2)"')
    read_file = serve_start.read

    def slow_read(*arguments, **options):
        time.sleep(0.3)
        return read_file(*arguments, **options)

    monkeypatch.setattr(serve_start, "read", slow_read)
    reloading = asyncio.ensure_future(running.reload())
    num_turns = 0
    while not reloading.done():
        await asyncio.sleep(0.001)
        num_turns += 1
    assert num_turns > 30
