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

class ConflictPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFLICT_POLICY_UNSPECIFIED: _ClassVar[ConflictPolicy]
    CONFLICT_POLICY_RETURN_EXISTING: _ClassVar[ConflictPolicy]
    CONFLICT_POLICY_REJECT: _ClassVar[ConflictPolicy]

class WaitMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_MODE_UNSPECIFIED: _ClassVar[WaitMode]
    WAIT_MODE_ALL: _ClassVar[WaitMode]
    WAIT_MODE_ANY: _ClassVar[WaitMode]

class CancelOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_OUTCOME_UNSPECIFIED: _ClassVar[CancelOutcome]
    CANCEL_OUTCOME_CANCELLED: _ClassVar[CancelOutcome]
    CANCEL_OUTCOME_REQUESTED: _ClassVar[CancelOutcome]
    CANCEL_OUTCOME_ALREADY_FINISHED: _ClassVar[CancelOutcome]

class ObstacleKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBSTACLE_KIND_UNSPECIFIED: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_NOT_DUE: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_QUEUE_PAUSED: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_NO_WORKER: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_WORKERS_BUSY: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_BEHIND_OTHERS: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_RATE_LIMIT: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_CONCURRENCY_LIMIT: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_CONCURRENCY_KEY: _ClassVar[ObstacleKind]
    OBSTACLE_KIND_DEPENDENCIES: _ClassVar[ObstacleKind]
CONFLICT_POLICY_UNSPECIFIED: ConflictPolicy
CONFLICT_POLICY_RETURN_EXISTING: ConflictPolicy
CONFLICT_POLICY_REJECT: ConflictPolicy
WAIT_MODE_UNSPECIFIED: WaitMode
WAIT_MODE_ALL: WaitMode
WAIT_MODE_ANY: WaitMode
CANCEL_OUTCOME_UNSPECIFIED: CancelOutcome
CANCEL_OUTCOME_CANCELLED: CancelOutcome
CANCEL_OUTCOME_REQUESTED: CancelOutcome
CANCEL_OUTCOME_ALREADY_FINISHED: CancelOutcome
OBSTACLE_KIND_UNSPECIFIED: ObstacleKind
OBSTACLE_KIND_NOT_DUE: ObstacleKind
OBSTACLE_KIND_QUEUE_PAUSED: ObstacleKind
OBSTACLE_KIND_NO_WORKER: ObstacleKind
OBSTACLE_KIND_WORKERS_BUSY: ObstacleKind
OBSTACLE_KIND_BEHIND_OTHERS: ObstacleKind
OBSTACLE_KIND_RATE_LIMIT: ObstacleKind
OBSTACLE_KIND_CONCURRENCY_LIMIT: ObstacleKind
OBSTACLE_KIND_CONCURRENCY_KEY: ObstacleKind
OBSTACLE_KIND_DEPENDENCIES: ObstacleKind

class SubmitRequest(_message.Message):
    __slots__ = ("job", "on_conflict")
    JOB_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.JobSpec
    on_conflict: ConflictPolicy
    def __init__(self, job: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., on_conflict: _Optional[_Union[ConflictPolicy, str]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("id", "deduplicated", "state", "replaced")
    ID_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    id: str
    deduplicated: bool
    state: _job_pb2.JobState
    replaced: bool
    def __init__(self, id: _Optional[str] = ..., deduplicated: _Optional[bool] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ..., replaced: _Optional[bool] = ...) -> None: ...

class SubmitBatchRequest(_message.Message):
    __slots__ = ("jobs", "on_conflict")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.JobSpec]
    on_conflict: ConflictPolicy
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.JobSpec, _Mapping]]] = ..., on_conflict: _Optional[_Union[ConflictPolicy, str]] = ...) -> None: ...

class SubmitBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResult, _Mapping]]] = ...) -> None: ...

class SubmitResult(_message.Message):
    __slots__ = ("id", "deduplicated", "state", "error", "replaced")
    ID_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    id: str
    deduplicated: bool
    state: _job_pb2.JobState
    error: _job_pb2.ItemStatus
    replaced: bool
    def __init__(self, id: _Optional[str] = ..., deduplicated: _Optional[bool] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ..., error: _Optional[_Union[_job_pb2.ItemStatus, _Mapping]] = ..., replaced: _Optional[bool] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("id", "include_payload")
    ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    id: str
    include_payload: bool
    def __init__(self, id: _Optional[str] = ..., include_payload: _Optional[bool] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class StatusBatchRequest(_message.Message):
    __slots__ = ("ids", "include_payload")
    IDS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    include_payload: bool
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., include_payload: _Optional[bool] = ...) -> None: ...

class StatusBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[StatusResult]
    def __init__(self, results: _Optional[_Iterable[_Union[StatusResult, _Mapping]]] = ...) -> None: ...

class StatusResult(_message.Message):
    __slots__ = ("job", "error")
    JOB_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    error: _job_pb2.ItemStatus
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., error: _Optional[_Union[_job_pb2.ItemStatus, _Mapping]] = ...) -> None: ...

class WaitRequest(_message.Message):
    __slots__ = ("ids", "mode", "timeout")
    IDS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    mode: WaitMode
    timeout: _duration_pb2.Duration
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[WaitMode, str]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WaitResponse(_message.Message):
    __slots__ = ("results", "done")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[StatusResult]
    done: bool
    def __init__(self, results: _Optional[_Iterable[_Union[StatusResult, _Mapping]]] = ..., done: _Optional[bool] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("state", "task", "queue", "page_size", "page_token", "include_payload")
    STATE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    state: _job_pb2.JobState
    task: str
    queue: str
    page_size: int
    page_token: str
    include_payload: bool
    def __init__(self, state: _Optional[_Union[_job_pb2.JobState, str]] = ..., task: _Optional[str] = ..., queue: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_payload: _Optional[bool] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("outcome", "previous_state")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_STATE_FIELD_NUMBER: _ClassVar[int]
    outcome: CancelOutcome
    previous_state: _job_pb2.JobState
    def __init__(self, outcome: _Optional[_Union[CancelOutcome, str]] = ..., previous_state: _Optional[_Union[_job_pb2.JobState, str]] = ...) -> None: ...

class RedriveRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RedriveResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class MoveRequest(_message.Message):
    __slots__ = ("id", "queue", "priority")
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    id: str
    queue: str
    priority: int
    def __init__(self, id: _Optional[str] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...

class MoveResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("state", "obstacles", "earliest_start", "summary")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OBSTACLES_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_START_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    state: _job_pb2.JobState
    obstacles: _containers.RepeatedCompositeFieldContainer[Obstacle]
    earliest_start: _timestamp_pb2.Timestamp
    summary: str
    def __init__(self, state: _Optional[_Union[_job_pb2.JobState, str]] = ..., obstacles: _Optional[_Iterable[_Union[Obstacle, _Mapping]]] = ..., earliest_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., summary: _Optional[str] = ...) -> None: ...

class Obstacle(_message.Message):
    __slots__ = ("kind", "detail", "subject", "count", "until", "jobs")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    kind: ObstacleKind
    detail: str
    subject: str
    count: int
    until: _timestamp_pb2.Timestamp
    jobs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[ObstacleKind, str]] = ..., detail: _Optional[str] = ..., subject: _Optional[str] = ..., count: _Optional[int] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., jobs: _Optional[_Iterable[str]] = ...) -> None: ...

class CallRequest(_message.Message):
    __slots__ = ("id", "submit", "submit_batch", "status", "status_batch", "wait", "left")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_BATCH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_BATCH_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    id: int
    submit: SubmitRequest
    submit_batch: SubmitBatchRequest
    status: StatusRequest
    status_batch: StatusBatchRequest
    wait: WaitRequest
    left: CallLeft
    def __init__(self, id: _Optional[int] = ..., submit: _Optional[_Union[SubmitRequest, _Mapping]] = ..., submit_batch: _Optional[_Union[SubmitBatchRequest, _Mapping]] = ..., status: _Optional[_Union[StatusRequest, _Mapping]] = ..., status_batch: _Optional[_Union[StatusBatchRequest, _Mapping]] = ..., wait: _Optional[_Union[WaitRequest, _Mapping]] = ..., left: _Optional[_Union[CallLeft, _Mapping]] = ...) -> None: ...

class CallLeft(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CallResponse(_message.Message):
    __slots__ = ("id", "submit", "submit_batch", "status", "status_batch", "wait", "failure")
    ID_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_BATCH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_BATCH_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    id: int
    submit: SubmitResponse
    submit_batch: SubmitBatchResponse
    status: StatusResponse
    status_batch: StatusBatchResponse
    wait: WaitResponse
    failure: CallFailure
    def __init__(self, id: _Optional[int] = ..., submit: _Optional[_Union[SubmitResponse, _Mapping]] = ..., submit_batch: _Optional[_Union[SubmitBatchResponse, _Mapping]] = ..., status: _Optional[_Union[StatusResponse, _Mapping]] = ..., status_batch: _Optional[_Union[StatusBatchResponse, _Mapping]] = ..., wait: _Optional[_Union[WaitResponse, _Mapping]] = ..., failure: _Optional[_Union[CallFailure, _Mapping]] = ...) -> None: ...

class CallFailure(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: bytes
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[bytes] = ...) -> None: ...
