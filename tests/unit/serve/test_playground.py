import base64
import hashlib
import re
import tomllib
from importlib.resources import files

import pytest

from nbest import registry
from nbest.serve.playground import playground

WORDS = tomllib.loads(files("nbest.serve.playground").joinpath("words.toml").read_text(encoding="utf-8"))
HTML = playground.html()
POLICY = dict(part.split(" ", 1) for part in playground.headers()["Content-Security-Policy"].split("; "))


@pytest.mark.parametrize("language", WORDS)
def test_every_language_has_every_label_with_its_places(language):
    def places(words):
        return {key: sorted(re.findall(r"\{\w+\}", said)) for key, said in words.items()}

    assert places(WORDS[language]) == places(WORDS["en"])
    assert all(said.strip() for said in WORDS[language].values())


def test_every_label_that_is_used_exists_and_every_one_that_exists_is_used():
    used = set(re.findall(r'data-(?:word|placeholder|name)="(\w+)"', HTML))
    scripts = HTML[HTML.rindex("<script>") :]
    unused = {k for k in WORDS["en"] if k not in used and f'"{k}"' not in scripts}
    assert unused == {"verifier", "judge", "fusor"}  # as the server names roles
    assert used | set(re.findall(r'\bword\("(\w+)"', scripts)) <= set(WORDS["en"])


@pytest.mark.parametrize(("tag", "directive"), [("script", "script-src"), ("style", "style-src")])
def test_the_policy_admits_the_one_script_and_the_one_style(tag, directive):
    [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", HTML, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert POLICY[directive] == f"'sha256-{digest}'"
    assert "unsafe" not in str(POLICY)
    assert POLICY["default-src"] == "'none'"


def test_the_page_names_no_other_server_and_has_no_handlers_in_its_markup():
    addresses = re.findall(r"\w+://[^\s'\"]+", HTML)
    assert set(addresses) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<[^>]*\s(?:on\w+|style)\s*=", HTML[: HTML.index('<script type="application')])
    assert "{{" not in re.sub(r"<script.*?</script>", "", HTML, flags=re.DOTALL)


def test_the_strategies_that_are_offered_can_be_built():
    offered = re.findall(r'<option value="([^"]+)"></option>', HTML)
    assert offered
    for spec in offered:
        registry.parse("strategies", spec)
