from importlib.resources import files
from pathlib import Path

from nbest.lab.demo_prompts import write_demo_prompts


def test_shipped_prompts_are_what_the_generator_writes(tmp_path: Path):
    write_demo_prompts(tmp_path / "mini.jsonl")
    shipped = files("nbest").joinpath("data/prompts/mini.jsonl").read_text("utf-8")
    assert (tmp_path / "mini.jsonl").read_text("utf-8") == shipped
