"""Values: what an event, an effect or a message is. Like frozen dataclasses with slots, at a hundredth of their cost.

A frozen, slotted dataclass writes, compiles and runs its methods anew and then makes its class a second time: 0.6 ms
here and 8 on a Pi Zero 2 W, for each of the hundred and fifty that the daemon's start defines. A ``Value`` takes 6 µs,
for its methods are written once, here, and ask the class for its fields. Making one takes 1.5 µs instead of 0.7.

Which kind is used where is checked (``tests/turn/test_value.py``):

- ``Value`` for what has fields and is never changed, in every module that the daemon loads to start;
- a NamedTuple for what a sound host and the daemon say to each other, which is a tuple on its way;
- a dataclass where its fields are asked for by name (the tables of the configuration, what is shown with ``asdict`` or
  changed with ``replace``), for what changes, and wherever no daemon has to start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, dataclass_transform


class _Kind(type):
    """Makes slots of the annotations of a class body, and defaults of what is assigned to them."""

    fields: tuple[str, ...]
    """In order, those of the base first."""
    defaults: dict[str, Any]
    """Of those that need not be given."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _Kind:
        own = tuple(body.get("__annotations__", ()))
        defaults = {field: body.pop(field) for field in own if field in body}
        fields = (*(field for base in bases for field in getattr(base, "fields", ())), *own)
        kind = super().__new__(cls, name, bases, {**body, "__slots__": own, "__match_args__": fields})
        kind.fields = fields
        kind.defaults = {**(getattr(bases[0], "defaults", {}) if bases else {}), **defaults}
        return kind


@dataclass_transform(frozen_default=True)
class Value(metaclass=_Kind):
    """The base of such a class; its fields are the annotations of the body, in order, those of its base first.

    Equal are two of the same class with equal fields. TypeError for fields that are missing, unknown or given twice;
    AttributeError for any attempt to change one.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        fields = type(self).fields
        if named or len(args) != len(fields):
            args = self._in_order(args, named)
        for field, value in zip(fields, args, strict=True):
            object.__setattr__(self, field, value)

    def _in_order(self, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """One value for each field."""
        fields = type(self).fields
        left = fields[len(args) :]
        values = {**type(self).defaults, **named}
        if len(args) > len(fields) or not named.keys() <= set(left) or not values.keys() >= set(left):
            raise TypeError(f"{type(self).__name__} has the fields ({', '.join(fields)}), not {args} and {named}")
        return (*args, *(values[field] for field in left))

    def _content(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field) for field in type(self).fields)

    if not TYPE_CHECKING:
        # A type checker takes a class with such a method for one that may equal anything, a string too.
        def __eq__(self, other: object) -> bool:
            return self._content() == other._content() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self._content()))

    def __repr__(self) -> str:
        fields = (f"{field}={value!r}" for field, value in zip(type(self).fields, self._content(), strict=True))
        return f"{type(self).__qualname__}({', '.join(fields)})"

    def __setattr__(self, field: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{field} cannot be changed")

    def __delattr__(self, field: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{field} cannot be changed")
