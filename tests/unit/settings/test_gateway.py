import re
from pathlib import Path

import pytest

from nbest.errors import InputError
from nbest.settings.gateway import Key, Serve, read

ROOT = Path(__file__).parents[3]

SHA = "0123456789abcdef" * 4
OTHER = "f" * 64
GOOD = f"""
engine = "fake"
select = "vote"
[budget]
tokens = 5000
[serve]
port = 9000
deadline = 30
[[serve.keys]]
name = "ana"
sha256 = "{SHA}"
tokens_per_minute = 1000
[[serve.keys]]
name = "बिन्दु"
sha256 = "{OTHER}"
[serve.prices.policy]
prompt = 0.15
completion = 0.6
[serve.sizes.judge]
parameters = 8e9
[presets]
"速い" = "parallel(sampler=iid(n=2))"
fast = "short_m_at_k"
"""


def written(tmp_path, text):
    file = tmp_path / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_everything_is_read(tmp_path):
    chosen = read(written(tmp_path, GOOD), {})
    assert (chosen.serve.port, chosen.serve.deadline, chosen.budget.tokens) == (9000, 30, 5000)
    assert [(k.name, k.tokens_per_minute) for k in chosen.serve.keys] == [("ana", 1000), ("बिन्दु", None)]
    assert chosen.serve.prices["policy"].completion == 0.6
    assert chosen.serve.sizes["judge"].parameters == 8e9
    assert chosen.presets["速い"] == "parallel(sampler=iid(n=2))"
    assert chosen.strategy_spec == "parallel(selector=vote)"


def test_flags_win(tmp_path):
    chosen = read(written(tmp_path, GOOD), {"port": 1, "sample": "iid(n=2)", "engine": None, "queue": 0})
    assert (chosen.serve.port, chosen.serve.queue, chosen.serve.deadline, chosen.engine) == (1, 0, 30, "fake")
    assert chosen.strategy_spec == "parallel(sampler=iid(n=2), selector=vote)"


def test_no_file_is_needed():
    chosen = read(None, {"engine": "fake", "concurrency": 2, "tokens": 5})
    assert (chosen.serve.concurrency, chosen.serve.host, chosen.budget.tokens) == (2, "127.0.0.1", 5)
    assert chosen.serve.token_limit == 64 * 4096


@pytest.mark.parametrize(
    ("line", "becomes", "says"),
    [
        ("port = 9000", "prot = 9000", "line 7: unknown key 'prot' in serve; did you mean 'port'? Known: host"),
        ("port = 9000", "port = 90000", "line 7: serve.port: expected `int` <= 65535"),
        ("port = 9000", "port = '1'", "line 7: serve.port: expected `int`, got `str`"),
        ("port = 9000", "record_rate = 1.5", "line 7: serve.record_rate: expected `float` <= 1.0"),
        ("deadline = 30", "deadline = 3000", "line 8: deadline 3000 is longer than 600"),
        ("deadline = 30", "deadline = 0", "line 8: serve.deadline: expected `float` > 0.0"),
        ("deadline = 30", "deadline = inf", "line 8: serve.deadline: expected `float` <= 1000000000.0"),
        ("deadline = 30", "max_deadline = inf", "line 8: serve.max_deadline: expected `float` <= 1000000000.0"),
        ('name = "ana"', 'nam = "ana"', "line 10: unknown key 'nam' in serve.keys[1]; did you mean 'name'?"),
        ('name = "ana"', "", "line 9: serve.keys[1]: object missing required field `name`"),
        ('name = "बिन्दु"', 'name = "ana"', "line 14: two keys have the same name"),
        (OTHER, SHA, "line 15: two keys have the same sha256"),
        (OTHER, "F" * 64, "line 15: serve.keys[2].sha256: expected `str` matching regex"),
        ("prompt = 0.15", "promt = 0.15", "line 17: unknown key 'promt' in serve.prices.policy; did you mean"),
        ("prompt = 0.15", "prompt = 'x'", "line 17: serve.prices.policy.prompt: expected `float`"),
        ("[serve.prices.policy]", "[serve.prices.polic]", "line 16: unknown role or engine 'polic'; did you mean 'policy'?"),
        ("parameters = 8e9", "parameters = 8e9\nactiv = 1", "line 21: unknown key 'activ' in serve.sizes.judge"),
        ("fast = ", "fast = 3 #", "line 23: presets.fast: expected `str`, got `int`"),
        ("short_m_at_k", "short_m_at", "line 23: fast: unknown strategy 'short_m_at'; did you mean"),
        ("iid(n=2)", "iid(n=two)", "line 22: 速い: iid(n=…): expected `int`"),
        ("short_m_at_k", "fuse(n=2, fusor='大きい')", "line 23: fast: no engine is called '大きい'; engines: policy"),
        ('select = "vote"', 'select = "chops(judge=big)"', "line 3: select: no engine is called 'big'; engines: policy"),
        ("fast =", '"a@b" =', "line 23: 'a@b' is no name for a preset"),
        ('engine = "fake"', "concurrency = 9", "line 2: concurrency is of runs; the gateway's stands under [serve]"),
        ("[presets]", "[preset]", "line 21: unknown key 'preset'; did you mean 'presets'?"),
        ("[presets]", "[presets", "line 21: Expected ']'"),
        ('select = "vote"', 'select = "vot"', "line 3: select: unknown selector 'vot'"),
        ("tokens = 5000", "token = 5000", "line 5: unknown key 'token' in budget; did you mean 'tokens'?"),
        ("tokens = 5000", "seconds = nan", "line 5: budget.seconds: expected `float` >= 0.0"),
        ("prompt = 0.15", "prompt = -1", "line 17: serve.prices.policy.prompt: expected `float` >= 0.0"),
        ("parameters = 8e9", "parameters = 0", "line 20: serve.sizes.judge.parameters: expected `float` > 0.0"),
        ("iid(n=2)", "iid(n=65)", "line 22: 速い: a pool of 65 is above max_n = 64 of [serve]"),
        ('select = "vote"', 'sample = "iid(n=65)"', "line 3: a pool of 65 is above max_n = 64 of [serve]"),
        ('engine = "fake"', 'engine = {judge = "fake"}', "line 2: no engine answers: name one  policy  (named: judge)"),
        (f'"{OTHER}"', f'"""{OTHER}\n"""', "line 15: serve.keys[2].sha256: expected `str` matching regex"),
        ("fast =", '"a\\u0085b" =', "line 23: 'a\\x85b' is no name for a preset"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path, line, becomes, says):
    assert GOOD.count(line) == 1
    with pytest.raises(InputError) as e:
        read(written(tmp_path, GOOD.replace(line, becomes)), {})
    assert says in str(e.value)
    assert str(e.value).startswith(f"{tmp_path}/gateway.toml, line ")


def test_the_pool_of_who_asks_for_none_is_checked_too(tmp_path):
    with pytest.raises(InputError, match=r"line 2: a pool of 5 is above max_n = 4 of \[serve\]"):
        read(written(tmp_path, "[serve]\nmax_n = 4"), {})
    with pytest.raises(InputError, match="a pool of 65 is above max_n = 64"):
        read(None, {"sample": "iid(n=65)"})


@pytest.mark.parametrize("name", ["فارسی‌زبان", "हिन्‍दी", "ไทย เร็ว"])
def test_a_preset_may_have_any_languages_name(tmp_path, name):
    chosen = read(written(tmp_path, GOOD.replace("fast =", f'"{name}" =')), {})
    assert name in chosen.presets


def test_a_deadline_from_the_flags_is_checked_too():
    with pytest.raises(InputError, match="longer than max_deadline"):
        read(None, {"deadline": 900.0})


def test_a_key_in_place_of_its_hash_is_not_repeated(tmp_path):
    with pytest.raises(InputError) as e:
        read(written(tmp_path, GOOD.replace(SHA, "nbest-secret")), {})
    assert "line 11" in str(e.value)
    assert "secret" not in str(e.value)


def test_hashes_are_not_shown(tmp_path):
    chosen = read(written(tmp_path, GOOD), {})
    assert SHA not in repr(chosen)
    assert "ana" in repr(chosen)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "gateway.example.org", ""])
def test_a_public_address_needs_keys(host, tmp_path):
    with pytest.raises(InputError, match=r"^`host` .* which `new_key` makes"):
        read(None, {"host": host})
    assert read(None, {"host": host}, insecure=True).serve.host == host
    assert read(written(tmp_path, GOOD), {"host": host}).serve.host == host


def test_a_public_address_in_the_file_is_an_error_with_its_line(tmp_path):
    file = written(tmp_path, '[serve]\nport = 9000\nhost = "0.0.0.0"\n')
    with pytest.raises(InputError, match=r"gateway\.toml, line 3: `host` 0\.0\.0\.0 lets other machines in"):
        read(file, {})
    assert read(file, {"host": "127.0.0.1"}).serve.host == "127.0.0.1"


def test_what_a_running_gateway_listens_at_counts_when_it_reads_again(tmp_path):
    file = written(tmp_path, '[serve]\nhost = "0.0.0.0"\n')
    assert read(file, {}, listens_at="127.0.0.1").serve.host == "0.0.0.0"
    with pytest.raises(InputError, match=r"^`host` 192\.168\.1\.2 lets other machines in"):
        read(None, {}, listens_at="192.168.1.2")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_this_machine_alone_needs_none(host):
    assert read(None, {"host": host}).serve.host == host


def test_the_documented_configuration_is_read(tmp_path):
    page = (ROOT / "docs" / "gateway-operations.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    chosen = read(written(tmp_path, block), {})
    assert chosen.serve.keys[0].tokens_per_minute == 1_000_000
    assert set(chosen.presets) == {"fast", "vote"}


def test_every_key_is_documented_with_its_default():
    page = (ROOT / "docs" / "gateway-operations.md").read_text(encoding="utf-8")
    rows = {
        name: row.split("|")[2].strip()
        for row in reversed(page.splitlines())  # the first table last: it stands
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert not {*Serve.__struct_fields__, *Key.__struct_fields__} - rows.keys()
    shown = {None: "none", True: "true", False: "false"}
    for name in ("host", "port", "concurrency", "queue", "deadline", "max_deadline", "max_n", "max_body_bytes",
                 "strategies_by_clients", "ui", "log_prompts", "record", "record_rate", "drain_s"):  # fmt: skip
        default = getattr(Serve(), name)
        if isinstance(default, str):
            assert rows[name] == f'`"{default}"`'
        elif isinstance(default, bool) or default is None:
            assert rows[name] == shown[default]
        else:
            assert float(rows[name]) == default


def test_the_configuration_for_containers_is_read():
    file = str(ROOT / "deploy" / "gateway.toml")
    read(file, {})
    with pytest.raises(InputError, match="`new_key`"):  # until its keys are written
        read(file, {"host": "0.0.0.0"})
