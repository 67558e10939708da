"""Public data that lies beside the repository and is never copied into it."""

from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1].parent / "shared" / "data"
MGSM_LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")


def path_of(name: str) -> Path:
    """A file under `../shared/data`; skips the test, saying why, where it is not there."""
    path = _ROOT / name
    if not path.exists():
        pytest.skip(f"public data not at hand: {name} is not beside the repository")
    return path


def mgsm(language: str) -> list[tuple[str, str]]:
    """Question and gold answer of every MGSM problem in `language`."""
    lines = path_of(f"mgsm/mgsm_{language}.tsv").read_text(encoding="utf-8").splitlines()
    return [(question, gold) for question, _, gold in (line.rpartition("\t") for line in lines)]
