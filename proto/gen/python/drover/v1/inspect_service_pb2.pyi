import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Worker(_message.Message):
    __slots__ = ("name", "instance", "broker", "sdk", "peer", "attached_at", "tasks", "queues", "credit", "running", "draining")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    BROKER_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_AT_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    name: str
    instance: str
    broker: str
    sdk: str
    peer: str
    attached_at: _timestamp_pb2.Timestamp
    tasks: _containers.RepeatedScalarFieldContainer[str]
    queues: _containers.RepeatedScalarFieldContainer[str]
    credit: int
    running: int
    draining: bool
    def __init__(self, name: _Optional[str] = ..., instance: _Optional[str] = ..., broker: _Optional[str] = ..., sdk: _Optional[str] = ..., peer: _Optional[str] = ..., attached_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tasks: _Optional[_Iterable[str]] = ..., queues: _Optional[_Iterable[str]] = ..., credit: _Optional[int] = ..., running: _Optional[int] = ..., draining: _Optional[bool] = ...) -> None: ...

class WorkersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkersResponse(_message.Message):
    __slots__ = ("workers", "silent_brokers")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    SILENT_BROKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    silent_brokers: int
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ..., silent_brokers: _Optional[int] = ...) -> None: ...

class ActiveJob(_message.Message):
    __slots__ = ("job_id", "queue", "attempt", "worker", "broker", "started_at", "cancel_requested")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    BROKER_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    queue: str
    attempt: int
    worker: str
    broker: str
    started_at: _timestamp_pb2.Timestamp
    cancel_requested: bool
    def __init__(self, job_id: _Optional[str] = ..., queue: _Optional[str] = ..., attempt: _Optional[int] = ..., worker: _Optional[str] = ..., broker: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancel_requested: _Optional[bool] = ...) -> None: ...

class ActiveRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ActiveResponse(_message.Message):
    __slots__ = ("jobs", "truncated", "silent_brokers")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    SILENT_BROKERS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[ActiveJob]
    truncated: bool
    silent_brokers: int
    def __init__(self, jobs: _Optional[_Iterable[_Union[ActiveJob, _Mapping]]] = ..., truncated: _Optional[bool] = ..., silent_brokers: _Optional[int] = ...) -> None: ...

class RegisteredTask(_message.Message):
    __slots__ = ("task", "workers", "queues")
    TASK_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    task: str
    workers: _containers.RepeatedScalarFieldContainer[str]
    queues: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[str] = ..., workers: _Optional[_Iterable[str]] = ..., queues: _Optional[_Iterable[str]] = ...) -> None: ...

class RegisteredRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RegisteredResponse(_message.Message):
    __slots__ = ("tasks", "silent_brokers")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    SILENT_BROKERS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[RegisteredTask]
    silent_brokers: int
    def __init__(self, tasks: _Optional[_Iterable[_Union[RegisteredTask, _Mapping]]] = ..., silent_brokers: _Optional[int] = ...) -> None: ...

class ServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerInfoResponse(_message.Message):
    __slots__ = ("version", "broker", "brokers", "namespace", "shards", "replicas", "nats_server_version", "started_at", "server_time", "limits")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BROKER_FIELD_NUMBER: _ClassVar[int]
    BROKERS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    NATS_SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    version: str
    broker: str
    brokers: _containers.RepeatedScalarFieldContainer[str]
    namespace: str
    shards: int
    replicas: int
    nats_server_version: str
    started_at: _timestamp_pb2.Timestamp
    server_time: _timestamp_pb2.Timestamp
    limits: Limits
    def __init__(self, version: _Optional[str] = ..., broker: _Optional[str] = ..., brokers: _Optional[_Iterable[str]] = ..., namespace: _Optional[str] = ..., shards: _Optional[int] = ..., replicas: _Optional[int] = ..., nats_server_version: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("payload", "result", "batch", "lanes", "idempotency_window")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_WINDOW_FIELD_NUMBER: _ClassVar[int]
    payload: int
    result: int
    batch: int
    lanes: int
    idempotency_window: _duration_pb2.Duration
    def __init__(self, payload: _Optional[int] = ..., result: _Optional[int] = ..., batch: _Optional[int] = ..., lanes: _Optional[int] = ..., idempotency_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
