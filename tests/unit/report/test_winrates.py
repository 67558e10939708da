import asyncio

import pytest

import runs
from nbest.arena.pairings import game_id
from nbest.report.gather import gather
from nbest.report.report import write
from nbest.report.winrates import is_store, win_rate_figures
from nbest.types import Outcome, Prompt, Selection, Usage


def store(path, paths, grades):
    """Verdicts on every prompt of two runs, `grades` in both orders."""
    found = asyncio.run(gather(paths))
    games = []
    for number, id_ in enumerate(found.ids):
        for systems, grade in zip((("pool", "first"), ("first", "pool")), grades, strict=True):
            sides = tuple(
                runs.Candidate(id=k, text=f"{s} {number}", meta={"system": s}) for k, s in enumerate(systems)
            )
            games.append(
                Outcome(
                    prompt=Prompt(id=game_id(id_, *systems), messages=(), language=found.languages[number]),
                    strategy="pairwise",
                    seed=0,
                    selection=Selection(
                        winner=sides[0], weights={0: 1.0}, details={"verdict": grade, "asked": True}
                    ),
                    candidates=sides,
                    usage={"judge": Usage(prompt=50, completion=5, calls=1)},
                )
            )
    with runs.RunWriter(path, {"judge": {"engine": "fake"}}) as writer:
        for game in games:
            writer.append(game)
    return path


def test_win_rates_stand_against_measured_cost(tmp_path):
    paths = runs.two_runs(tmp_path)
    verdicts = store(tmp_path / "verdicts", paths, ("A>B", "B>A"))
    assert is_store(verdicts)
    assert not is_store(paths[0])
    assert not is_store(tmp_path)
    found = asyncio.run(gather([paths[1], paths[0]]))
    (figure,) = win_rate_figures(found, [verdicts], cluster=None)
    (row,) = figure.tables[0].rows
    assert row[:2] == ("pool", "30")
    assert row[2].startswith("100.0 [")
    assert figure.drawing is not None
    assert "pool: 100.0" in figure.drawing.inline()


def test_a_report_takes_a_store_among_its_runs(tmp_path):
    paths = runs.two_runs(tmp_path)
    verdicts = store(tmp_path / "verdicts", paths, ("A=B", "A=B"))
    write([*paths, verdicts], out=tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert '<section id="win-rate">' in page


@pytest.mark.parametrize("names", [("pool", "other"), ("other", "another")])
def test_runs_that_are_not_in_the_report_are_in_the_table_alone(tmp_path, names):
    paths = runs.two_runs(tmp_path)
    verdicts = store(tmp_path / "verdicts", paths, ("A>B", "B>A"))
    for path, name in zip(paths, names, strict=True):
        path.rename(tmp_path / f"moved-{name}")
    found = asyncio.run(gather([tmp_path / f"moved-{n}" for n in names]))
    (figure,) = win_rate_figures(found, [verdicts], cluster=None)
    assert figure.drawing is None
    assert figure.tables[0].rows
