from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Queue(_message.Message):
    __slots__ = ("name", "paused", "ready", "running", "scheduled", "blocked", "succeeded", "failed", "cancelled", "lanes")
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
    def __init__(self, name: _Optional[str] = ..., paused: _Optional[bool] = ..., ready: _Optional[int] = ..., running: _Optional[int] = ..., scheduled: _Optional[int] = ..., blocked: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., lanes: _Optional[_Iterable[_Union[Lane, _Mapping]]] = ...) -> None: ...

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
