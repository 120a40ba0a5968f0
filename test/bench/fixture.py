"""The test fixture that is measured, as fixture.mjs: what pytest's `drover_broker` and `drover_worker` use."""

import time

from drover_client.sync import Client
from drover_worker import App
from drover_worker.testing import BrokerProcess, running

app = App()


@app.task("noop")
async def noop() -> None:
    pass


began = time.monotonic()
with BrokerProcess() as broker, running(app, address=broker.address):
    with Client(broker.address) as client:
        client.submit("noop").result(timeout=60)
    print(f"ready {(time.monotonic() - began) * 1000}", flush=True)
