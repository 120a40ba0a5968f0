"""Drover's client SDK: submit jobs, ask after them, wait for them.

```python
async with Client("localhost:50051") as client:
    job = await client.submit("notifications.send_email", {"user_id": 1})
    print(await client.result(job.id, timeout=30))
```
"""

from .answers import Cancellation, CancelOutcome, Submitted, WaitResult
from .client import Client
from .errors import (
    BrokerError,
    DroverError,
    FieldViolation,
    InvalidArgument,
    JobCancelled,
    JobExists,
    JobFailed,
    JobNotFound,
    Overloaded,
    Unavailable,
    WaitTimeout,
)
from .job import Attempt, Failure, Job, JobState, Progress
from .payload import Payload
from .spec import JobRequest, RetryPolicy
from .version import __version__

__all__ = [
    "Attempt",
    "BrokerError",
    "CancelOutcome",
    "Cancellation",
    "Client",
    "DroverError",
    "Failure",
    "FieldViolation",
    "InvalidArgument",
    "Job",
    "JobCancelled",
    "JobExists",
    "JobFailed",
    "JobNotFound",
    "JobRequest",
    "JobState",
    "Overloaded",
    "Payload",
    "Progress",
    "RetryPolicy",
    "Submitted",
    "Unavailable",
    "WaitResult",
    "WaitTimeout",
    "__version__",
]
