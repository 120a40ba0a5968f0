"""Drover's worker SDK: tasks are plain functions, a worker runs them.

```python
app = App()

@app.task("notifications.send_email")
async def send_email(user_id: int, template: str = "plain") -> None: ...
```
"""

from drover.sdk.access import Tls
from drover.sdk.payload import Payload

from .app import App
from .cancellation import CancelReason
from .context import Context
from .errors import (
    BindingError,
    JobCancelled,
    Permanent,
    Release,
    ResultError,
    Retry,
    Snooze,
    SoftTimeLimitExceeded,
)
from .inputs import Input, InputFailure
from .settings import Settings, SettingsError
from .task import Task
from .version import __version__
from .worker import Worker

__all__ = [
    "App",
    "BindingError",
    "CancelReason",
    "Context",
    "Input",
    "InputFailure",
    "JobCancelled",
    "Payload",
    "Permanent",
    "Release",
    "ResultError",
    "Retry",
    "Settings",
    "SettingsError",
    "Snooze",
    "SoftTimeLimitExceeded",
    "Task",
    "Tls",
    "Worker",
    "__version__",
]
