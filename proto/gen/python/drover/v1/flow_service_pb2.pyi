import datetime

from drover.v1 import job_pb2 as _job_pb2
from drover.v1 import worker_service_pb2 as _worker_service_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FailurePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_POLICY_UNSPECIFIED: _ClassVar[FailurePolicy]
    FAILURE_POLICY_FAIL_FLOW: _ClassVar[FailurePolicy]
    FAILURE_POLICY_CONTINUE: _ClassVar[FailurePolicy]
    FAILURE_POLICY_SKIP_DEPENDENTS: _ClassVar[FailurePolicy]

class FlowState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FLOW_STATE_UNSPECIFIED: _ClassVar[FlowState]
    FLOW_STATE_RUNNING: _ClassVar[FlowState]
    FLOW_STATE_SUCCEEDED: _ClassVar[FlowState]
    FLOW_STATE_FAILED: _ClassVar[FlowState]
    FLOW_STATE_CANCELLED: _ClassVar[FlowState]
FAILURE_POLICY_UNSPECIFIED: FailurePolicy
FAILURE_POLICY_FAIL_FLOW: FailurePolicy
FAILURE_POLICY_CONTINUE: FailurePolicy
FAILURE_POLICY_SKIP_DEPENDENTS: FailurePolicy
FLOW_STATE_UNSPECIFIED: FlowState
FLOW_STATE_RUNNING: FlowState
FLOW_STATE_SUCCEEDED: FlowState
FLOW_STATE_FAILED: FlowState
FLOW_STATE_CANCELLED: FlowState

class FlowMember(_message.Message):
    __slots__ = ("job", "depends_on", "on_failure", "name")
    JOB_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    ON_FAILURE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.JobSpec
    depends_on: _containers.RepeatedScalarFieldContainer[int]
    on_failure: FailurePolicy
    name: str
    def __init__(self, job: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., depends_on: _Optional[_Iterable[int]] = ..., on_failure: _Optional[_Union[FailurePolicy, str]] = ..., name: _Optional[str] = ...) -> None: ...

class FlowSpec(_message.Message):
    __slots__ = ("key", "name", "members", "deadline", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    key: str
    name: str
    members: _containers.RepeatedCompositeFieldContainer[FlowMember]
    deadline: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    def __init__(self, key: _Optional[str] = ..., name: _Optional[str] = ..., members: _Optional[_Iterable[_Union[FlowMember, _Mapping]]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Flow(_message.Message):
    __slots__ = ("key", "name", "state", "counts", "submitted_at", "finished_at", "deadline", "labels", "failed_member", "failure", "last_members")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    FAILED_MEMBER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LAST_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    key: str
    name: str
    state: FlowState
    counts: FlowCounts
    submitted_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    deadline: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    failed_member: int
    failure: _job_pb2.Failure
    last_members: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, key: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[FlowState, str]] = ..., counts: _Optional[_Union[FlowCounts, _Mapping]] = ..., submitted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., failed_member: _Optional[int] = ..., failure: _Optional[_Union[_job_pb2.Failure, _Mapping]] = ..., last_members: _Optional[_Iterable[int]] = ...) -> None: ...

class FlowCounts(_message.Message):
    __slots__ = ("total", "blocked", "open", "succeeded", "failed", "cancelled")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    total: int
    blocked: int
    open: int
    succeeded: int
    failed: int
    cancelled: int
    def __init__(self, total: _Optional[int] = ..., blocked: _Optional[int] = ..., open: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ...) -> None: ...

class FlowMemberView(_message.Message):
    __slots__ = ("member", "job_id", "name", "state", "depends_on", "on_failure", "result", "failure")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    ON_FAILURE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    member: int
    job_id: str
    name: str
    state: _job_pb2.JobState
    depends_on: _containers.RepeatedScalarFieldContainer[int]
    on_failure: FailurePolicy
    result: _job_pb2.Payload
    failure: _job_pb2.Failure
    def __init__(self, member: _Optional[int] = ..., job_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ..., depends_on: _Optional[_Iterable[int]] = ..., on_failure: _Optional[_Union[FailurePolicy, str]] = ..., result: _Optional[_Union[_job_pb2.Payload, _Mapping]] = ..., failure: _Optional[_Union[_job_pb2.Failure, _Mapping]] = ...) -> None: ...

class FlowServiceSubmitRequest(_message.Message):
    __slots__ = ("flow",)
    FLOW_FIELD_NUMBER: _ClassVar[int]
    flow: FlowSpec
    def __init__(self, flow: _Optional[_Union[FlowSpec, _Mapping]] = ...) -> None: ...

class FlowServiceSubmitResponse(_message.Message):
    __slots__ = ("key", "deduplicated", "job_ids")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    key: str
    deduplicated: bool
    job_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key: _Optional[str] = ..., deduplicated: _Optional[bool] = ..., job_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FlowServiceGetRequest(_message.Message):
    __slots__ = ("key", "include_members", "first_member", "member_count", "include_results", "last_members_only")
    KEY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    FIRST_MEMBER_FIELD_NUMBER: _ClassVar[int]
    MEMBER_COUNT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RESULTS_FIELD_NUMBER: _ClassVar[int]
    LAST_MEMBERS_ONLY_FIELD_NUMBER: _ClassVar[int]
    key: str
    include_members: bool
    first_member: int
    member_count: int
    include_results: bool
    last_members_only: bool
    def __init__(self, key: _Optional[str] = ..., include_members: _Optional[bool] = ..., first_member: _Optional[int] = ..., member_count: _Optional[int] = ..., include_results: _Optional[bool] = ..., last_members_only: _Optional[bool] = ...) -> None: ...

class FlowServiceGetResponse(_message.Message):
    __slots__ = ("flow", "members", "next_member")
    FLOW_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_MEMBER_FIELD_NUMBER: _ClassVar[int]
    flow: Flow
    members: _containers.RepeatedCompositeFieldContainer[FlowMemberView]
    next_member: int
    def __init__(self, flow: _Optional[_Union[Flow, _Mapping]] = ..., members: _Optional[_Iterable[_Union[FlowMemberView, _Mapping]]] = ..., next_member: _Optional[int] = ...) -> None: ...

class FlowServiceListRequest(_message.Message):
    __slots__ = ("state", "name", "page_size", "page_token")
    STATE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    state: FlowState
    name: str
    page_size: int
    page_token: str
    def __init__(self, state: _Optional[_Union[FlowState, str]] = ..., name: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class FlowServiceListResponse(_message.Message):
    __slots__ = ("flows", "next_page_token")
    FLOWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    flows: _containers.RepeatedCompositeFieldContainer[Flow]
    next_page_token: str
    def __init__(self, flows: _Optional[_Iterable[_Union[Flow, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FlowServiceWatchRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class FlowServiceWatchResponse(_message.Message):
    __slots__ = ("flow",)
    FLOW_FIELD_NUMBER: _ClassVar[int]
    flow: Flow
    def __init__(self, flow: _Optional[_Union[Flow, _Mapping]] = ...) -> None: ...

class FlowServiceCancelRequest(_message.Message):
    __slots__ = ("key", "reason")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    key: str
    reason: str
    def __init__(self, key: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class FlowServiceCancelResponse(_message.Message):
    __slots__ = ("cancelled", "requested", "already_finished")
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    ALREADY_FINISHED_FIELD_NUMBER: _ClassVar[int]
    cancelled: int
    requested: int
    already_finished: bool
    def __init__(self, cancelled: _Optional[int] = ..., requested: _Optional[int] = ..., already_finished: _Optional[bool] = ...) -> None: ...

class FlowServiceRedriveRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class FlowServiceRedriveResponse(_message.Message):
    __slots__ = ("flow", "redriven")
    FLOW_FIELD_NUMBER: _ClassVar[int]
    REDRIVEN_FIELD_NUMBER: _ClassVar[int]
    flow: Flow
    redriven: int
    def __init__(self, flow: _Optional[_Union[Flow, _Mapping]] = ..., redriven: _Optional[int] = ...) -> None: ...

class InputsRequest(_message.Message):
    __slots__ = ("job_id", "first_input", "max_inputs")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_INPUT_FIELD_NUMBER: _ClassVar[int]
    MAX_INPUTS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    first_input: int
    max_inputs: int
    def __init__(self, job_id: _Optional[str] = ..., first_input: _Optional[int] = ..., max_inputs: _Optional[int] = ...) -> None: ...

class InputsResponse(_message.Message):
    __slots__ = ("inputs", "next_input")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_INPUT_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[_worker_service_pb2.Input]
    next_input: int
    def __init__(self, inputs: _Optional[_Iterable[_Union[_worker_service_pb2.Input, _Mapping]]] = ..., next_input: _Optional[int] = ...) -> None: ...
