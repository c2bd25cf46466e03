"""A server of files far away: it waits before each answer, sends parts without copying them, and counts.

python tests/support/distant_server.py FOLDER SECONDS

It prints its address. `/counts` answers what it was asked so far, as JSON. One thread serves all connections, so that
it takes little of the CPU time of those that it serves: 0.2 ms for a request, and that of the kernel for its bytes.
"""

import asyncio
import email.utils
import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found"}


class Counts:
    """Requests for parts of files, and how many were under way while there were any."""

    def __init__(self) -> None:
        self.requests = self.sent = self.now = self.most = 0
        self.area = self.busy = self.last = 0.0

    def change(self, by: int) -> None:
        """Count one more or one less request under way."""
        moment = time.monotonic()
        if self.now:
            self.area += self.now * (moment - self.last)
            self.busy += moment - self.last
        self.now, self.last = self.now + by, moment
        self.most = max(self.most, self.now)


class Server:
    """Serves the files of a folder; items of a catalogue of scenes are served, but not counted."""

    def __init__(self, folder: Path, latency: float) -> None:
        self.folder, self.latency, self.counts = folder, latency, Counts()
        self.with_scenes = (folder / "scenes").exists()
        self.files: dict[str, tuple[int, int, str]] = {}

    async def serve(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        listener.setblocking(False)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        loop, serving = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self.answer_all(connection))
            serving.add(task)
            task.add_done_callback(serving.discard)

    async def answer_all(self, connection: socket.socket) -> None:
        loop, rest = asyncio.get_running_loop(), b""
        with connection, suppress(OSError):
            while True:
                while b"\r\n\r\n" not in rest:
                    received = await loop.sock_recv(connection, 65536)
                    if not received:
                        return
                    rest += received
                head, _, rest = rest.partition(b"\r\n\r\n")
                request, *lines = head.decode().split("\r\n")
                method, path, _ = request.split(" ")
                fields = dict(line.lower().split(": ", 1) for line in lines)
                await self.answer(connection, method, path.partition("?")[0], fields.get("range"))

    async def answer(self, connection: socket.socket, method: str, path: str, ranged: str | None) -> None:
        if path == "/counts":
            told = vars(self.counts) | {"cpu": time.process_time()}
            return await self.send(connection, 200, json.dumps(told).encode())
        counted = not (path.endswith(".json") and self.with_scenes)
        self.counts.change(counted)
        try:
            await asyncio.sleep(self.latency)
            if not (found := self.find(path)):
                return await self.send(connection, 404, b"")
            number, size, modified = found
            first, last = 0, size - 1
            if ranged:
                start, _, stop = ranged.removeprefix("bytes=").partition("-")
                first, last = int(start), min(last, int(stop or last))
            head = f"Accept-Ranges: bytes\r\nLast-Modified: {modified}\r\nContent-Length: {last - first + 1}\r\n"
            head += f"Content-Range: bytes {first}-{last}/{size}\r\n" if ranged else ""
            await self.send_head(connection, 206 if ranged else 200, head)
            self.counts.requests += counted
            if method != "HEAD":
                self.counts.sent += last - first + 1
                await self.send_file(connection, number, first, last + 1)
        finally:
            self.counts.change(-counted)

    def find(self, path: str) -> tuple[int, int, str] | None:
        """An open file, its size, and when it was changed."""
        if path not in self.files:
            try:
                number = os.open(self.folder / path.lstrip("/"), os.O_RDONLY)
            except OSError:
                return None
            about = os.stat(number)
            self.files[path] = number, about.st_size, email.utils.formatdate(about.st_mtime, usegmt=True)
        return self.files[path]

    async def send(self, connection: socket.socket, status: int, content: bytes) -> None:
        await self.send_head(connection, status, f"Content-Length: {len(content)}\r\n")
        await asyncio.get_running_loop().sock_sendall(connection, content)

    async def send_head(self, connection: socket.socket, status: int, head: str) -> None:
        line = f"HTTP/1.1 {status} {REASONS[status]}\r\n{head}\r\n"
        await asyncio.get_running_loop().sock_sendall(connection, line.encode())

    async def send_file(self, connection: socket.socket, number: int, start: int, stop: int) -> None:
        while start < stop:
            try:
                start += os.sendfile(connection.fileno(), number, start, stop - start)
            except BlockingIOError:
                await writable(connection)


async def writable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(connection, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(connection)


if __name__ == "__main__":
    asyncio.run(Server(Path(sys.argv[1]), float(sys.argv[2])).serve())
