"""Other processes for the fault tests: each runs functions of `faults.tasks` that it is sent, says what they give, and can be killed at any instant.

A peer is a fresh interpreter, not a fork of the test run, and has fgacore imported before it is asked anything: so one can be made in advance,
and a kill meets the work and not the import. What a task tells arrives even if the peer is killed right after: each report is one write to a pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import fgacore

__all__ = ["Failed", "Peer", "Tell", "code_of", "main", "until"]

PATIENCE = 60.0  # seconds; no test measures by it
PIPE_BYTES = 1 << 20  # reports are read after the kill: the pipe must hold them
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which `fcntl` names on newer Pythons only
Tell = Callable[[Any], None]


class Failed(Exception):
    """A task raised. `code` is that of an FgaError, else the name of the class."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


def code_of(call: Callable[[], object]) -> str:
    """The code of the error that the call raises, here or in a peer; `done` where it raises none."""
    try:
        call()
    except (fgacore.FgaError, Failed) as error:
        return error.code
    return "done"


class Peer:
    """A process of its own. Use it as a context manager: it is gone at the end, whatever happened."""

    def __init__(self, *, environment: dict[str, str] | None = None) -> None:
        child_in, ours_out = os.pipe()
        ours_in, child_out = os.pipe()
        fcntl.fcntl(ours_in, SET_PIPE_SIZE, PIPE_BYTES)
        tests, source = Path(__file__).parents[1], Path(fgacore.__file__).parents[1]
        path = os.pathsep.join([str(tests), str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"from faults.peer import main; main({child_in}, {child_out})"],
            pass_fds=(child_in, child_out),
            env=os.environ | {"PYTHONPATH": path} | (environment or {}),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        os.close(child_in)
        os.close(child_out)
        self._out = Connection(ours_out, readable=False)
        self._in = Connection(ours_in, writable=False)
        self.told: list[Any] = []  # all that its tasks have told so far

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Kill it, and let go of its pipes; a second call does nothing."""
        self.kill()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._out.close()
        self._in.close()

    def start(self, task: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Begin a task; what it tells and gives is for `hear`."""
        self._out.send_bytes(pickle.dumps((task.__name__, arguments, options)))

    def run(self, task: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Run a task to its end: what it gives, or Failed."""
        self.start(task, *arguments, **options)
        return self.end()

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """A method (or a property) of the engine that the peer has open; iterators come as lists."""
        self._out.send_bytes(pickle.dumps(("call", (method, *arguments), options)))
        return self.end()

    def end(self) -> Any:
        """What the task gives, past all that it still tells."""
        while True:
            kind, value = self._next()
            if kind == "end":
                return value

    def every(self) -> tuple[list[Any], Any]:
        """All that the task tells until its end, and what it gives."""
        value = self.end()
        return self.told, value

    def hear(self) -> Any:
        """The next that the task tells."""
        kind, value = self._next()
        assert kind == "tell", f"the task has ended, and gave {value!r}"
        return value

    def silent(self, seconds: float = 0.0) -> bool:
        """Whether nothing is heard for this long."""
        return not select.select([self._in], [], [], seconds)[0]

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def last_words(self) -> list[Any]:
        """All that a peer has told that is dead now."""
        assert self.process.poll() is not None, "the peer lives"
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._next()
        self.close()
        return self.told

    def errors(self) -> str:
        """What a dead peer has written to its standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def _next(self) -> tuple[str, Any]:
        if not self._in.poll(PATIENCE):
            self.kill(signal.SIGABRT)
            raise AssertionError(f"nothing heard of the peer for {PATIENCE} seconds\n{self.errors()}")
        kind, value = pickle.loads(self._in.recv_bytes())
        if kind == "fail":
            raise Failed(*value)
        if kind == "tell":
            self.told.append(value)
        return kind, value


def main(orders_fd: int, reports_fd: int) -> None:
    """The other side: one order after the other, until the orders end."""
    import faulthandler

    from faults import tasks

    faulthandler.enable()
    orders, reports = Connection(orders_fd, writable=False), Connection(reports_fd, readable=False)

    def report(kind: str, value: Any) -> None:
        reports.send_bytes(pickle.dumps((kind, value)))

    while True:
        try:
            name, arguments, options = pickle.loads(orders.recv_bytes())
        except EOFError:
            return
        try:
            value = getattr(tasks, name)(lambda value: report("tell", value), *arguments, **options)
        except fgacore.FgaError as error:
            report("fail", (error.code, f"{type(error).__name__}: {error}"))
        except Exception as error:  # noqa: BLE001 - told by the test
            report("fail", (type(error).__name__, traceback.format_exc()))
        else:
            report("end", value)


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until the condition holds, and give what it gave."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            assert value, "what was waited for does not happen"
            return value
        time.sleep(0.002)
