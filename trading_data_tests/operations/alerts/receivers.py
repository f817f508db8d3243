"""Those who receive alerts in tests: a real HTTP server and a real SMTP server, each of which may behave badly.

Belongs here: the servers. Does not: tests.
"""

import base64
import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from trading_data.operations.alerts.channels import NotDelivered
from trading_data.operations.alerts.message import Message
from trading_data.operations.health.thresholds import ERROR, WARN, Finding

TOKEN = "h1dden"


def finding(key: str = "redis_memory", severity: str = WARN, **values: Any) -> Finding:
    """A finding with what a test needs."""
    given = {"message": f"{key} is wrong", "command": "trading-data status", **values}
    return Finding(key=key, severity=severity, **given)


def error(key: str = "redis_memory", **values: Any) -> Finding:
    """The same as an error."""
    return finding(key, ERROR, **values)


class Kept:
    """A memory in memory, and a channel that keeps what it is sent; both may be told to fail."""

    name = "webhook"

    def __init__(self) -> None:
        self.text, self.fails = "", ""
        self.sent: list[Message] = []

    def load(self) -> str:
        return self.text

    def save(self, text: str) -> None:
        self.text = text

    def send(self, message: Message) -> None:
        if self.fails:
            raise NotDelivered(self.fails)
        self.sent.append(message)

    def said(self) -> list[tuple[str, str]]:
        """(status, key) of all that was sent."""
        return [(alert.status, alert.finding.key) for message in self.sent for alert in message.alerts]


class Hook:
    """An HTTP server: `bodies`, `headers` and `paths` of what was posted; `answers` are given one after the other, then 200."""

    def __init__(self, answers: tuple[int, ...] = (), wait: float = 0.0) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.methods: list[str] = []
        self.paths: list[str] = []
        self.answers, self.wait = list(answers), wait
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.methods.append(self.command)
                hook.paths.append(self.path)
                hook.headers.append(dict(self.headers.items()))
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                time.sleep(hook.wait)
                code = hook.answers.pop(0) if hook.answers else 200
                if code == 200 and data:
                    hook.bodies.append(json.loads(data))
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", hook.url + "elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - a name of the standard library

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._handler = Handler
        self.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def start(self, port: int = 0) -> None:
        """Listen; after `stop`, at the port that it had."""
        self.server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> int:
        """Refuse connections from now on; the port that it had."""
        self.server.shutdown()
        self.server.server_close()
        return int(self.server.server_address[1])

    def told(self) -> list[tuple[str, str]]:
        """(status, key) of all that arrived."""
        return [(one["status"], one["key"]) for body in self.bodies for one in body["alerts"]]


@contextmanager
def hook(*answers: int, wait: float = 0.0) -> Iterator[Hook]:
    """An HTTP server of the test's own."""
    made = Hook(answers, wait)
    try:
        yield made
    finally:
        made.stop()


class Post:
    """An SMTP server: what it took, from whom, to whom, by whom; `refuses` are addresses that it does not take."""

    def __init__(self, context: ssl.SSLContext | None = None, refuses: tuple[str, ...] = (), code: int = 250) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.logins: list[str] = []
        self.encrypted: list[bool] = []
        self.context, self.refuses, self.code = context, refuses, code
        self.server = _Server(("127.0.0.1", 0), _Session)
        self.server.post = self
        self.port: int = self.server.server_address[1]
        threading.Thread(target=lambda: self.server.serve_forever(poll_interval=0.02), daemon=True).start()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True
    post: Post


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        post = cast(_Server, self.server).post
        sender, tls = "", False
        to: list[str] = []
        self._say("220 here")
        while line := self.rfile.readline():
            text = line.decode().strip()
            verb = text.split(" ")[0].upper()
            if verb == "EHLO":
                offers = [
                    "250-here",
                    *(["250-STARTTLS"] if post.context and not tls else []),
                    "250-AUTH PLAIN",
                    "250 OK",
                ]
                self._say("\r\n".join(offers))
            elif verb == "STARTTLS" and post.context:
                self._say("220 go")
                secured: Any = post.context.wrap_socket(self.connection, server_side=True)
                self.connection, tls = secured, True
                self.rfile, self.wfile = secured.makefile("rb"), cast(Any, secured.makefile("wb", buffering=0))
            elif verb == "AUTH":
                post.logins.append(base64.b64decode(text.split(" ")[2]).decode().replace("\0", "|"))
                self._say("235 in")
            elif verb == "MAIL":
                sender, to = text.partition("<")[2].partition(">")[0], []
                self._say("250 ok")
            elif verb == "RCPT":
                address = text.partition("<")[2].partition(">")[0]
                to += [] if address in post.refuses else [address]
                self._say("550 nobody" if address in post.refuses else "250 ok")
            elif verb == "DATA":
                self._say("354 go")
                data = b"".join(iter(self.rfile.readline, b".\r\n"))
                if post.code == 250:
                    post.mails.append(message_from_bytes(data, policy=default))
                    post.envelopes.append((sender, to))
                    post.encrypted.append(tls)
                self._say(f"{post.code} done")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def post(context: ssl.SSLContext | None = None, refuses: tuple[str, ...] = (), code: int = 250) -> Iterator[Post]:
    """An SMTP server of the test's own."""
    made = Post(context, refuses, code)
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
