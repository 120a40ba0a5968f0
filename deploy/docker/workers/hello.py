"""A worker in Python, to try the compose file with."""

from drover_worker import App

app = App()


@app.task("hello.python")
def hello(name: str) -> str:
    return f"Hello, {name}!"


app.run()
