"""How large a schema is once its references are followed."""

import json

import pytest

from nbest.errors import InputError
from nbest.schema_limits import MAX_BYTES, MAX_PARTS, SchemaSize, schema_size


def doubling(times):
    """Each definition holds the next one twice."""
    defs = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(times)}
    return {"$defs": {**defs, f"a{times}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def everybody(num):
    """Each definition refers to all others."""
    defs = {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{k}"} for k in range(num) if k != i]} for i in range(num)}
    return {"$defs": defs, "$ref": "#/$defs/a0"}


def nested(depth):
    return json.loads('{"items":' * depth + "{}" + "}" * depth)


TREE = {"properties": {"أبناء": {"type": "array", "items": {"$ref": "#"}}}}


def test_every_keyword_and_value_counts_as_often_as_references_lead_to_it():
    leaf = {"type": "string"}  # itself and a keyword: 2
    assert schema_size(leaf) == SchemaSize(2)
    assert schema_size({"properties": {"答": leaf, "क": leaf}}) == SchemaSize(2 + 4)
    assert schema_size({"enum": ["一", {"二": [3]}]}) == SchemaSize(2 + 5)
    once = schema_size({"$defs": {"a": leaf}, "$ref": "#/$defs/a"}).num_parts
    twice = schema_size({"$defs": {"a": leaf}, "allOf": [{"$ref": "#/$defs/a"}] * 2}).num_parts
    assert twice - once == 2 + 2 * 2
    assert schema_size(True) == SchemaSize(1)


@pytest.mark.parametrize(
    ("schema", "limit"),
    [
        (doubling(11), f"more than {MAX_PARTS} keywords and values, references followed"),
        (doubling(20), f"more than {MAX_PARTS} keywords and values"),
        (everybody(9), f"more than {MAX_PARTS} keywords and values"),
        ({"allOf": [{"$ref": "#/$defs/a"}] * 900, "$defs": {"a": {f"x{i}": "y" for i in range(900)}}}, "more"),
        ({"enum": [*range(MAX_PARTS)]}, f"more than {MAX_PARTS} keywords and values"),
        (nested(80), "deeper than 64 levels"),
        ({"pattern": "四" * 501}, "a pattern is longer than 500 characters"),
        ({"patternProperties": {"x" * 501: {}}}, "a pattern is longer than 500 characters"),
        ({"properties": {str(i): {"pattern": "x"} for i in range(101)}}, "more than 100 patterns"),
        ({"description": "ก" * MAX_BYTES}, f"larger than {MAX_BYTES} bytes"),
        ({"$ref": "http://127.0.0.1:1/secret"}, "points outside the schema"),
        ({"$ref": "#/$defs/missing"}, "points to nothing"),
        ({"$ref": "#missing"}, "points to nothing"),
        ({"properties": {"a": {"$id": "http://a/b", "$ref": "#/x"}}}, r"\$id stands inside"),
        ({"$defs": {"a": {"properties": {"b": {"$id": "b"}}}}}, r"\$id stands inside"),
    ],
)  # fmt: skip
def test_what_is_above_a_limit_is_refused_by_its_name(schema, limit):
    with pytest.raises(InputError, match=limit):
        schema_size(schema)


@pytest.mark.parametrize(
    ("schema", "is_costly"),
    [
        (doubling(5), False),
        (TREE, True),
        ({"$defs": {"a": TREE}, "$ref": "#/$defs/a"}, True),
        ({"pattern": "a"}, True),
        ({"properties": {"pattern": {"type": "string"}}}, False),
        ({"enum": ["pattern"], "default": {"$ref": "#/nothing", "$id": "x"}}, False),
        ({"unevaluatedProperties": False}, True),
        ({"format": "email"}, False),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "format": "email"}, True),
        ({"$id": "https://a/b", "$ref": "https://a/b#/$defs/c", "$defs": {"c": {}}}, False),
        ({"$ref": "#جواب", "$defs": {"c": {"$anchor": "جواب"}}}, False),
        ({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {}}}, False),
        ({"$ref": "#/allOf/0", "allOf": [{"type": "string"}]}, False),
    ],
)
def test_recursion_patterns_and_formats_are_costly(schema, is_costly):
    assert schema_size(schema).is_costly is is_costly
