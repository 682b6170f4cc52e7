"""Work on real servers and volumes, beside virtual time.

A job runs on a thread of its own that the clock counts as busy, so that no jump passes it. Jobs that touch the same
volume run in the order in which they were given; the others beside each other, a few at a time.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.clock import VirtualClock

_log = logging.getLogger(__name__)


class Jobs:
    """See the module's description."""

    def __init__(self, clock: VirtualClock, at_once: int = 4) -> None:
        self._clock = clock
        self._slots = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._last: dict[str, Future[None]] = {}

    def start(self, work: Callable[[], None], *volumes: str) -> Future[None]:
        """Run ``work`` once all earlier jobs of these volumes are over; the future tells how it ended."""
        done: Future[None] = Future()
        with self._lock:
            earlier = [self._last[volume] for volume in volumes if volume in self._last]
            self._last.update(dict.fromkeys(volumes, done))

        def run() -> None:
            wait(earlier)  # no deadlock: whoever is waited for was started before, and holds or gets a slot
            try:
                with self._slots:
                    work()
            except Exception as error:  # noqa: BLE001  the boundary: whoever planned the job turns it into a status
                _log.exception("the data plane failed on %s", ", ".join(volumes))
                self._finish(volumes, done)
                done.set_exception(error)
            else:
                self._finish(volumes, done)
                done.set_result(None)

        self._clock.spawn(run, name=f"rds-{volumes[0]}")
        return done

    def _finish(self, volumes: tuple[str, ...], done: Future[None]) -> None:
        with self._lock:
            for volume in volumes:
                if self._last.get(volume) is done:
                    del self._last[volume]
