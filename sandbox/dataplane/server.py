"""One running database server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from sandbox.dataplane.addresses import free_port
from sandbox.dataplane.engines import EngineAdapter, Place, environment
from sandbox.dataplane.model import DataPlaneError
from sandbox.dataplane.tls import CertificateAuthority, ServerKey

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_ATTEMPTS = 3  # another process may take the port between our look and the server's


class Server:
    """A server on a data directory. Not thread-safe: the volume's lock is held by who calls."""

    def __init__(
        self,
        engine: EngineAdapter,
        data: Path,
        private: Path,
        authority: CertificateAuthority,
        names: Iterable[str],
        archive: Path | None = None,
    ) -> None:
        self.engine = engine
        self.names: frozenset[str] = frozenset()
        self._data = data
        self._private = private
        self._archive = archive
        self._authority = authority
        self._key = ServerKey()
        self._process: subprocess.Popen[bytes] | None = None
        engine.user.make_directory(private)
        self.place = Place(data, private, 0)
        engine.user.write(self.place.key, self._key.pem)
        self._certify(names)

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, engine_version: str, *, first: bool = False, options: Sequence[str] = ()) -> None:
        """Start and wait until it answers on its socket."""
        for attempt in range(1, _ATTEMPTS + 1):
            self.place = Place(self._data, self._private, free_port(), self._archive)
            if self._try_to_start([*self.engine.command(self.place, engine_version), *options], first=first):
                return
            if attempt == _ATTEMPTS or "in use" not in self._log_tail():
                raise DataPlaneError(f"The database server did not start: {self._log_tail()}")

    def _try_to_start(self, command: Sequence[str], *, first: bool) -> bool:
        with (self._private / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._data,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in our terminal is ours, not the server's
                **self.engine.user.popen_arguments(),
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None:
            try:
                self.engine.execute(self.place, ["SELECT 1"], None, first=first)
            except self.engine.unavailable as error:
                if time.monotonic() > deadline:
                    self.kill()
                    raise DataPlaneError(f"The database server does not answer: {self._log_tail()}") from error
                time.sleep(0.01)
            else:
                return True
        return False

    def stop(self) -> None:
        """Shut down in good order, or by force when that takes too long; the data survives either."""
        self._end(self.engine.graceful)

    def kill(self) -> None:
        """End at once."""
        self._end(self.engine.immediate)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def rename(self, names: Iterable[str]) -> None:
        """Put all of ``names`` into the certificate."""
        if frozenset(names) != self.names:
            self._certify(names)
            self.engine.reload_certificate(self.place, self.pid)

    def _certify(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self.engine.user.write(self.place.certificate, self._authority.issue(self._key, self.names or {"localhost"}))

    def _log_tail(self) -> str:
        return (self._private / "log").read_text(errors="replace").strip()[-2000:]
