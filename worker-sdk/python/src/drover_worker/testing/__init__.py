"""For tests of code that has tasks: a real broker of the test's own, a worker in the test's process, and a
client that runs handlers on the spot. In pytest the fixtures `drover_broker` and `drover_worker` use them.
"""

from .broker import BrokerProcess
from .eager import EagerClient
from .eager_job import EagerJob, EagerRefusal, EagerState, EagerStatus
from .running import running

__all__ = [
    "BrokerProcess",
    "EagerClient",
    "EagerJob",
    "EagerRefusal",
    "EagerState",
    "EagerStatus",
    "running",
]
