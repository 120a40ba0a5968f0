"""Flows as lists of members: what comes behind what, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from drover.v1 import flow_service_pb2

from drover_client import Dag, chain, chord, group, step, task_ref
from drover_client.flow_builders import LIST_HEADER, members_of


@task_ref("t.a", queue="q")
def a(x: int, y: int = 0) -> int: ...


def _dag() -> Dag:
    dag = Dag()
    first, second = dag.add(step("a")), dag.add(step("b"))
    dag.add(step("c"), after=[first, second])
    dag.add(step("d"), after=[first])
    return dag


A, B, C, D = (step(name) for name in "abcd")


@pytest.mark.parametrize(
    ("node", "after"),
    [
        (A, [[]]),
        (chain(A, B, C), [[], [0], [1]]),
        (group([A, B]), [[], []]),
        (chord([A, B], C), [[], [], [0, 1]]),
        (chain(A, group([B, C]), D), [[], [0], [0], [1, 2]]),
        (group([chain(A, B), C]), [[], [0], []]),
        (chain(group([chain(A, B), C]), D), [[], [0], [], [1, 2]]),
        (_dag(), [[], [], [0, 1], [0]]),
        (chain(A, _dag(), D), [[], [0], [0], [1, 2], [1], [3, 4]]),
    ],
)
def test_each_member_names_what_has_to_end_before_it(node: Any, after: list[list[int]]) -> None:
    assert [list(member.depends_on) for member in members_of(node)] == after


@pytest.mark.parametrize(
    ("node", "listed"),
    [
        (chain(A, B), [False, False]),
        (chord([A], B), [False, True]),
        (chain(group([A, B]), C), [False, False, True]),
        (chain(group([A]), group([B, C]), D), [False, True, True, True]),
        (chain(chord([A], B), C), [False, True, False]),
        (_dag(), [False, False, True, False]),
    ],
)
def test_behind_a_group_inputs_are_a_list_also_of_one(node: Any, listed: list[bool]) -> None:
    assert [LIST_HEADER in member.job.headers for member in members_of(node)] == listed


def test_a_step_has_its_options_and_no_key_of_the_sdks() -> None:
    (member,) = members_of(a.s(1).with_(on_failure="continue", name="first", priority=9))
    assert (member.job.task, member.job.queue, member.job.priority, member.job.key) == ("t.a", "q", 9, "")
    assert (member.job.payload.data, member.name) == (b'{"x":1}', "first")
    assert member.on_failure == flow_service_pb2.FAILURE_POLICY_CONTINUE
    assert members_of(step("t", key="mine"))[0].job.key == "mine"


@pytest.mark.parametrize("node", [chain(), group([]), Dag(), chain(A, group([]))])
def test_an_empty_part_is_refused(node: Any) -> None:
    with pytest.raises(ValueError, match=r"an empty (chain|group|dag)"):
        members_of(node)


def test_a_dag_refuses_a_node_that_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="no such node"):
        Dag().add(A, after=[0])


def test_a_policy_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="on_failure must be one of fail_flow"):
        members_of(step("t", on_failure="ignore"))  # type: ignore[arg-type]


def test_arguments_are_bound_by_the_signature() -> None:
    assert a.call(1, y=2).request.payload == {"x": 1, "y": 2}
    assert a.s(y=2).request.payload == {"y": 2}
    for wrong in (lambda: a.call(), lambda: a.s(1, 2, 3), lambda: a.s(z=1)):  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError, match="colour"):
        task_ref("t", colour="red")(lambda: None)
