"""A worker in Python: counts words, and proofreads for as long as it takes.

Run it by: DROVER_ADDRESS=localhost:50051 python analyse.py
"""

import asyncio
import os
import re
from collections import Counter

from drover_worker import App, Context

app = App(concurrency=8)


@app.task("text.analyse")
def analyse(text: str, document: str, number: int) -> dict:
    """A plain function runs in a thread."""
    words = [word.lower() for word in re.findall(r"\w+", text)]
    frequent = Counter(word for word in words if len(word) > 4).most_common(5)
    return {
        "document": document,
        "number": number,
        "words": len(words),
        "longest": max(words, key=len, default=""),
        "frequent": frequent,
    }


@app.task("text.proofread")
async def proofread(pages: int, seconds_per_page: float, context: Context) -> dict:
    """An async one shares the event loop with the others. When its job is cancelled, `await` raises."""
    for page in range(1, pages + 1):
        await asyncio.sleep(seconds_per_page)
        context.progress(page / pages, {"page": page})
    return {"pages": pages, "by": os.getpid()}


if __name__ == "__main__":
    app.run(worker_name=os.environ.get("WORKER_NAME"))
