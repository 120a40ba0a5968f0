"""The worker of worker.mjs in Python, as far as it is measured: `noop` returns at once."""

import os

from drover_worker import App

app = App(queues=os.environ["BENCH_QUEUES"], concurrency=int(os.environ["BENCH_CONCURRENCY"]))


@app.task("noop")
async def noop(text: str = "") -> None:
    pass


if __name__ == "__main__":
    app.run(log_level="error")
