"""An exception as a failure's type, message and stack, inside the sizes that the contract names."""

from __future__ import annotations

import traceback

MAX_TYPE = 256
MAX_MESSAGE = 4 * 1024
MAX_STACK = 8 * 1024
_CUT = " [...] "


def type_name(error: BaseException) -> str:
    return cut_end(type(error).__name__, MAX_TYPE)


def message_of(error: BaseException) -> str:
    try:
        return cut_end(str(error), MAX_MESSAGE)
    except Exception as broken:  # an exception whose __str__ fails must not cost its own report
        return f"(no message: its __str__ raised {type(broken).__name__})"


def stack_of(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as broken:
        return f"(no stack: formatting it raised {type(broken).__name__})"
    return cut_middle(text, MAX_STACK)


def cut_end(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - len(_CUT)].decode(errors="ignore") + _CUT


def cut_middle(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8: the begin says where it came from, the end says what
    happened."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return data.decode()
    half = (limit - len(_CUT)) // 2
    return data[:half].decode(errors="ignore") + _CUT + data[-half:].decode(errors="ignore")
