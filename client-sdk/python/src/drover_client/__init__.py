"""Drover's client SDK: submit jobs, ask after them, wait for them.

```python
async with Client("localhost:50051") as client:
    job = await client.submit("notifications.send_email", {"user_id": 1})
    print(await client.result(job.id, timeout=30))
```
"""

from drover.sdk.access import Tls
from drover.sdk.payload import Payload

from .answers import Cancellation, CancelOutcome, Submitted, WaitResult
from .client import Client
from .errors import (
    BrokerError,
    DroverError,
    FieldViolation,
    FlowFailed,
    FlowNotFound,
    FlowTimeout,
    InvalidArgument,
    JobCancelled,
    JobExists,
    JobFailed,
    JobNotFound,
    Overloaded,
    QueueNotFound,
    Unavailable,
    WaitTimeout,
)
from .explanation import Explanation, Obstacle, ObstacleKind
from .flow_builders import Chain, Dag, Group, chain, chord, group
from .flows import FlowCancellation, FlowCounts, FlowHandle, FlowMember, FlowState, FlowStatus
from .handle import JobHandle
from .job import Attempt, Failure, Job, JobState, Progress
from .limits import Rate, RunLimits
from .operations import ActiveJob, Purged, Queue, RegisteredTask, Route, WorkerInfo
from .schedules import Declared, Firing, Schedule, ScheduleStatus
from .spec import Debounce, JobRequest, RetryPolicy, Unique
from .task_ref import Step, TaskRef, step, task_ref
from .version import __version__

__all__ = [
    "ActiveJob",
    "Attempt",
    "BrokerError",
    "CancelOutcome",
    "Cancellation",
    "Chain",
    "Client",
    "Dag",
    "Debounce",
    "Declared",
    "DroverError",
    "Explanation",
    "Failure",
    "FieldViolation",
    "Firing",
    "FlowCancellation",
    "FlowCounts",
    "FlowFailed",
    "FlowHandle",
    "FlowMember",
    "FlowNotFound",
    "FlowState",
    "FlowStatus",
    "FlowTimeout",
    "Group",
    "InvalidArgument",
    "Job",
    "JobCancelled",
    "JobExists",
    "JobFailed",
    "JobHandle",
    "JobNotFound",
    "JobRequest",
    "JobState",
    "Obstacle",
    "ObstacleKind",
    "Overloaded",
    "Payload",
    "Progress",
    "Purged",
    "Queue",
    "QueueNotFound",
    "Rate",
    "RegisteredTask",
    "RetryPolicy",
    "Route",
    "RunLimits",
    "Schedule",
    "ScheduleStatus",
    "Step",
    "Submitted",
    "TaskRef",
    "Tls",
    "Unavailable",
    "Unique",
    "WaitResult",
    "WaitTimeout",
    "WorkerInfo",
    "__version__",
    "chain",
    "chord",
    "group",
    "step",
    "task_ref",
]
