"""How a broker is spoken to: plain or TLS, and with what in the metadata of each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

Metadata = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""What each call and each session carries, for example a token; a function is asked anew for each. It is
called in the thread that speaks to the broker and must not block."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM. Without `ca` gRPC's own list of authorities counts; `cert` and `key` are shown to a
    broker that asks for them."""

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises OSError, and ValueError for one of cert and key without the other."""
        if (self.cert is None) != (self.key is None):
            raise ValueError("tls: cert and key are given together or not at all")
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))


class Access:
    """Raises what `Tls.credentials` does."""

    def __init__(
        self,
        options: Sequence[tuple[str, Any]],
        tls: Tls | bool = False,
        metadata: Metadata | None = None,
    ) -> None:
        """`options` of every channel, as gRPC names them."""
        chosen = Tls() if tls is True else tls
        self._options = options
        self._credentials = chosen.credentials() if chosen else None
        self._metadata = metadata

    def channel(self, address: str) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(address, options=self._options)
        return grpc.aio.secure_channel(address, self._credentials, options=self._options)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Of one call or session, just now."""
        said = self._metadata() if callable(self._metadata) else self._metadata
        return tuple((name.lower(), value) for name, value in (said or {}).items())


def explained(details: str) -> str:
    """What gRPC says of a failed connection, in words of people where its own are none."""
    if "TSI_DATA_CORRUPTED" in details:
        return f"{details}: the broker ended the TLS handshake; it may want a certificate (tls cert and key)"
    return details


def _read(path: str | Path | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
