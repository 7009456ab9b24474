"""A small HTTP server in place of Athanor's API: it can be away, refuse, and be counted on."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: Status and body for the parsed messages of one request; None to store them.
Answer = Callable[[list[dict[str, Any]]], tuple[int, Any] | None]


class Receiver:
    def __init__(self) -> None:
        self.stored: list[dict[str, Any]] = []
        self.requests: list[tuple[int, int]] = []
        self.sources: set[str] = set()
        self.keys: list[str | None] = []
        self.answer: Answer = lambda messages: None
        self.url = ""

    def take(self, path: str, body: bytes) -> tuple[int, Any]:
        split = urlsplit(path)
        if split.path != "/messages":
            return 404, {"title": "Not Found"}
        messages = json.loads(body)
        self.requests.append((len(messages), len(body)))
        self.sources.update(parse_qs(split.query)["source"])
        answer = self.answer(messages)
        if answer is not None:
            return answer
        self.stored += messages
        return 202, {"ids": [message["message_id"] for message in messages]}


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            receiver.keys.append(self.headers["Idempotency-Key"])
            status, answer = receiver.take(self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
