"""The worker: `drover-worker tasks:app`."""

import asyncio

from contracts import process_user
from drover_worker import App, Context

app = App()


@app.task(process_user)
async def process(user_id: int, ctx: Context) -> dict[str, int]:
    for step in range(4):
        ctx.progress(step / 4, {"step": step})
        await asyncio.sleep(0.05)
    return {"user_id": user_id, "score": user_id * 2}
