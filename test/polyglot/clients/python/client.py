"""The client of access.test.ts and gathering.test.ts in Python."""

import asyncio
import json
import os
from typing import Any

from drover_client import BrokerError, Client, Tls

env = os.environ.get
namespaces = env("FIXTURE_NAMESPACES", "").split(",")
patience = float(env("FIXTURE_PATIENCE", "45"))


async def together(client: Client, jobs: int) -> dict[str, Any]:
    """Submits, looks at and waits for so many jobs, each lot at once."""
    task = os.environ["FIXTURE_TASK"]
    await asyncio.gather(*(client.submit(task, {}, queue="nobodys") for _ in range(jobs)))
    ended = [f"echo~{env('FIXTURE_QUEUE')}-{i}" for i in range(jobs)]
    statuses = await asyncio.gather(*(client.status(id) for id in ended))
    results = await asyncio.gather(*(client.result(id, patience) for id in ended))
    return {"states": sorted({status.state.name for status in statuses}), "results": results}


async def main() -> None:
    ca = env("FIXTURE_TLS_CA")
    client = Client(
        tls=Tls(ca, env("FIXTURE_TLS_CERT"), env("FIXTURE_TLS_KEY")) if ca else False,
        metadata=(lambda: {"drover-namespace": namespaces.pop(0)}) if namespaces[0] else None,
        retry_for=patience,
    )
    async with client:
        try:
            if jobs := int(env("FIXTURE_TOGETHER", "0")):
                print(json.dumps(await together(client, jobs)))
                return
            job = await client.submit(
                os.environ["FIXTURE_TASK"],
                {"value": "hello"},
                queue=env("FIXTURE_QUEUE"),
            )
            status = await job.status()
            print(json.dumps({"state": status.state.name, "result": await job.result(patience)}))
        except BrokerError as error:
            print(json.dumps({"type": type(error).__name__, "error": str(error)}))


asyncio.run(main())
