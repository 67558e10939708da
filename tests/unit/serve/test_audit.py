"""What a gateway opens, calls and starts while clients say whatever they like, by Python's audit hook."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "audited_gateway.py"


@pytest.fixture(scope="module")
def found():
    ended = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def events(found, *names):
    return [args for name, args in found["events"] if name in names]


def test_the_requests_are_answered_or_refused_and_never_fail(found):
    statuses = found["statuses"]
    assert len(statuses) > 1000
    assert set(statuses) <= {200, 400, 404}
    assert statuses.count(200) > 100


def test_nothing_outside_of_the_install_is_opened_or_listed(found):
    install = tuple(found["install"])
    opened = events(found, "open", "os.listdir", "os.scandir", "glob.glob")
    assert opened
    assert not [args for args in opened if not args[0].startswith(install)]


def test_nothing_but_the_upstream_is_connected_to(found):
    addresses = {args[1] for args in events(found, "socket.connect")}
    assert addresses
    assert addresses <= {f"('127.0.0.1', {port})" for port in found["ports"]}


def test_no_process_is_started_and_no_library_loaded_for_a_client(found):
    started = events(
        found, "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty"
    )
    assert not started
    loaded = events(found, "ctypes.dlopen")
    assert not [args for args in loaded if any(text in args[0] for text in ("/etc", "evil", "passwd"))]
