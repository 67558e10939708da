import subprocess
import sys

import nbest


def test_all_is_what_is_visible_and_sorted():
    assert nbest.__all__ == sorted(nbest.__all__)
    assert set(dir(nbest)) - {"__version__"} == set(nbest.__all__)
    for name in nbest.__all__:
        assert getattr(nbest, name).__name__ == name


def test_older_names_are_the_new_functions():
    assert (nbest.solve, nbest.asolve) == (nbest.ask, nbest.ask_async)
    assert nbest.Session.solve is nbest.Session.ask
    assert nbest.SyncSession.solve is nbest.SyncSession.ask


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(nbest, "sovle")


def test_importing_the_package_loads_nothing_heavy():
    code = "import nbest, nbest.cli.main, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "scipy", "aiohttp", "xllamacpp", "msgspec", "torch"} & set(loaded)
