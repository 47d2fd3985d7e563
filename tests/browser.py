"""Chromium for tests, spoken to over its debugging pipe: no port, no driver, no library."""

import json
import os
import shutil
import subprocess
import time

EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60  # that an answer may take
NAVIGATED = -32000  # the protocol's code where the page that was asked has gone, as while a link is followed


class Refused(Exception):
    """A command that the browser answered with an error; its code and message."""


class Browser:
    """One headless browser with one page.

    `problems` collects what the console says: errors, exceptions, whatever the page's policy refused.
    """

    def __init__(self, profile):
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        # Chromium reads from descriptor 3 and writes to 4.
        script = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, EXECUTABLE, *options], pass_fds=(commands, answers), stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(answers)
        self._number, self._buffer, self.problems = 0, b"", []
        self._session = None
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method, **parameters):
        """Send a command of the DevTools protocol and return its result, or raise what was refused."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise Refused(answer["error"]["code"], f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _read(self):
        """The next message; noise of the console is noted on the way."""
        while b"\0" not in self._buffer:
            chunk = os.read(self._answers, 1 << 20)
            assert chunk, "the browser ended"
            self._buffer += chunk
        first, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(first)
        kind, said = message.get("method"), message.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.problems.append(said["exceptionDetails"]["text"])
        elif kind == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.problems.append(said["entry"]["text"])
        elif kind == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.problems.append(str(said["args"]))
        return message

    def show(self, scheme):
        """Light or dark."""
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, address, width=1280, height=900, scheme="light"):
        """Load a page at a size and wait until it is there."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.show(scheme)
        self("Page.navigate", url="about:blank")
        self("Page.navigate", url=address)
        self.wait(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        result = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression):
        """Until an expression is true; a page that goes while it is asked is asked again when the next one is there."""
        until = time.monotonic() + SECONDS
        while not self._holds(expression):
            assert time.monotonic() < until, f"never true: {expression}"
            time.sleep(0.02)

    def _holds(self, expression):
        try:
            return self.evaluate(f"Boolean({expression})")
        except Refused as refused:
            if refused.args[0] != NAVIGATED:
                raise
            return False

    def press(self, key, text=""):
        """A key as a reader presses it."""
        for kind in ("keyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text if kind == "keyDown" else "",
                 windowsVirtualKeyCode={"Tab": 9, " ": 32, "Enter": 13}.get(key, 0))  # fmt: skip

    def close(self):
        self._process.terminate()
        self._process.wait(SECONDS)
        os.close(self._commands)
        os.close(self._answers)
