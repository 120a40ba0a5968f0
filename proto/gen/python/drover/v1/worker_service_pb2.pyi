import datetime

from drover.v1 import job_pb2 as _job_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CancelReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_REASON_UNSPECIFIED: _ClassVar[CancelReason]
    CANCEL_REASON_REQUESTED: _ClassVar[CancelReason]
    CANCEL_REASON_TIME_LIMIT: _ClassVar[CancelReason]
    CANCEL_REASON_LEASE_LOST: _ClassVar[CancelReason]
CANCEL_REASON_UNSPECIFIED: CancelReason
CANCEL_REASON_REQUESTED: CancelReason
CANCEL_REASON_TIME_LIMIT: CancelReason
CANCEL_REASON_LEASE_LOST: CancelReason

class Lease(_message.Message):
    __slots__ = ("lease_id", "token", "job_id", "task", "queue", "priority", "attempt", "failures", "max_attempts", "payload", "labels", "headers", "submitted_at", "soft_time_limit", "hard_time_limit", "expires_at", "inputs", "input_count", "flow", "flow_member")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    SOFT_TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    HARD_TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    FLOW_FIELD_NUMBER: _ClassVar[int]
    FLOW_MEMBER_FIELD_NUMBER: _ClassVar[int]
    lease_id: int
    token: str
    job_id: str
    task: str
    queue: str
    priority: int
    attempt: int
    failures: int
    max_attempts: int
    payload: _job_pb2.Payload
    labels: _containers.ScalarMap[str, str]
    headers: _containers.ScalarMap[str, str]
    submitted_at: _timestamp_pb2.Timestamp
    soft_time_limit: _duration_pb2.Duration
    hard_time_limit: _duration_pb2.Duration
    expires_at: _timestamp_pb2.Timestamp
    inputs: _containers.RepeatedCompositeFieldContainer[Input]
    input_count: int
    flow: str
    flow_member: int
    def __init__(self, lease_id: _Optional[int] = ..., token: _Optional[str] = ..., job_id: _Optional[str] = ..., task: _Optional[str] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ..., attempt: _Optional[int] = ..., failures: _Optional[int] = ..., max_attempts: _Optional[int] = ..., payload: _Optional[_Union[_job_pb2.Payload, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., headers: _Optional[_Mapping[str, str]] = ..., submitted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., soft_time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., hard_time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[Input, _Mapping]]] = ..., input_count: _Optional[int] = ..., flow: _Optional[str] = ..., flow_member: _Optional[int] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("job_id", "state", "result", "failure")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    state: _job_pb2.JobState
    result: _job_pb2.Payload
    failure: _job_pb2.Failure
    def __init__(self, job_id: _Optional[str] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ..., result: _Optional[_Union[_job_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_job_pb2.Failure, _Mapping]] = ...) -> None: ...

class LeaseRequest(_message.Message):
    __slots__ = ("worker", "tasks", "queues", "max_jobs", "wait", "lease_duration")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    MAX_JOBS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    LEASE_DURATION_FIELD_NUMBER: _ClassVar[int]
    worker: str
    tasks: _containers.RepeatedScalarFieldContainer[str]
    queues: _containers.RepeatedScalarFieldContainer[str]
    max_jobs: int
    wait: _duration_pb2.Duration
    lease_duration: _duration_pb2.Duration
    def __init__(self, worker: _Optional[str] = ..., tasks: _Optional[_Iterable[str]] = ..., queues: _Optional[_Iterable[str]] = ..., max_jobs: _Optional[int] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lease_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class LeaseResponse(_message.Message):
    __slots__ = ("leases",)
    LEASES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    def __init__(self, leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("lease_id", "token", "success", "failure", "release", "snooze", "cancelled")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    SNOOZE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    lease_id: int
    token: str
    success: Success
    failure: FailureReport
    release: Release
    snooze: Snooze
    cancelled: Cancelled
    def __init__(self, lease_id: _Optional[int] = ..., token: _Optional[str] = ..., success: _Optional[_Union[Success, _Mapping]] = ..., failure: _Optional[_Union[FailureReport, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ..., snooze: _Optional[_Union[Snooze, _Mapping]] = ..., cancelled: _Optional[_Union[Cancelled, _Mapping]] = ...) -> None: ...

class Success(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _job_pb2.Payload
    def __init__(self, result: _Optional[_Union[_job_pb2.Payload, _Mapping]] = ...) -> None: ...

class FailureReport(_message.Message):
    __slots__ = ("reason", "type", "message", "stack", "retry_after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: _job_pb2.FailureReason
    type: str
    message: str
    stack: str
    retry_after: _duration_pb2.Duration
    def __init__(self, reason: _Optional[_Union[_job_pb2.FailureReason, str]] = ..., type: _Optional[str] = ..., message: _Optional[str] = ..., stack: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Snooze(_message.Message):
    __slots__ = ("delay",)
    DELAY_FIELD_NUMBER: _ClassVar[int]
    delay: _duration_pb2.Duration
    def __init__(self, delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Cancelled(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AckRequest(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ...) -> None: ...

class AckResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AckResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AckResult, _Mapping]]] = ...) -> None: ...

class AckResult(_message.Message):
    __slots__ = ("error", "state")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    error: _job_pb2.ItemStatus
    state: _job_pb2.JobState
    def __init__(self, error: _Optional[_Union[_job_pb2.ItemStatus, _Mapping]] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ...) -> None: ...

class ExtendRequest(_message.Message):
    __slots__ = ("leases",)
    LEASES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[LeaseExtension]
    def __init__(self, leases: _Optional[_Iterable[_Union[LeaseExtension, _Mapping]]] = ...) -> None: ...

class LeaseExtension(_message.Message):
    __slots__ = ("token", "duration", "progress")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    token: str
    duration: _duration_pb2.Duration
    progress: _job_pb2.Progress
    def __init__(self, token: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., progress: _Optional[_Union[_job_pb2.Progress, _Mapping]] = ...) -> None: ...

class ExtendResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ExtendResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ExtendResult, _Mapping]]] = ...) -> None: ...

class ExtendResult(_message.Message):
    __slots__ = ("error", "expires_at", "cancel_requested", "drain")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    error: _job_pb2.ItemStatus
    expires_at: _timestamp_pb2.Timestamp
    cancel_requested: bool
    drain: bool
    def __init__(self, error: _Optional[_Union[_job_pb2.ItemStatus, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancel_requested: _Optional[bool] = ..., drain: _Optional[bool] = ...) -> None: ...

class WorkRequest(_message.Message):
    __slots__ = ("attach", "credit", "outcomes", "progress", "pong", "drain")
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    attach: Attach
    credit: Credit
    outcomes: Outcomes
    progress: ProgressReports
    pong: Pong
    drain: Drain
    def __init__(self, attach: _Optional[_Union[Attach, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., outcomes: _Optional[_Union[Outcomes, _Mapping]] = ..., progress: _Optional[_Union[ProgressReports, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class WorkResponse(_message.Message):
    __slots__ = ("attached", "leases", "settled", "cancel", "ping", "drain")
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    attached: Attached
    leases: Leases
    settled: Settled
    cancel: CancelLeases
    ping: Ping
    drain: Drain
    def __init__(self, attached: _Optional[_Union[Attached, _Mapping]] = ..., leases: _Optional[_Union[Leases, _Mapping]] = ..., settled: _Optional[_Union[Settled, _Mapping]] = ..., cancel: _Optional[_Union[CancelLeases, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Attach(_message.Message):
    __slots__ = ("worker", "instance", "tasks", "queues", "credit", "held", "sdk")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    worker: str
    instance: str
    tasks: _containers.RepeatedCompositeFieldContainer[TaskRegistration]
    queues: _containers.RepeatedCompositeFieldContainer[QueueSubscription]
    credit: Credit
    held: _containers.RepeatedScalarFieldContainer[str]
    sdk: str
    def __init__(self, worker: _Optional[str] = ..., instance: _Optional[str] = ..., tasks: _Optional[_Iterable[_Union[TaskRegistration, _Mapping]]] = ..., queues: _Optional[_Iterable[_Union[QueueSubscription, _Mapping]]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., held: _Optional[_Iterable[str]] = ..., sdk: _Optional[str] = ...) -> None: ...

class TaskRegistration(_message.Message):
    __slots__ = ("task", "concurrency")
    TASK_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    task: str
    concurrency: int
    def __init__(self, task: _Optional[str] = ..., concurrency: _Optional[int] = ...) -> None: ...

class QueueSubscription(_message.Message):
    __slots__ = ("queue", "weight")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    queue: str
    weight: int
    def __init__(self, queue: _Optional[str] = ..., weight: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("jobs", "bytes")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    jobs: int
    bytes: int
    def __init__(self, jobs: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Attached(_message.Message):
    __slots__ = ("broker", "ping_interval", "session_timeout", "held", "lost")
    BROKER_FIELD_NUMBER: _ClassVar[int]
    PING_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SESSION_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    broker: str
    ping_interval: _duration_pb2.Duration
    session_timeout: _duration_pb2.Duration
    held: _containers.RepeatedCompositeFieldContainer[HeldLease]
    lost: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, broker: _Optional[str] = ..., ping_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., session_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., held: _Optional[_Iterable[_Union[HeldLease, _Mapping]]] = ..., lost: _Optional[_Iterable[str]] = ...) -> None: ...

class HeldLease(_message.Message):
    __slots__ = ("token", "lease_id", "cancel_requested")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    token: str
    lease_id: int
    cancel_requested: bool
    def __init__(self, token: _Optional[str] = ..., lease_id: _Optional[int] = ..., cancel_requested: _Optional[bool] = ...) -> None: ...

class Leases(_message.Message):
    __slots__ = ("leases",)
    LEASES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    def __init__(self, leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ...) -> None: ...

class Outcomes(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ...) -> None: ...

class Settled(_message.Message):
    __slots__ = ("recorded", "refused")
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    recorded: _containers.RepeatedScalarFieldContainer[int]
    refused: _containers.RepeatedCompositeFieldContainer[RefusedOutcome]
    def __init__(self, recorded: _Optional[_Iterable[int]] = ..., refused: _Optional[_Iterable[_Union[RefusedOutcome, _Mapping]]] = ...) -> None: ...

class RefusedOutcome(_message.Message):
    __slots__ = ("lease_id", "token", "error")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    lease_id: int
    token: str
    error: _job_pb2.ItemStatus
    def __init__(self, lease_id: _Optional[int] = ..., token: _Optional[str] = ..., error: _Optional[_Union[_job_pb2.ItemStatus, _Mapping]] = ...) -> None: ...

class ProgressReports(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[ProgressReport]
    def __init__(self, reports: _Optional[_Iterable[_Union[ProgressReport, _Mapping]]] = ...) -> None: ...

class ProgressReport(_message.Message):
    __slots__ = ("lease_id", "progress")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    lease_id: int
    progress: _job_pb2.Progress
    def __init__(self, lease_id: _Optional[int] = ..., progress: _Optional[_Union[_job_pb2.Progress, _Mapping]] = ...) -> None: ...

class CancelLeases(_message.Message):
    __slots__ = ("leases",)
    LEASES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[CancelledLease]
    def __init__(self, leases: _Optional[_Iterable[_Union[CancelledLease, _Mapping]]] = ...) -> None: ...

class CancelledLease(_message.Message):
    __slots__ = ("lease_id", "reason")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    lease_id: int
    reason: CancelReason
    def __init__(self, lease_id: _Optional[int] = ..., reason: _Optional[_Union[CancelReason, str]] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("server_time",)
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Drain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
