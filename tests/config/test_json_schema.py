"""The part of JSON Schema that tools use: what is refused of a schema, and what of a value."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.json_schema import MAX_DEPTH, TYPES, faults, mismatch

LAMP: dict[str, Any] = {
    "type": "object",
    "description": "What to do",
    "properties": {
        "room": {"type": "string", "enum": ["shop", "yard"], "default": "shop"},
        "level": {"type": "integer", "minimum": 0, "maximum": 10},
        "share": {"type": "number", "minimum": 0.5},
        "colours": {"type": "array", "items": {"type": "object", "properties": {"red": {"type": "integer"}}}},
        "soft": {"type": "boolean", "title": "Softly"},
        "any": {},
    },
    "required": ["room"],
    "additionalProperties": False,
}


def test_a_good_schema_has_no_faults() -> None:
    assert list(faults(LAMP)) == []


@pytest.mark.parametrize(
    "value",
    [
        {"room": "shop"},
        {"room": "yard", "level": 10, "share": 0.5, "colours": [], "soft": True, "any": None},
        {"room": "yard", "level": 3.0, "share": 10**400, "colours": [{"red": 1}, {"blue": "x"}, {}], "any": [{}]},
    ],
)
def test_values_that_fit(value: Any) -> None:
    assert mismatch(LAMP, value) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "the arguments must be of type object"),
        ({}, "the arguments must have 'room'"),
        (
            {"room": "shop", "rooom": 1},
            "the arguments must have nothing but 'room', 'level', 'share', 'colours', 'soft', 'any'",
        ),
        ({"room": None}, "room must be of type string"),
        ({"room": "attic"}, "room must be one of shop, yard"),
        ({"room": "shop", "level": True}, "level must be of type integer"),
        ({"room": "shop", "level": 1.5}, "level must be of type integer"),
        ({"room": "shop", "level": -1}, "level must be at least 0"),
        ({"room": "shop", "level": 11}, "level must be at most 10"),
        ({"room": "shop", "level": math.inf}, "level must be of type integer"),
        ({"room": "shop", "share": 0.4}, "share must be at least 0.5"),
        ({"room": "shop", "share": math.nan}, "share must be at least 0.5"),
        ({"room": "shop", "share": "1"}, "share must be of type number"),
        ({"room": "shop", "soft": 1}, "soft must be of type boolean"),
        ({"room": "shop", "colours": {}}, "colours must be of type array"),
        ({"room": "shop", "colours": [{}, 5]}, "colours[1] must be of type object"),
        ({"room": "shop", "colours": [{"red": "x"}]}, "red must be of type integer"),
    ],
)
def test_values_that_do_not(value: Any, said: str) -> None:
    assert mismatch(LAMP, value) == said


def test_truths_are_no_numbers_in_an_enumeration() -> None:
    assert mismatch({"enum": [1, False]}, True) and mismatch({"enum": [1, False]}, 0)
    assert not mismatch({"enum": [1, False]}, 1) and not mismatch({"enum": [1, False]}, False)


def test_limits_are_of_numbers_only() -> None:
    assert mismatch({"minimum": 5, "properties": {"a": {"type": "string"}}, "items": {"type": "string"}}, "x") == ""


@pytest.mark.parametrize(
    ("schema", "at", "said"),
    [
        ({"tpye": "object"}, "tpye", "no such keyword; did you mean type?"),
        ({"oneOf": []}, "oneOf", "no such keyword: the box checks only type, enum, "),
        ({"$ref": "#"}, "$ref", "no such keyword: "),
        ({"type": "text"}, "type", "must be one of object, array, string"),
        ({"type": ["string"]}, "type", "must be one of object"),
        ({"properties": []}, "properties", "must be a table"),
        ({"properties": {"a": "string"}}, "properties.a", "must be a table such as"),
        ({"properties": {"a": {"items": {"type": 5}}}}, "properties.a.items.type", "must be one of"),
        ({"required": "a"}, "required", "must be a list of names"),
        ({"required": ["a"]}, "required", "names 'a', which"),
        ({"additionalProperties": {}}, "additionalProperties", "must be true or false"),
        ({"enum": []}, "enum", "must be a list of texts"),
        ({"enum": [datetime.date(2026, 1, 1)]}, "enum", "must be a list of texts"),
        ({"enum": [math.inf]}, "enum", "must be a list of texts"),
        ({"minimum": "1"}, "minimum", "must be a number"),
        ({"minimum": True}, "minimum", "must be a number"),
        ({"maximum": math.nan}, "maximum", "must be a number"),
        ({"minimum": 2, "maximum": 1}, "maximum", "must not be less than minimum"),
        ({"type": "string", "minimum": 1}, "minimum", 'belongs to number or integer, not to type "string"'),
        ({"type": "string", "properties": {}}, "properties", "belongs to object"),
        ({"items": True}, "items", "must be a table"),
        ({"description": 5}, "description", "must be text"),
        ({"default": datetime.time(1, 2)}, "default", "must be a text"),
    ],
)
def test_faults_of_a_schema(schema: dict[str, Any], at: str, said: str) -> None:
    ((path, text),) = faults(schema)
    assert ".".join(path) == at and text.startswith(said)


def test_depth_is_bounded() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5000):
        schema = {"items": schema}
    ((path, text),) = faults(schema)
    assert len(path) == MAX_DEPTH + 1 and "nested too deep" in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=8,
)
KEYWORDS = st.sampled_from(
    ["type", "enum", "properties", "required", "additionalProperties", "items", "minimum", "default"]
)


@given(schema=st.dictionaries(KEYWORDS, JSON | st.sampled_from(sorted(TYPES))), value=JSON)
def test_any_schema_is_judged_and_a_good_one_judges_any_value(schema: dict[str, Any], value: Any) -> None:
    if not list(faults(schema)):
        assert isinstance(mismatch(schema, value), str)
        json.dumps(schema, allow_nan=False)  # it can be declared
