"""`languages.toml`, loaded: sentences, digits and number agreement of each language."""

import tomllib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Language:
    """The sentences of one language; lists are aligned over the languages (see `languages.toml`)."""

    code: str
    share: float
    """Share of the training data, 0 to 1."""
    digits: str
    names: list[str]
    obj: list[str]
    start: list[str]
    add: list[str]
    sub: list[str]
    mul: list[str]
    double: list[str]
    triple: list[str]
    div: list[str]
    half: list[str]
    again: list[str]
    aside: list[str]
    ask: list[str]
    given: str
    step: list[str]
    answer: str
    retry: str
    joiner: str = " "
    """Between sentences."""
    separator: str = ", "
    """Between the givens."""
    operators: list[str] = field(default_factory=lambda: [" + ", " - ", " × ", " ÷ "])
    words: list[str] = field(default_factory=list[str])
    more_forms: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Further forms of the names and objects, such as `name_gen` and `obj_few`."""

    def number(self, value: int) -> str:
        """The number in the language's digits."""
        return "".join(self.digits[int(digit)] for digit in str(value))

    def operator(self, sign: str) -> str:
        """How the language writes one of + - × ÷ inside an equation."""
        return self.operators["+-×÷".index(sign)]

    def word(self, value: int) -> str:
        """A small number as a word where the language has `words`, else in digits."""
        if value < len(self.words):
            return self.words[value]
        return self.number(value)

    def noun(self, obj: int, value: int, *, case: str = "") -> str:
        """The object's form that agrees with `value`; `case` "_acc" asks for the accusative."""
        form = _PLURAL_FORM_BY_LANGUAGE.get(self.code, _one_form)(value)
        for key in (f"obj{form}{case}", f"obj{form}"):
            if key in self.more_forms:
                return self.more_forms[key][obj]
        return self.obj[obj]

    def forms(self, name: int, obj: int) -> dict[str, str]:
        """Values for the placeholders {name}, {obj}, {name_*}, {obj_*} and {unit}."""
        chosen = {"name": self.names[name], "obj": self.obj[obj]}
        for key, form in self.more_forms.items():
            chosen[key] = form[name if key.startswith("name") else obj]
        return chosen

    def templates(self, kind: str, number: int) -> list[str]:
        """The sentences for an operation; doubling, tripling and halving have their own."""
        match kind, number:
            case "mul", 2:
                return self.double
            case "mul", 3:
                return self.triple
            case "div", 2:
                return self.half
            case _:
                return {
                    "add": self.add,
                    "sub": self.sub,
                    "mul": self.mul,
                    "div": self.div,
                    "again": self.again,
                }[kind]


_TEENS = range(11, 15)
_ARABIC_PLURAL = range(3, 11)


def _one_form(value: int) -> str:  # noqa: ARG001 - the signature of the other rules
    return ""


def _russian_form(value: int) -> str:
    if value % 100 in _TEENS:
        return ""
    return {1: "_one", 2: "_few", 3: "_few", 4: "_few"}.get(value % 10, "")


def _arabic_form(value: int) -> str:
    if value % 100 in _ARABIC_PLURAL:
        return "_plural"
    return ""


_PLURAL_FORM_BY_LANGUAGE = {"ru": _russian_form, "ar": _arabic_form}


def _load() -> dict[str, Language]:
    source = files("nbest.lab").joinpath("languages.toml").read_text("utf-8")
    tables: dict[str, dict[str, Any]] = tomllib.loads(source)
    languages: dict[str, Language] = {}
    for code, table in tables.items():
        is_form = {key: key.startswith(("name_", "obj_")) or key == "unit" for key in table}
        more_forms = {key: form for key, form in table.items() if is_form[key]}
        known = {key: value for key, value in table.items() if not is_form[key]}
        if "operators" in known:
            known["operators"] = list(known["operators"])
        languages[code] = Language(code=code, more_forms=more_forms, **known)
    return languages


LANGUAGES = _load()
"""Every language by its ISO 639-1 code, largest training share first where the file says so."""
