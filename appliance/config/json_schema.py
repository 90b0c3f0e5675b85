"""The part of JSON Schema that a tool's arguments are described with: checking a schema, and values against it.

A part, not the whole: what a model is told of a spoken tool's arguments needs no references, no combinations and no
patterns, and a library for them costs more start-up time than the daemon's own imports (jsonschema brings five
packages; a Pi pays for each). A keyword outside of this part is refused when the configuration is read, so nothing is
ever promised to the model that is not checked here. Both walks are bounded by the schema's depth.

======================  ==================================================================
``type``                one of ``TYPES``; absent: any
``enum``                the only values: texts, numbers, truths
``properties``          of an object: a schema for each name
``required``            of an object: names of properties that must be there
``additionalProperties`` of an object: may it hold other names? true (as in the standard) or false
``items``               of an array: the schema of each element
``minimum, maximum``    of a number, both inclusive
``title, description``  texts for the model
``default``             for the model; nothing is filled in
======================  ==================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

MAX_DEPTH: Final = 8
"""Objects and arrays within one another. A person speaks the arguments: two levels are rare."""

TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    # A truth is a number to Python only, and 1.0 a whole number to JSON.
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and (isinstance(value, int) or _is_whole(value)),
    "boolean": lambda value: isinstance(value, bool),
}

_BELONGS_TO: Final = {
    "properties": ("object",),
    "required": ("object",),
    "additionalProperties": ("object",),
    "items": ("array",),
    "minimum": ("number", "integer"),
    "maximum": ("number", "integer"),
}
_KEYWORDS: Final = ("type", "enum", *_BELONGS_TO, "title", "description", "default")

Path = tuple[str, ...]


def faults(schema: Mapping[str, Any], at: Path = ()) -> Iterator[tuple[Path, str]]:
    """What is wrong with ``schema``, as read from TOML or JSON: where, from its root, and a text for a person."""
    depth = sum(name in ("properties", "items") for name in at)
    if depth > MAX_DEPTH:
        yield at, f"is nested too deep: at most {MAX_DEPTH} levels"
        return
    for keyword, value in schema.items():
        if keyword not in _KEYWORDS:
            close = get_close_matches(keyword, _KEYWORDS, 1, 0.6)
            meant = f"; did you mean {close[0]}?" if close else f": the box checks only {', '.join(_KEYWORDS)}"
            yield (*at, keyword), f"no such keyword{meant}"
        elif text := _keyword_fault(schema, keyword, value):
            yield (*at, keyword), text
    properties, items = schema.get("properties"), schema.get("items")
    for name, below in properties.items() if isinstance(properties, dict) else ():
        if isinstance(below, dict):
            yield from faults(below, (*at, "properties", name))
        else:
            yield (*at, "properties", name), 'must be a table such as { type = "string" }'
    if isinstance(items, dict):
        yield from faults(items, (*at, "items"))


def _keyword_fault(schema: Mapping[str, Any], keyword: str, value: Any) -> str:
    type_ = schema.get("type")
    if isinstance(type_, str) and type_ in TYPES and type_ not in _BELONGS_TO.get(keyword, (type_,)):
        return f'belongs to {" or ".join(_BELONGS_TO[keyword])}, not to type "{type_}"'
    match keyword:
        case "type":
            return "" if isinstance(value, str) and value in TYPES else f"must be one of {', '.join(TYPES)}"
        case "enum":
            return (
                "" if _is_list(value, _is_scalar) and value else "must be a list of texts, numbers, or true and false"
            )
        case "required":
            known = schema.get("properties", {})
            if not _is_list(value, lambda name: isinstance(name, str)):
                return "must be a list of names"
            unknown = [name for name in value if not isinstance(known, dict) or name not in known]
            return f"names {unknown[0]!r}, which is not one of the properties" if unknown else ""
        case "properties" | "items":
            return "" if isinstance(value, dict) else "must be a table"
        case "additionalProperties":
            return "" if isinstance(value, bool) else "must be true or false"
        case "minimum" | "maximum":
            if not (_is_scalar(value) and TYPES["number"](value)):
                return "must be a number"
            low = schema.get("minimum")
            below = keyword == "maximum" and isinstance(low, (int, float)) and value < low
            return "must not be less than minimum" if below else ""
        case "default":
            return "" if _is_scalar(value) or _is_list(value, _is_scalar) else "must be a text, a number, true or false"
        case _:
            return "" if isinstance(value, str) else "must be text"


def mismatch(schema: Mapping[str, Any], value: Any, name: str = "the arguments") -> str:
    """The first thing that keeps ``value``, as read from JSON, from fitting a faultless ``schema``; empty if none.

    The text is for the model, which may then ask the person, or try again; ``name`` is what it calls the value. It
    repeats the schema and nothing of ``value``, so that it can stand in a log.
    """
    type_ = schema.get("type")
    if type_ is not None and not TYPES[type_](value):
        return f"{name} must be of type {type_}"
    if "enum" in schema and not any(_same(value, allowed) for allowed in schema["enum"]):
        return f"{name} must be one of {', '.join(str(allowed) for allowed in schema['enum'])}"
    if isinstance(value, dict):
        return _object_mismatch(schema, value, name)
    if isinstance(value, list) and "items" in schema:
        found = (mismatch(schema["items"], item, f"{name}[{index}]") for index, item in enumerate(value))
        return next(filter(None, found), "")
    if TYPES["number"](value):
        # Written so that NaN, of which every comparison is false, does not fit.
        if "minimum" in schema and not value >= schema["minimum"]:
            return f"{name} must be at least {schema['minimum']}"
        if "maximum" in schema and not value <= schema["maximum"]:
            return f"{name} must be at most {schema['maximum']}"
    return ""


def _object_mismatch(schema: Mapping[str, Any], value: Mapping[str, Any], name: str) -> str:
    properties = schema.get("properties", {})
    if missing := [key for key in schema.get("required", ()) if key not in value]:
        return f"{name} must have {missing[0]!r}"
    if not schema.get("additionalProperties", True) and any(key not in properties for key in value):
        return (
            f"{name} must have nothing but {', '.join(map(repr, properties))}"
            if properties
            else f"{name} must be empty"
        )
    found = (mismatch(below, value[key], key) for key, below in properties.items() if key in value)
    return next(filter(None, found), "")


def _is_scalar(value: object) -> bool:
    """Texts, truths and finite numbers; TOML also has dates, times and infinities, which JSON has not."""
    return isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _is_list(value: object, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(fits(item) for item in value)


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


def _same(left: object, right: object) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)
