import pytest

from nbest.serve import descriptors


@pytest.mark.parametrize(
    ("limit", "connections"),
    [(64, 32), (256, 128), (1024, 512), (65_536, 60_536), (1 << 20, (1 << 20) - 5000)],
)
def test_half_of_few_descriptors_and_most_of_many_are_for_clients(limit, connections):
    assert descriptors.max_connections(limit) == connections


@pytest.mark.parametrize(
    ("soft", "hard", "limit"),
    [(64, 4096, 4096), (4096, 4096, 4096), (1024, -1, 1 << 20), (1024, 1 << 30, 1 << 20)],
)
def test_the_limit_is_raised_to_the_hard_one(monkeypatch, soft, hard, limit):
    limits = [(soft, hard)]
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(descriptors.resource, "setrlimit", lambda _, new: limits.append(new))
    assert descriptors.raise_limit() == limit
    assert limits[-1] == (limit, hard)


def test_a_system_that_allows_less_than_it_says_keeps_its_limit(monkeypatch):
    def refuse(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (256, -1))
    monkeypatch.setattr(descriptors.resource, "setrlimit", refuse)
    assert descriptors.raise_limit() == 256
