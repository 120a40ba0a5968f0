"""How payloads become arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict

from drover_worker import BindingError, Context, Payload
from drover_worker.binding import Binder


class Colour(Enum):
    RED = "red"


@dataclass
class Line:
    sku: str
    count: int = 1


@dataclass
class Order:
    id: int
    lines: list[Line] = field(default_factory=list)
    placed: datetime | None = None
    parent: Order | None = None


class Address(TypedDict, total=False):
    city: str
    since: date


class User(BaseModel):
    model_config = ConfigDict(strict=True)
    id: int
    joined: datetime | None = None


def named(user_id: int, template: str = "plain") -> None: ...
def with_context(ctx: Context, user_id: int) -> None: ...
def with_optional_context(user_id: int, *, where: Context | None = None) -> None: ...
def with_rest(user_id: int, **rest: Any) -> None: ...
def nothing() -> None: ...
def only_context(ctx: Context) -> None: ...
def whole_dataclass(order: Order, ctx: Context) -> None: ...
def whole_optional(order: Order | None = None) -> None: ...
def whole_typed_dict(address: Address) -> None: ...
def whole_model(user: User) -> None: ...
def two_objects(order: Order, user: User) -> None: ...
def plain_dict(data: dict[str, Any]) -> None: ...
def unannotated(value): ...  # type: ignore[no-untyped-def]
def raw(data: bytes) -> None: ...


def rich(
    at: datetime, day: date, key: UUID, price: Decimal, colour: Colour, tags: set[Colour], by: dict[str, Line]
) -> None: ...


CONTEXT = Context(job_id="t~k", task="t")
UTC = timezone.utc


@pytest.mark.parametrize(
    ("why", "function", "payload", "arguments"),
    [
        ("fields are bound by name", named, {"template": "x", "user_id": 1}, {"user_id": 1, "template": "x"}),
        ("a default may be left out", named, {"user_id": 1}, {"user_id": 1}),
        ("no payload means no arguments", nothing, None, {}),
        ("an empty object means no arguments", nothing, {}, {}),
        ("Context is found by its annotation", with_context, {"user_id": 1}, {"ctx": CONTEXT, "user_id": 1}),
        ("Context | None as well", with_optional_context, {"user_id": 1}, {"where": CONTEXT, "user_id": 1}),
        ("context alone takes no payload", only_context, None, {"ctx": CONTEXT}),
        ("**rest takes unknown fields", with_rest, {"user_id": 1, "a": 2}, {"user_id": 1, "a": 2}),
        ("a dataclass gets the whole", whole_dataclass, {"id": 7}, {"order": Order(7), "ctx": CONTEXT}),
        ("an optional dataclass may be left out", whole_optional, None, {}),
        ("a TypedDict gets the whole", whole_typed_dict, {"city": "Ulm"}, {"address": {"city": "Ulm"}}),
        ("a pydantic model gets the whole", whole_model, {"id": 1}, {"user": User(id=1)}),
        ("two objects are bound by name", two_objects, {"order": {"id": 1}, "user": {"id": 2}},
         {"order": Order(1), "user": User(id=2)}),
        ("a dict parameter is bound by name", plain_dict, {"data": {"a": 1}}, {"data": {"a": 1}}),
        ("a number goes to the only parameter", unannotated, 5, {"value": 5}),
        ("a list goes to the only parameter", unannotated, [1, 2], {"value": [1, 2]}),
        ("other content goes to it as bytes", raw, Payload(b"\x00", "image/png"), {"data": b"\x00"}),
        ("numbers beyond 2^53 stay exact", unannotated, {"value": 2**63}, {"value": 2**63}),
        ("a base64 field becomes bytes", raw, {"data": "AAE="}, {"data": b"\x00\x01"}),
    ],
)  # fmt: skip
def test_binds(why: str, function: Any, payload: Any, arguments: dict[str, Any]) -> None:
    assert Binder(function).bind(payload, CONTEXT) == arguments, why


def test_what_json_has_no_word_for_is_converted_by_annotation() -> None:
    arguments = Binder(rich).bind(
        {
            "at": "2026-01-02T03:04:05.123456789Z",
            "day": "2026-01-02",
            "key": "00000000-0000-0000-0000-000000000001",
            "price": 1.5,
            "colour": "red",
            "tags": ["red"],
            "by": {"x": {"sku": "a"}},
        },
        CONTEXT,
    )
    assert arguments == {
        "at": datetime(2026, 1, 2, 3, 4, 5, 123456, UTC),
        "day": date(2026, 1, 2),
        "key": UUID(int=1),
        "price": Decimal("1.5"),
        "colour": Colour.RED,
        "tags": {Colour.RED},
        "by": {"x": Line("a")},
    }


def test_nested_dataclasses_are_built_however_deep() -> None:
    payload = {"id": 1, "lines": [{"sku": "a"}], "parent": {"id": 2, "placed": "2026-01-02T03:04:05+01:00"}}
    placed = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))
    assert Binder(whole_optional).bind(payload, CONTEXT) == {
        "order": Order(1, [Line("a")], parent=Order(2, placed=placed))
    }


def test_a_strict_model_takes_a_timestamp_as_text() -> None:
    bound = Binder(whole_model).bind({"id": 1, "joined": "2026-01-02T03:04:05Z"}, CONTEXT)
    assert bound["user"].joined == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("function", "payload", "message"),
    [
        (named, {}, "missing argument 'user_id'; the handler takes user_id, template (optional)"),
        (named, None, "missing argument 'user_id'"),
        (named, {"user_id": 1, "a": 1, "b": 2}, "unknown arguments 'a', 'b'; the handler takes user_id"),
        (nothing, {"a": 1}, "unknown argument 'a'; the handler takes no arguments"),
        (with_context, {"user_id": 1, "ctx": 2}, "unknown argument 'ctx'"),
        (named, [1], "the payload is a JSON array, no object of arguments"),
        (named, Payload(b"", "image/png"), "the payload is image/png, no object of arguments"),
        (whole_dataclass, {"idd": 1}, "does not fit Order: missing field 'id'; unknown field 'idd'"),
        (whole_dataclass, {"id": 1, "lines": [{}]}, "lines[0] does not fit Line: missing field 'sku'"),
        (whole_dataclass, {"id": 1, "placed": "2026-01-02T03:04:05"}, ".placed must be a datetime"),
        (whole_dataclass, [1], "the payload must be an object"),
        (whole_dataclass, None, "missing argument 'order'"),
        (whole_typed_dict, {"town": "Ulm"}, "unknown field 'town'"),
        (whole_model, {"id": "x"}, "the payload does not fit User: id: Input should be a valid integer"),
        (raw, {"data": "no base64!"}, "argument 'data' must be a bytes"),
    ],
)
def test_says_what_does_not_fit(function: Any, payload: Any, message: str) -> None:
    with pytest.raises(BindingError) as caught:
        Binder(function).bind(payload, CONTEXT)
    assert message in str(caught.value)


def test_a_models_message_does_not_repeat_the_payload() -> None:
    with pytest.raises(BindingError) as caught:
        Binder(whole_model).bind({"id": "secret"}, CONTEXT)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("function", [lambda *rest: None, eval("lambda a, /: None")])
def test_a_parameter_without_a_name_to_bind_to_is_refused_at_once(function: Any) -> None:
    with pytest.raises(TypeError, match="no name that a payload's field could be bound to"):
        Binder(function)


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    class Local: ...

    def handler(value: Local) -> None: ...

    with pytest.raises(TypeError, match="'Local' is not defined"):
        _ = Binder(handler).plan
