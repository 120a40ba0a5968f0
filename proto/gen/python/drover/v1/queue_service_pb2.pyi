import datetime

from drover.v1 import job_pb2 as _job_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Queue(_message.Message):
    __slots__ = ("name", "paused", "ready", "running", "scheduled", "blocked", "succeeded", "failed", "cancelled", "lanes", "limits", "retention", "oldest_ready_age", "submitted_per_second", "finished_per_second")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    OLDEST_READY_AGE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    FINISHED_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    name: str
    paused: bool
    ready: int
    running: int
    scheduled: int
    blocked: int
    succeeded: int
    failed: int
    cancelled: int
    lanes: _containers.RepeatedCompositeFieldContainer[Lane]
    limits: RunLimits
    retention: Retention
    oldest_ready_age: _duration_pb2.Duration
    submitted_per_second: float
    finished_per_second: float
    def __init__(self, name: _Optional[str] = ..., paused: _Optional[bool] = ..., ready: _Optional[int] = ..., running: _Optional[int] = ..., scheduled: _Optional[int] = ..., blocked: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., lanes: _Optional[_Iterable[_Union[Lane, _Mapping]]] = ..., limits: _Optional[_Union[RunLimits, _Mapping]] = ..., retention: _Optional[_Union[Retention, _Mapping]] = ..., oldest_ready_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., submitted_per_second: _Optional[float] = ..., finished_per_second: _Optional[float] = ...) -> None: ...

class RunLimits(_message.Message):
    __slots__ = ("rate", "concurrency", "concurrency_per_key", "use")
    RATE_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_PER_KEY_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    rate: RateLimit
    concurrency: int
    concurrency_per_key: int
    use: LimitUse
    def __init__(self, rate: _Optional[_Union[RateLimit, _Mapping]] = ..., concurrency: _Optional[int] = ..., concurrency_per_key: _Optional[int] = ..., use: _Optional[_Union[LimitUse, _Mapping]] = ...) -> None: ...

class RateLimit(_message.Message):
    __slots__ = ("count", "period", "burst")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    count: int
    period: _duration_pb2.Duration
    burst: int
    def __init__(self, count: _Optional[int] = ..., period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., burst: _Optional[int] = ...) -> None: ...

class LimitUse(_message.Message):
    __slots__ = ("tokens", "next_token_at", "running")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    NEXT_TOKEN_AT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    tokens: int
    next_token_at: _timestamp_pb2.Timestamp
    running: int
    def __init__(self, tokens: _Optional[int] = ..., next_token_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., running: _Optional[int] = ...) -> None: ...

class Retention(_message.Message):
    __slots__ = ("succeeded", "failed", "cancelled", "succeeded_count")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    succeeded: _duration_pb2.Duration
    failed: _duration_pb2.Duration
    cancelled: _duration_pb2.Duration
    succeeded_count: int
    def __init__(self, succeeded: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., failed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cancelled: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., succeeded_count: _Optional[int] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("name", "task", "labels", "queue", "priority", "owner")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    name: str
    task: str
    labels: _containers.ScalarMap[str, str]
    queue: str
    priority: int
    owner: str
    def __init__(self, name: _Optional[str] = ..., task: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ..., owner: _Optional[str] = ...) -> None: ...

class Lane(_message.Message):
    __slots__ = ("task", "priority", "ready")
    TASK_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    task: str
    priority: int
    ready: int
    def __init__(self, task: _Optional[str] = ..., priority: _Optional[int] = ..., ready: _Optional[int] = ...) -> None: ...

class QueueServiceListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueueServiceListResponse(_message.Message):
    __slots__ = ("queues",)
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[Queue]
    def __init__(self, queues: _Optional[_Iterable[_Union[Queue, _Mapping]]] = ...) -> None: ...

class QueueServiceGetRequest(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: str
    def __init__(self, queue: _Optional[str] = ...) -> None: ...

class QueueServiceGetResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: Queue
    def __init__(self, queue: _Optional[_Union[Queue, _Mapping]] = ...) -> None: ...

class QueueServicePauseRequest(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: str
    def __init__(self, queue: _Optional[str] = ...) -> None: ...

class QueueServicePauseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueueServiceResumeRequest(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: str
    def __init__(self, queue: _Optional[str] = ...) -> None: ...

class QueueServiceResumeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueueServicePurgeRequest(_message.Message):
    __slots__ = ("queue", "task", "include_scheduled", "dry_run")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    queue: str
    task: str
    include_scheduled: bool
    dry_run: bool
    def __init__(self, queue: _Optional[str] = ..., task: _Optional[str] = ..., include_scheduled: _Optional[bool] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class QueueServicePurgeResponse(_message.Message):
    __slots__ = ("ready", "scheduled")
    READY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    ready: int
    scheduled: int
    def __init__(self, ready: _Optional[int] = ..., scheduled: _Optional[int] = ...) -> None: ...

class QueueServiceUpdateRequest(_message.Message):
    __slots__ = ("queue", "limits", "retention")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    queue: str
    limits: RunLimits
    retention: Retention
    def __init__(self, queue: _Optional[str] = ..., limits: _Optional[_Union[RunLimits, _Mapping]] = ..., retention: _Optional[_Union[Retention, _Mapping]] = ...) -> None: ...

class QueueServiceUpdateResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: Queue
    def __init__(self, queue: _Optional[_Union[Queue, _Mapping]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("name", "limits", "queues", "ready", "running", "workers")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    limits: RunLimits
    queues: _containers.RepeatedScalarFieldContainer[str]
    ready: int
    running: int
    workers: int
    def __init__(self, name: _Optional[str] = ..., limits: _Optional[_Union[RunLimits, _Mapping]] = ..., queues: _Optional[_Iterable[str]] = ..., ready: _Optional[int] = ..., running: _Optional[int] = ..., workers: _Optional[int] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: str
    def __init__(self, task: _Optional[str] = ...) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class UpdateTaskRequest(_message.Message):
    __slots__ = ("task", "limits")
    TASK_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    task: str
    limits: RunLimits
    def __init__(self, task: _Optional[str] = ..., limits: _Optional[_Union[RunLimits, _Mapping]] = ...) -> None: ...

class UpdateTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class ListRoutesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRoutesResponse(_message.Message):
    __slots__ = ("routes", "changed_at")
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    changed_at: _timestamp_pb2.Timestamp
    def __init__(self, routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PutRoutesRequest(_message.Message):
    __slots__ = ("owner", "routes", "dry_run")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    owner: str
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    dry_run: bool
    def __init__(self, owner: _Optional[str] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class PutRoutesResponse(_message.Message):
    __slots__ = ("routes", "added", "changed", "removed")
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    added: _containers.RepeatedScalarFieldContainer[str]
    changed: _containers.RepeatedScalarFieldContainer[str]
    removed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., added: _Optional[_Iterable[str]] = ..., changed: _Optional[_Iterable[str]] = ..., removed: _Optional[_Iterable[str]] = ...) -> None: ...

class TestRouteRequest(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.JobSpec
    def __init__(self, job: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ...) -> None: ...

class TestRouteResponse(_message.Message):
    __slots__ = ("route", "queue", "priority")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    route: Route
    queue: str
    priority: int
    def __init__(self, route: _Optional[_Union[Route, _Mapping]] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...
