"""Documents in which every number is the number of its own line."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.toml_lines import lines_by_keys

TRICKY = '''
a = 2
# b = 0 [c] """
"quoted key" . 'and # this' = 4
"t\\u00e9\\"]" = 5
"日本" = 6
x . y = 7   # [no] table
text = """
[not.a.table]
n = 0 "" ""
\\""" """"
raw = \'\'\'
'' [[no]] \'\'\'\'
one = "# [ ] { } = , \\" \\\\"
two = 'C:\\'
at = 1979-05-27T07:32:00Z
list = [ 17, 17, # 17 ]
  18,

  [20, [20,
  21]], { n = 21, "m, }" = 21, o = { p = 21 } },
  """
""", 23,
  ] # list = 0
[table]
n = 26
  [ table . "sub.table" ]
  n = 28
[[items]]
n = 30
[items.inner]
n = 32
[[items.many]]
n = 34
[[items.many]]
n = 36
[items.many.deep]
n = 38
[[items]]
n = 40
[[items.many]]
n = 42
["заголовок"."ب"]
n = 44
empty = []
none = {}
n2 = 47'''


def numbers(value, keys=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, (*keys, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from numbers(inner, (*keys, i))
    elif isinstance(value, int):
        yield keys, value


def test_every_value_is_found_in_its_line():
    found = lines_by_keys(TRICKY)
    said = dict(numbers(tomllib.loads(TRICKY)))
    assert len(said) > 25
    assert {keys: found[keys] for keys in said} == said


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("table",), 25),
        (("table", "sub.table"), 27),
        (("items",), 29),
        (("items", 1), 39),
        (("items", 0, "many", 1), 35),
        (("items", 0, "many", 1, "deep"), 37),
        (("list", 3, 1), 20),
        (("quoted key",), 4),
    ],
)
def test_tables_and_items_begin_where_they_are_first_named(keys, line):
    assert lines_by_keys(TRICKY)[keys] == line


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", min_codepoint=32), max_size=6)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3), TEXT), unique_by=lambda row: row[0]))
def test_strings_and_comments_never_mislead(rows):
    lines = []
    for key, items, comment in rows:
        lines.append(f"{quoted(key)} = [ # {comment}")
        lines += [f"  {quoted(item)}, # {comment}" for item in items]
        lines.append("]")
    text = "\n".join(lines)
    assert list(tomllib.loads(text)) == [key for key, _, _ in rows]
    found = lines_by_keys(text)
    at = 1
    for key, items, _ in rows:
        assert [found[key,], *(found[key, i] for i in range(len(items)))] == list(
            range(at, at + len(items) + 1)
        )
        at += len(items) + 2
