"""A headless Chromium, spoken to by its debugging protocol over a pipe: how a page looks, and what it asks for."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")


def find_browser() -> str | None:
    """The first of the known programs that is installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One page; `requests` are the addresses that it asked for, `complaints` the errors that it logged."""

    def __init__(self, answers: Any, commands: Any) -> None:
        self._answers, self._commands, self._count = answers, commands, 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._loaded = False
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> Any:
        """The result of a command; events that come before it are kept."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        self._commands.write(json.dumps(command | ({"sessionId": self._session} if self._session else {})) + "\0")
        self._commands.flush()
        while (answer := self._next()).get("id") != self._count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> Any:
        text = b""
        while not text.endswith(b"\0"):
            part = self._answers.read(1)
            assert part, "the browser ended"
            text += part
        answer = json.loads(text[:-1])
        self._note(answer.get("method"), answer.get("params"))
        return answer

    def _note(self, method: str | None, about: Any) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.complaints.append(about["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(about["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.complaints.append(str(about["args"]))
        elif method == "Page.loadEventFired":
            self._loaded = True

    def open(self, page: Path, width: int, height: int = 900) -> None:
        """Show a file in a window of so many pixels and wait until all of it is loaded."""
        self.requests, self.complaints, self._loaded = [], [], False
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=page.as_uri())
        while not self._loaded:
            self._next()

    def value(self, script: str) -> Any:
        """What an expression in JavaScript gives, promises awaited."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """A browser that ends with the block."""
    (answers, their_end), (our_end, commands) = os.pipe(), os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (our_end, their_end)]

    def as_3_and_4() -> None:
        for end, number in zip(ends, (3, 4), strict=True):
            os.dup2(end, number)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
        flags += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"]
        command = [program, *flags, f"--user-data-dir={profile}"]
        process = subprocess.Popen(command, preexec_fn=as_3_and_4, pass_fds=(3, 4), stdout=-3, stderr=-3)
        for end in (our_end, their_end, *ends):
            os.close(end)
        with os.fdopen(answers, "rb") as reading, os.fdopen(commands, "w") as writing:
            try:
                yield Browser(reading, writing)
            finally:
                process.terminate()
                process.wait(30)
