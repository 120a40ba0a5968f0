"""Flows as people think of them: steps, chains of them, groups, chords and any other graph, one inside the
other. What the broker takes is one list of members with the positions of those that have to end first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drover.v1 import flow_service_pb2

from .task_ref import OnFailure, Step

LIST_HEADER = "drover-inputs"
"""On a step behind a group: its inputs are one list, also where the group has a single member. A Python
worker goes by it; the others read the inputs as they are."""

_POLICIES: dict[OnFailure, flow_service_pb2.FailurePolicy] = {
    "fail_flow": flow_service_pb2.FAILURE_POLICY_FAIL_FLOW,
    "continue": flow_service_pb2.FAILURE_POLICY_CONTINUE,
    "skip_dependents": flow_service_pb2.FAILURE_POLICY_SKIP_DEPENDENTS,
}


@dataclass(frozen=True)
class Chain:
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Group:
    nodes: tuple[Node, ...]


@dataclass
class Dag:
    """Any graph: `add` says of each node what has to end before it."""

    nodes: list[tuple[Node, tuple[int, ...]]] = field(default_factory=list)

    def add(self, node: Node, after: Iterable[int] = ()) -> int:
        """A name for the node, to be given in `after` of later ones; what those get as inputs is in the order
        of their `after`. Raises ValueError for a name that was not given out."""
        names = tuple(after)
        for name in names:
            if not 0 <= name < len(self.nodes):
                raise ValueError(f"after {name}: there is no such node in this dag (yet)")
        self.nodes.append((node, names))
        return len(self.nodes) - 1


Node = Step[Any] | Chain | Group | Dag
"""What a flow is built of."""


def chain(*nodes: Node) -> Chain:
    """One after the other: each has what the one before it came to as its inputs, which a Python handler gets
    as its first free argument."""
    return Chain(nodes)


def group(nodes: Iterable[Node]) -> Group:
    """All at once; the results are in this order."""
    return Group(tuple(nodes))


def chord(header: Iterable[Node], callback: Node) -> Chain:
    """All of `header` at once, then `callback`, once, with the list of what they came to, in their order."""
    return Chain((group(header), callback))


def members_of(node: Node) -> list[flow_service_pb2.FlowMember]:
    """Raises ValueError for an empty chain, group or dag, and what JobRequest.to_proto does."""
    members: list[flow_service_pb2.FlowMember] = []
    _add(members, node, (), listed=False)
    return members


def _add(
    members: list[flow_service_pb2.FlowMember], node: Node, after: Sequence[int], listed: bool
) -> tuple[int, ...]:
    """Adds a node behind these positions, and answers with those that end it."""
    if isinstance(node, Step):
        members.append(_member(node, after, listed))
        return (len(members) - 1,)
    if not node.nodes:
        raise ValueError(f"an empty {type(node).__name__.lower()}: leave it out, or put a step into it")
    if isinstance(node, Group):
        return tuple(end for each in node.nodes for end in _add(members, each, after, listed))
    if isinstance(node, Dag):
        return _add_dag(members, node, after, listed)
    for each in node.nodes:
        after = _add(members, each, after, listed)
        listed = not _ends_alone(each)
    return tuple(after)


def _add_dag(
    members: list[flow_service_pb2.FlowMember], dag: Dag, before: Sequence[int], listed: bool
) -> tuple[int, ...]:
    ends: list[tuple[int, ...]] = []
    for node, names in dag.nodes:
        after = [end for name in names for end in ends[name]] if names else before
        several = (len(names) > 1 or not _ends_alone(dag.nodes[names[0]][0])) if names else listed
        ends.append(_add(members, node, after, several))
    needed = {name for _, names in dag.nodes for name in names}
    return tuple(end for name, own in enumerate(ends) if name not in needed for end in own)


def _ends_alone(node: Node) -> bool:
    """Whether what comes behind it gets one value, and not a list."""
    if isinstance(node, Chain) and node.nodes:
        return _ends_alone(node.nodes[-1])
    return isinstance(node, Step)


def _member(step: Step[Any], after: Sequence[int], listed: bool) -> flow_service_pb2.FlowMember:
    job = step.request.to_proto()
    if step.request.key is None:
        job.key = ""  # it gets the flow's and its position: safe to repeat with the flow's key
    if listed:
        job.headers[LIST_HEADER] = "list"
    policy = _POLICIES.get(step.on_failure)
    if policy is None:
        raise ValueError(f"on_failure must be one of {', '.join(_POLICIES)}, not {step.on_failure!r}")
    return flow_service_pb2.FlowMember(job=job, depends_on=after, on_failure=policy, name=step.name)
