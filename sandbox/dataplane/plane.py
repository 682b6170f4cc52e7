"""The data plane: volumes, the servers on them, and the endpoints in front of these."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import DEFAULT_MAX_SERVERS
from sandbox.dataplane import addresses
from sandbox.dataplane.engines import EngineAdapter, Past, Place, Rows, environment
from sandbox.dataplane.forwarder import Forwarder
from sandbox.dataplane.history import History
from sandbox.dataplane.home import Home
from sandbox.dataplane.mariadb import MariaDb
from sandbox.dataplane.model import DataPlaneError, Endpoint, EndpointKey, Engine
from sandbox.dataplane.postgresql import PostgreSql
from sandbox.dataplane.processes import frozen
from sandbox.dataplane.server import Server
from sandbox.dataplane.tls import CertificateAuthority

if TYPE_CHECKING:
    import asyncio

_ADAPTERS: dict[Engine, Callable[[], EngineAdapter]] = {"aurora-mysql": MariaDb, "aurora-postgresql": PostgreSql}


@dataclass
class _Volume:
    """A cluster volume or a snapshot's content."""

    engine: Engine
    master_username: str
    data: Path
    # What the administrator must still do: run at the next start, so that a stopped volume needs no server for it.
    pending: list[str] = field(default_factory=list)
    # A directory with the same content that nobody changes: what the volume was copied from.
    origin: Path | None = None
    history: History | None = None
    server: Server | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def running(self) -> Server | None:
        server = self.server
        return server if server is not None and server.alive() else None


@dataclass
class _OpenEndpoint:
    endpoint: Endpoint
    asked_port: int
    volume_id: str
    listener: asyncio.Server


class DataPlane:
    """Real servers for the sandbox's clusters.

    ``root`` is scratch: what a crashed predecessor left there is cleaned up first, and nothing is left after `close`.
    With ``enabled`` false every call is a cheap no-op and endpoints are names that lead nowhere.
    All methods may be called from any thread; calls on different volumes run side by side.
    """

    def __init__(
        self,
        root: Path,
        ca: CertificateAuthority | None = None,
        enabled: bool = True,
        max_servers: int = DEFAULT_MAX_SERVERS,
    ) -> None:
        self.ca = ca or CertificateAuthority()
        self.enabled = enabled
        self.max_servers = max_servers
        self._lock = threading.Lock()  # for the maps below; held for moments only, after a volume's lock
        self._volumes: dict[str, _Volume] = {}
        self._endpoints: dict[EndpointKey, _OpenEndpoint] = {}
        self._slots: set[str] = set()  # volumes that run a server, or are starting one
        self._adapters: dict[Engine, EngineAdapter] = {}
        self._templates: dict[Engine, Path] = {}
        self._users: Counter[Path] = Counter()  # data directories, by how many volumes and histories need them
        self._template_lock = threading.Lock()
        self._numbers = itertools.count(1)
        if enabled:
            self._home = Home(root)
            self._forwarder = Forwarder()

    # Volumes

    def create_volume(
        self, volume_id: str, engine: Engine, master_username: str, master_password: str, database: str | None
    ) -> None:
        """Make an empty volume with an Aurora-like master user (never a superuser) and an initial database."""
        if not self.enabled:
            return
        self._refuse_existing(volume_id)
        template = self._template(engine)
        volume = _Volume(engine, master_username, self._new_data(), origin=self._hold(template))
        volume.pending.extend(self._adapters[engine].master_sql(master_username, master_password, database))
        _copy_directory(template, volume.data, self._adapters[engine])
        self._register(volume_id, volume)

    def copy_volume(self, source_id: str, target_id: str) -> None:
        """Copy a volume as it is at one moment: every row whose commit was acknowledged before the call is in it.

        A running source is frozen for the time of the copy and goes on, none the wiser.
        """
        if not self.enabled:
            return
        self._refuse_existing(target_id)
        with self._volume(source_id) as source:
            server = source.running()
            target = _Volume(source.engine, source.master_username, self._new_data(), list(source.pending))
            with frozen(server.pid) if server else nullcontext():
                self._copy(source.engine, source.data, target.data)
            if server is None:
                target.origin = self._hold(source.data)
        self._register(target_id, target)

    def restore_volume(self, source_id: str, target_id: str, instant: datetime) -> None:
        """Make a volume that is what another one was at a virtual time: every row committed until then, none later.

        The times are those that :meth:`mark` was told.
        """
        if not self.enabled:
            return
        self._refuse_existing(target_id)
        with self._volume(source_id) as source:
            history = source.history
            if history is None:  # it never had a server, so it never changed
                self.copy_volume(source_id, target_id)
                return
            adapter, until = self._adapters[source.engine], history.position(instant)
            past = Past(history.base, source.data, history.archive)
            target = _Volume(source.engine, source.master_username, self._new_data())
            self._copy(source.engine, history.base, target.data)
            if until is None:
                target.pending.extend(history.pending)
            else:
                self._roll_forward(adapter, past, target.data, until, history.engine_version)
        self._register(target_id, target)

    def mark(self, instant: datetime) -> None:
        """Note for all volumes how far their logs go when a virtual time is over: just before the clock moves on."""
        if not self.enabled:
            return
        with self._lock:
            volumes = list(self._volumes.values())
        for volume in volumes:
            if (history := volume.history) is not None:
                position = self._adapters[volume.engine].log_position(volume.data)
                history.note(instant, position, running=volume.running() is not None)

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume with its server, if one runs."""
        if not self.enabled:
            return
        with self._volume(volume_id) as volume:
            self._end_server(volume_id, volume, Server.kill)
            with self._lock:
                del self._volumes[volume_id]
            self._release(volume.data, volume.origin)
            if volume.history is not None:
                self._release(volume.history.base)
                shutil.rmtree(volume.history.archive)

    # Servers

    def start(self, volume_id: str, engine_version: str) -> None:
        """Start the volume's server and wait until it answers; no effect if it runs."""
        if not self.enabled:
            self._slots.add(volume_id)
            return
        with self._volume(volume_id) as volume:
            if volume.running():
                return
            self._end_server(volume_id, volume, Server.kill)  # one that died by itself
            self._take_slot(volume_id)
            history = self._prepare(volume, engine_version)
            server = Server(
                self._adapters[volume.engine],
                volume.data,
                self._new_private(),
                self.ca,
                self._names(volume_id),
                history.archive,
            )
            try:
                server.start(engine_version)
                while volume.pending:
                    server.engine.execute(server.place, volume.pending[:1], None)
                    del volume.pending[0]
            except BaseException:
                volume.server = server
                self._end_server(volume_id, volume, Server.kill)
                raise
            volume.server = server

    def stop(self, volume_id: str) -> None:
        """Stop the volume's server; no effect if none runs."""
        if not self.enabled:
            self._slots.discard(volume_id)
            return
        with self._volume(volume_id) as volume:
            self._end_server(volume_id, volume, Server.stop)

    def is_running(self, volume_id: str) -> bool:
        """Tell whether a server runs on the volume."""
        if not self.enabled:
            return volume_id in self._slots
        with self._lock:
            volume = self._volumes.get(volume_id)
        return volume is not None and volume.running() is not None

    def set_master_password(self, volume_id: str, username: str, password: str) -> None:
        """Set the password: at once if a server runs, else when one starts."""
        if not self.enabled:
            return
        with self._volume(volume_id) as volume:
            statement = self._adapters[volume.engine].password_sql(username, password)
            if server := volume.running():
                server.engine.execute(server.place, [statement], None)
            else:
                volume.pending.append(statement)

    def execute_admin(self, volume_id: str, sql: str, database: str | None = None) -> Rows:
        """Run one statement as rdsadmin, for tests and demonstrations; return its rows."""
        if not self.enabled:
            return []
        with self._volume(volume_id) as volume:
            server = self._running(volume_id, volume)
            return server.engine.execute(server.place, [sql], database)

    def load_sql(self, volume_id: str, sql_file: Path, database: str | None = None) -> None:
        """Run a SQL file with the engine's own client; in PostgreSQL the master user will own what it makes."""
        if not self.enabled:
            return
        with self._volume(volume_id) as volume, sql_file.open("rb") as sql:
            server = self._running(volume_id, volume)
            command, variables = server.engine.client(server.place, database, volume.master_username)
            result = subprocess.run(
                command, stdin=sql, env={**environment(), **variables}, capture_output=True, text=True, check=False
            )
        if result.returncode != 0:
            raise DataPlaneError(f"{sql_file.name} failed: {result.stderr.strip()[-2000:]}")

    # Endpoints

    def open_endpoint(self, key: EndpointKey, volume_id: str, port: int) -> Endpoint:
        """Lead an endpoint to the volume's server, whose certificate names the endpoint from now on.

        An endpoint that is open already is led to the new volume. The server may be started later.
        """
        if not self.enabled:
            return Endpoint(_synthetic_address(key), port)
        with self._volume(volume_id) as volume:
            with self._lock:
                current = self._endpoints.get(key)
            if current is not None and current.asked_port != port:
                self.close_endpoint(key)
                current = None
            if current is None:
                sock = addresses.listen(key, port)
                address, actual_port = sock.getsockname()
                listener = self._forwarder.open(sock, lambda: self._target(key))
                current = _OpenEndpoint(Endpoint(address, actual_port), port, volume_id, listener)
            with self._lock:
                current.volume_id = volume_id
                self._endpoints[key] = current
            if server := volume.running():
                server.rename(self._names(volume_id))
            return current.endpoint

    def close_endpoint(self, key: EndpointKey) -> None:
        """Close an endpoint; no effect if it is not open. Established connections live on."""
        with self._lock:
            current = self._endpoints.pop(key, None)
        if current is not None:
            self._forwarder.close_endpoint(current.listener)

    def close(self) -> None:
        """End everything and leave nothing: no process, no socket, no file. May be called again."""
        if not self.enabled:
            self._slots.clear()
            return
        if self._home.closed:
            return
        for key in list(self._endpoints):
            self.close_endpoint(key)
        self._forwarder.close()
        for volume_id in list(self._volumes):
            self.delete_volume(volume_id)
        self._home.close()

    def __enter__(self) -> DataPlane:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Inside

    @contextmanager
    def _volume(self, volume_id: str) -> Iterator[_Volume]:
        """Hold a volume's lock."""
        with self._lock:
            volume = self._volumes.get(volume_id)
        if volume is not None:
            with volume.lock:
                if self._volumes.get(volume_id) is volume:  # not deleted while we waited
                    yield volume
                    return
        raise DataPlaneError(f"There is no volume {volume_id!r}.")

    def _prepare(self, volume: _Volume, engine_version: str) -> History:
        """Let a volume's history begin before its first start; its data are its own from then on."""
        adapter = self._adapters[volume.engine]
        with self._lock:
            shared = self._users[volume.data] > 1
        if shared or (volume.history is None and volume.origin is None):
            original, volume.data = volume.data, self._new_data()
            _copy_directory(original, volume.data, adapter)
            adapter.forget_process(volume.data)
            self._hold(volume.data)
            if volume.history is None and volume.origin is None:
                volume.origin = original
            else:
                self._release(original)
        if volume.history is None:
            assert volume.origin is not None
            archive = adapter.user.make_directory(self._new_data())
            volume.history = History(volume.origin, list(volume.pending), engine_version, archive)
            volume.origin = None
        return volume.history

    def _roll_forward(
        self, adapter: EngineAdapter, past: Past, data: Path, until: tuple[float, ...], engine_version: str
    ) -> None:
        servers: list[Server] = []

        def start(options: Sequence[str]) -> Place:
            servers.append(Server(adapter, data, self._new_private(), self.ca, ()))
            servers[-1].start(engine_version, options=options)
            return servers[-1].place

        try:
            adapter.roll_forward(start, past, data, until)
            servers[-1].stop()
        finally:
            for server in servers:
                server.kill()
                shutil.rmtree(server.place.private)

    def _copy(self, engine: Engine, source: Path, target: Path) -> None:
        """Copy a data directory for a volume of its own, without what only the original needs."""
        adapter = self._adapters[engine]
        _copy_directory(source, target, adapter)
        adapter.forget_process(target)
        adapter.forget_log(target)

    def _hold(self, data: Path) -> Path:
        with self._lock:
            self._users[data] += 1
        return data

    def _release(self, *directories: Path | None) -> None:
        """Remove directories that nobody needs any more."""
        for data in directories:
            if data is None:
                continue
            with self._lock:
                self._users[data] -= 1
                needed = self._users[data] > 0
            if not needed:
                shutil.rmtree(data)

    def _refuse_existing(self, volume_id: str) -> None:
        if volume_id in self._volumes:
            raise DataPlaneError(f"Volume {volume_id!r} exists.")

    def _register(self, volume_id: str, volume: _Volume) -> None:
        with self._lock:
            self._refuse_existing(volume_id)
            self._volumes[volume_id] = volume
            self._users[volume.data] += 1

    def _running(self, volume_id: str, volume: _Volume) -> Server:
        server = volume.running()
        if server is None:
            raise DataPlaneError(f"No server runs on volume {volume_id!r}.")
        return server

    def _take_slot(self, volume_id: str) -> None:
        with self._lock:
            if len(self._slots) >= self.max_servers:
                raise DataPlaneError(
                    f"At most {self.max_servers} database servers run at once: delete instances that are no longer "
                    "needed, or start the sandbox with a higher --max-servers, or with --no-data-plane."
                )
            self._slots.add(volume_id)

    def _end_server(self, volume_id: str, volume: _Volume, end: Callable[[Server], None]) -> None:
        server, volume.server = volume.server, None
        if server is not None:
            end(server)
            shutil.rmtree(server.place.private)
        with self._lock:
            self._slots.discard(volume_id)

    def _names(self, volume_id: str) -> set[str]:
        """Return the addresses of all endpoints that lead to a volume."""
        with self._lock:
            return {each.endpoint.address for each in self._endpoints.values() if each.volume_id == volume_id}

    def _target(self, key: EndpointKey) -> tuple[str, int] | None:
        """Return where a new connection to an endpoint goes."""
        with self._lock:
            current = self._endpoints.get(key)
            volume = self._volumes.get(current.volume_id) if current else None
        server = volume.running() if volume else None
        return ("127.0.0.1", server.place.port) if server else None

    def _new_data(self) -> Path:
        return self._home.path / "v" / str(next(self._numbers))

    def _new_private(self) -> Path:
        return self._home.path / "r" / str(next(self._numbers))  # short: a socket's path is limited

    def _template(self, engine: Engine) -> Path:
        """Make an engine's empty volume, once; to copy it is much faster than to make it."""
        with self._template_lock:
            if engine not in self._templates:
                adapter = self._adapters.setdefault(engine, _ADAPTERS[engine]())
                data = adapter.user.make_directory(self._new_data())
                adapter.initialise(data)
                server = Server(adapter, data, self._new_private(), self.ca, ())
                try:
                    server.start("8.0", first=True)  # any version will do
                    adapter.execute(server.place, adapter.base_sql(), None, first=True)
                    server.stop()
                finally:
                    server.kill()
                shutil.rmtree(server.place.private)
                self._templates[engine] = self._hold(data)
            return self._templates[engine]


def _copy_directory(source: Path, target: Path, adapter: EngineAdapter) -> None:
    """Copy a data directory with owners and modes, as cheaply as the file system can."""
    if sys.platform == "linux":
        subprocess.run(["cp", "--archive", "--reflink=auto", str(source), str(target)], check=True)
    else:
        shutil.copytree(source, target, symlinks=True)
        for path in (target, *target.rglob("*")):
            adapter.user.own(path)


def _synthetic_address(key: EndpointKey) -> str:
    """Return a name as AWS gives them."""
    zone = f"c{hashlib.sha256(f'{key.account}/{key.region}'.encode()).hexdigest()[:11]}.{key.region}.rds.amazonaws.com"
    if key.region.startswith("cn-"):
        zone += ".cn"
    match key.role:
        case "writer":
            return f"{key.cluster}.cluster-{zone}"
        case "reader":
            return f"{key.cluster}.cluster-ro-{zone}"
        case instance:
            return f"{instance}.{zone}"
