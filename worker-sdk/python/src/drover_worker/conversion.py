"""From a JSON value to what a parameter's annotation asks for.

Only types that JSON has no word for are converted (dataclasses, TypedDicts, pydantic models, datetimes,
bytes and the like, also inside containers); numbers, text and booleans pass as they are. Converters are
built once per annotation.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from .errors import BindingError

Converter = Callable[[Any, str], Any]
"""Takes the value and where it stands (for messages); raises BindingError."""


def is_object_type(annotation: Any) -> bool:
    """A dataclass, TypedDict or pydantic model: something that stands for a whole JSON object."""
    return isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation) or _is_typed_dict(annotation) or _is_pydantic(annotation)
    )


def without_none(annotation: Any) -> Any:
    """`T` for `T | None`, anything else as it is."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [member for member in get_args(annotation) if member is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return annotation


def converter(annotation: Any) -> Converter | None:
    """How to make a value of that annotation; None where values pass unchanged."""
    inner = without_none(annotation)
    if inner is not annotation:
        convert = converter(inner)
        return convert and (lambda value, where: None if value is None else convert(value, where))
    if is_object_type(annotation):
        return _object_converter(annotation)
    if annotation in _SCALARS:
        return _checked(_SCALARS[annotation], annotation.__name__)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _checked(annotation, annotation.__name__)
    return _container_converter(annotation)


def _checked(make: Callable[[Any], Any], name: str) -> Converter:
    def convert(value: Any, where: str) -> Any:
        try:
            return make(value)
        except (ValueError, TypeError, ArithmeticError):
            raise BindingError(f"{where} must be a {name}") from None

    return convert


def _datetime(value: Any) -> datetime:
    # Python 3.10 knows neither "Z" nor fractions of other than 3 or 6 digits.
    text = re.sub(r"[zZ]$", "+00:00", value)
    text = re.sub(r"\.(\d+)", lambda fraction: "." + fraction[1][:6].ljust(6, "0"), text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    datetime: _datetime,
    date: date.fromisoformat,
    bytes: lambda value: base64.b64decode(value, validate=True),
    UUID: UUID,
    Decimal: lambda value: Decimal(str(value)),
}


def _container_converter(annotation: Any) -> Converter | None:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not isinstance(origin, type) or not arguments:
        return None
    if issubclass(origin, Mapping):
        item = converter(arguments[-1])
        return item and _each_value(item)
    uniform = len(arguments) == 1 or (len(arguments) == 2 and arguments[1] is Ellipsis)
    if issubclass(origin, Iterable) and uniform:
        item = converter(arguments[0])
        build = origin if origin in (tuple, set, frozenset) else list
        return item and _each_item(item, build)
    return None


def _each_value(item: Converter) -> Converter:
    def convert(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise BindingError(f"{where} must be an object")
        return {key: item(entry, f"{where}.{key}") for key, entry in value.items()}

    return convert


def _each_item(item: Converter, build: Callable[[Iterable[Any]], Any]) -> Converter:
    def convert(value: Any, where: str) -> Any:
        if not isinstance(value, list):
            raise BindingError(f"{where} must be an array")
        return build(item(entry, f"{where}[{index}]") for index, entry in enumerate(value))

    return convert


def _object_converter(cls: Any) -> Converter:
    if _is_pydantic(cls):
        return _pydantic_converter(cls)
    # Made at the first value and not before, so that a type may mention itself.
    shape: dict[str, tuple[bool, Converter | None]] | None = None

    def convert(value: Any, where: str) -> Any:
        nonlocal shape
        if shape is None:
            shape = _shape(cls)
        if not isinstance(value, dict):
            raise BindingError(f"{where} must be an object")
        missing = [name for name, (required, _) in shape.items() if required and name not in value]
        unknown = [name for name in value if name not in shape]
        if missing or unknown:
            raise BindingError(
                f"{where} does not fit {cls.__name__}: {fit_problem('field', missing, unknown)}"
            )
        converted = {}
        for name, entry in value.items():
            make = shape[name][1]
            converted[name] = make(entry, f"{where}.{name}") if make else entry
        try:
            return cls(**converted)
        except (TypeError, ValueError) as error:  # a __post_init__ that checks
            raise BindingError(f"{where} does not fit {cls.__name__}: {error}") from error

    return convert


def _shape(cls: Any) -> dict[str, tuple[bool, Converter | None]]:
    """Per field: whether it must be there, and its converter."""
    hints = typing.get_type_hints(cls)
    if _is_typed_dict(cls):
        return {name: (name in cls.__required_keys__, converter(_bare(hint))) for name, hint in hints.items()}
    return {
        field.name: (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            converter(hints[field.name]),
        )
        for field in dataclasses.fields(cls)
        if field.init
    }


def _bare(hint: Any) -> Any:
    """A TypedDict's field type without Required[...] or NotRequired[...]."""
    name = getattr(get_origin(hint), "_name", None)
    return get_args(hint)[0] if name in ("Required", "NotRequired") else hint


def _pydantic_converter(model: Any) -> Converter:
    def convert(value: Any, where: str) -> Any:
        try:
            # By way of JSON: only there do strict models take a timestamp or a UUID as text.
            return model.model_validate_json(json.dumps(value))
        except ValueError as error:
            problems = getattr(error, "errors", None)
            if problems is None:
                raise
            # Without the input: a failure's message is no place for payloads.
            listed = problems(include_url=False, include_input=False, include_context=False)
            text = "; ".join(
                f"{'.'.join(map(str, entry['loc'])) or where}: {entry['msg']}" for entry in listed
            )
            raise BindingError(f"{where} does not fit {model.__name__}: {text}") from None

    return convert


def fit_problem(noun: str, missing: Iterable[str], unknown: Iterable[str]) -> str:
    """For example `missing argument 'a'; unknown arguments 'b', 'c'`."""
    parts = []
    for kind, names in (("missing", [*missing]), ("unknown", [*unknown])):
        if names:
            listed = ", ".join(repr(name) for name in names[:10])
            parts.append(f"{kind} {noun}{'s' if len(names) > 1 else ''} {listed}")
    return "; ".join(parts)


def _is_typed_dict(cls: Any) -> bool:
    # Not typing.is_typeddict: it does not know those of typing_extensions.
    return issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def _is_pydantic(cls: Any) -> bool:
    return hasattr(cls, "model_validate_json") and hasattr(cls, "model_fields")
