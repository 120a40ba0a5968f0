"""How a payload becomes a handler's arguments.

An object's fields are bound to parameters by name. A handler with one parameter annotated as a dataclass,
TypedDict or pydantic model gets the whole object. A parameter annotated `Context` gets the context, one with
the name of a resource the resource. In a flow, the first parameter that the payload leaves free gets what the
steps before came to. A payload that is no object (a number, a list, bytes of another content type) goes to
the only parameter of a handler that has just one.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from drover.sdk.payload import Payload

from .context import Context
from .conversion import Converter, converter, fit_problem, is_object_type, without_none
from .errors import BindingError


@dataclass(frozen=True)
class _Plan:
    context: list[str] = field(default_factory=list)
    """Parameters that get the context."""
    resources: list[str] = field(default_factory=list)
    """Parameters that get what is opened for the run."""
    free: dict[str, Converter | None] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    takes_rest: bool = False
    """Has **kwargs: unknown fields go there."""
    whole: bool = False
    """The only free parameter gets the whole object."""


class Binder:
    """Binds payloads to one function's parameters. Raises TypeError for a signature that cannot be bound by
    name."""

    def __init__(self, function: Callable[..., Any], resources: Container[str] = ()) -> None:
        self._function = function
        self._resources = resources
        self._signature = inspect.signature(function)
        for parameter in self._signature.parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise TypeError(f"parameter {parameter} has no name that a payload's field could be bound to")

    def bind(self, value: Any, context: Context) -> dict[str, Any]:
        """The keyword arguments for a decoded payload. Raises BindingError with what is missing or
        unknown."""
        plan = self.plan
        arguments: dict[str, Any] = dict.fromkeys(plan.context, context)
        if context.inputs and (value is None or (isinstance(value, dict) and not plan.whole)):
            value = self._with_inputs(value or {}, context)
            arguments |= self._by_name(value)
        elif plan.whole and not isinstance(value, Payload) and value is not None:
            ((name, convert),) = plan.free.items()
            assert convert is not None
            arguments[name] = convert(value, "the payload")
        elif value is None:
            arguments |= self._by_name({})
        elif isinstance(value, dict):
            arguments |= self._by_name(value)
        else:
            arguments |= self._single(value)
        return arguments

    def _with_inputs(self, value: dict[str, Any], context: Context) -> dict[str, Any]:
        free = next((name for name in self.plan.free if name not in value), None)
        return value if free is None else {**value, free: context.input_value}

    def _by_name(self, value: dict[str, Any]) -> dict[str, Any]:
        plan = self.plan
        missing = [name for name in plan.free if name in plan.required and name not in value]
        unknown = [name for name in value if name not in plan.free and not plan.takes_rest]
        clash = [name for name in value if name in plan.context and plan.takes_rest]
        if missing or unknown or clash:
            problem = fit_problem("argument", missing, unknown + clash)
            raise BindingError(f"{problem}; the handler takes {self._takes()}")
        arguments = {}
        for name, entry in value.items():
            convert = plan.free.get(name)
            arguments[name] = convert(entry, f"argument {name!r}") if convert else entry
        return arguments

    def _single(self, value: Any) -> dict[str, Any]:
        free = self.plan.free
        if len(free) != 1 or self.plan.takes_rest:
            what = value.content_type if isinstance(value, Payload) else f"a JSON {_JSON_NAME[type(value)]}"
            raise BindingError(
                f"the payload is {what}, no object of arguments; the handler takes {self._takes()}"
            )
        ((name, convert),) = free.items()
        if isinstance(value, Payload):
            return {name: value.data}
        return {name: convert(value, "the payload") if convert else value}

    def _takes(self) -> str:
        names = [name if name in self.plan.required else f"{name} (optional)" for name in self.plan.free]
        return ", ".join(names + ["**"] * self.plan.takes_rest) or "no arguments"

    @cached_property
    def plan(self) -> _Plan:
        """Made when the worker starts and not at decoration, so that annotations may name what is defined
        later. Raises TypeError for an annotation that cannot be resolved."""
        hints = self._hints()
        context, resources, free, required, takes_rest = [], [], {}, set(), False
        for name, parameter in self._signature.parameters.items():
            annotation = hints.get(name, Any)
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_rest = True
            elif without_none(annotation) is Context:
                context.append(name)
            elif name in self._resources:
                resources.append(name)
            else:
                free[name] = annotation
                if parameter.default is parameter.empty:
                    required.add(name)
        whole = len(free) == 1 and not takes_rest and is_object_type(without_none(*free.values()))
        converters = {name: converter(annotation) for name, annotation in free.items()}
        return _Plan(context, resources, converters, frozenset(required), takes_rest, whole)

    def _hints(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(self._function)
        except NameError as error:
            raise TypeError(
                f"an annotation of {self._function.__qualname__} cannot be resolved ({error}); "
                "types used in a handler's signature must be importable from its module"
            ) from error


_JSON_NAME = {list: "array", str: "string", int: "number", float: "number", bool: "boolean"}
