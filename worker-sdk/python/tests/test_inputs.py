"""What came before, in a flow, as arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from drover_worker import BindingError, Context, Input
from drover_worker.binding import Binder


def prev(value: Any, base: int = 0) -> None: ...
def second(base: int, value: Any) -> None: ...
def with_context(ctx: Context, value: Any) -> None: ...
def nothing() -> None: ...
def none_free(base: int) -> None: ...


@dataclass
class Order:
    id: int


def whole(order: Order) -> None: ...


ONE, TWO = (Input(result=1),), (Input(result=1), Input(state="failed"))


@pytest.mark.parametrize(
    ("function", "payload", "inputs", "listed", "bound"),
    [
        (prev, None, ONE, False, {"value": 1}),
        (prev, {"base": 5}, ONE, False, {"value": 1, "base": 5}),
        (prev, {}, ONE, True, {"value": [1]}),
        (prev, {}, TWO, True, {"value": [1, None]}),
        (second, {"base": 5}, ONE, False, {"base": 5, "value": 1}),
        (none_free, {"base": 5}, ONE, False, {"base": 5}),
        (nothing, None, ONE, False, {}),
        (whole, None, (Input(result={"id": 7}),), False, {"order": Order(7)}),
        (whole, {"id": 8}, ONE, False, {"order": Order(8)}),
    ],
)
def test_the_first_parameter_that_the_payload_leaves_free_gets_it(
    function: Any, payload: Any, inputs: Any, listed: bool, bound: dict[str, Any]
) -> None:
    assert Binder(function).bind(payload, Context(inputs=inputs, inputs_listed=listed)) == bound


def test_the_context_is_not_free() -> None:
    context = Context(inputs=ONE)
    assert Binder(with_context).bind(None, context) == {"ctx": context, "value": 1}


def test_an_input_that_does_not_fit_is_a_binding_error() -> None:
    with pytest.raises(BindingError, match="id"):
        Binder(whole).bind(None, Context(inputs=(Input(result={"name": "seven"}),)))
