"""The client of access.test.ts in Python."""

import asyncio
import json
import os

from drover_client import BrokerError, Client, Tls

env = os.environ.get
namespaces = env("FIXTURE_NAMESPACES", "").split(",")


async def main() -> None:
    ca = env("FIXTURE_TLS_CA")
    client = Client(
        tls=Tls(ca, env("FIXTURE_TLS_CERT"), env("FIXTURE_TLS_KEY")) if ca else False,
        metadata=(lambda: {"drover-namespace": namespaces.pop(0)}) if namespaces[0] else None,
        retry_for=3,
    )
    async with client:
        try:
            job = await client.submit(
                os.environ["FIXTURE_TASK"],
                {"value": "hello"},
                queue=env("FIXTURE_QUEUE"),
            )
            status = await job.status()
            print(json.dumps({"state": status.state.name, "result": await job.result(30)}))
        except BrokerError as error:
            print(json.dumps({"type": type(error).__name__, "error": str(error)}))


asyncio.run(main())
