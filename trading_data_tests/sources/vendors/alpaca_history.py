"""A local HTTP server that speaks the protocol of Alpaca's history of bars, with faults as the test orders them.

Belongs here: the protocol and its faults. Does not: the stream (`alpaca_live`), and assertions.
"""

import base64
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

KEY, SECRET = "PKTEST0KEY", "s3cret/of+the=test"
MINUTE = timedelta(minutes=1)


def bar(begin: datetime, close: float = 11.5, **values: Any) -> dict[str, Any]:
    """A bar in Alpaca's JSON."""
    given = {"o": 10.01, "h": 12.345, "l": 9.0, "c": close, "v": 100, "n": 3, "vw": 10.7}
    return {"t": begin.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **given, **values}


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of, or besides, an answer.

    `cut`: half of the body, then the end of the connection. `drop`: no answer. `half`: half of the body as if it were all.
    `again`: the page before this one once more, then on. `endless`: the page points at itself.
    """

    kind: Literal["status", "cut", "drop", "half", "again", "endless", "slow"]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


class AlpacaHistory:
    """Bars by symbol; `faults` meet the requests in their order, None lets one pass; `requests` are those that came."""

    def __init__(self) -> None:
        self.bars: dict[str, list[dict[str, Any]]] = {}
        self.faults: deque[Fault | None] = deque()
        self.headers: dict[str, str] = {}
        self.requests: list[dict[str, str]] = []
        self.slow = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with suppress(ConnectionError):
                    server._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.slow.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, symbol: str, bar: dict[str, Any]) -> None:
        """Add a bar, or replace that of the same minute."""
        others = [other for other in self.bars.get(symbol, ()) if other["t"] != bar["t"]]
        self.bars[symbol] = sorted([*others, bar], key=lambda other: str(other["t"]))

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append(asked)
        fault = self.faults.popleft() if self.faults else None
        kind = fault.kind if fault else ""
        if kind == "drop":
            return _hang_up(handler)
        if kind == "slow":
            self.slow.wait(10)
        status, body = self._page(parts.path, handler.headers, asked, kind)
        if fault and kind == "status":
            status, body = fault.status, fault.body
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        raw = raw[: len(raw) // 2] if kind == "half" else raw
        handler.send_response(status)
        for name, value in {**self.headers, **(fault.headers if fault else {})}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw[: len(raw) // 2] if kind == "cut" else raw)
        if kind == "cut":
            _hang_up(handler)
        return None

    def _page(self, path: str, headers: Any, asked: dict[str, str], kind: str) -> tuple[int, Any]:
        if path != "/v2/stocks/bars":
            return 404, "404 page not found"
        if (headers.get("APCA-API-KEY-ID"), headers.get("APCA-API-SECRET-KEY")) != (KEY, SECRET):
            return 403, {"message": f"forbidden: {headers.get('APCA-API-KEY-ID')}"}
        symbols = asked["symbols"].split(",")
        unknown = [symbol for symbol in symbols if symbol != symbol.upper()]
        if unknown:
            return 400, {"code": 40010000, "message": f"invalid symbol: {unknown[0]}"}
        first, last = datetime.fromisoformat(asked["start"]), datetime.fromisoformat(asked["end"])
        rows = [
            (symbol, bar)
            for symbol in sorted(symbols)
            for bar in self.bars.get(symbol, ())
            if first <= datetime.fromisoformat(bar["t"]) <= last
        ]
        start, limit = _offset(asked.get("page_token")), int(asked["limit"])
        behind = start + limit
        if kind == "again":
            start, behind = max(0, start - limit), start
        bars: dict[str, list[Any]] = {}
        for symbol, one in rows[start : start + limit]:
            bars.setdefault(symbol, []).append(one)
        token = _token(behind) if behind < len(rows) else None
        return 200, {"bars": bars, "next_page_token": asked.get("page_token") if kind == "endless" else token}


def _token(offset: int) -> str:
    """Different each time, as those of somebody who does not count pages."""
    return base64.b64encode(f"{offset}|{time.monotonic_ns()}".encode()).decode()


def _offset(token: str | None) -> int:
    return int(base64.b64decode(token).decode().partition("|")[0]) if token else 0


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.flush()
    handler.close_connection = True
    with suppress(OSError):
        handler.connection.shutdown(socket.SHUT_RDWR)
