"""Tests that need real servers run only where NBEST_SERVERS=1 says that they are there."""

import os

import pytest
from hypothesis import settings

# A busy machine is no counter-example.
settings.register_profile("nbest", deadline=None)
settings.load_profile("nbest")


@pytest.fixture(autouse=True)
def _programming_errors_raise(request, monkeypatch):
    """A bug in a strategy or plug-in fails the test instead of ending up in an outcome."""

    def surface(error):
        raise error

    if "internal_errors" not in request.keywords:
        monkeypatch.setattr("nbest.run.internal_error", surface)


def pytest_collection_modifyitems(items):
    if os.environ.get("NBEST_SERVERS") == "1":
        return
    skip = pytest.mark.skip(reason="needs real servers: make test-servers")
    for item in items:
        if "servers" in item.keywords:
            item.add_marker(skip)
