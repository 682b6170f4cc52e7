"""Virtual time: one clock for everything in the sandbox that waits, expires or takes time.

In *jump* mode (``scale=None``) time stands still while anything is busy, and otherwise jumps to the next due event, so
that a restore of three hours takes as long as its work does. In *scale* mode virtual time is real time, multiplied.

A thread is *busy* while it works on something whose end other parts wait for: a request, a transition, an invocation.
The rules that keep jumps right under many threads:

- whoever starts a thread marks it busy before the starter's own mark ends (:meth:`VirtualClock.spawn` does that);
- a thread that waits for virtual time gives its marks up, and the clock takes them again, under its own lock, before
  the thread even wakes: between "due" and "running again" there is no moment in which the clock could jump;
- the same for a thread that waits for an event: the clock looks at the events before each jump.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)

# A threading.Event tells nobody that it was set: the clock looks this often (real seconds) while one is waited for.
_EVENT_POLL = 0.005


class ClockClosed(SystemExit):
    """The sandbox stops. As a SystemExit it ends the waiting thread quietly, past every ``except Exception``."""


class Handle:
    """A planned callback; :meth:`cancel` takes it back if it has not started."""

    def __init__(self, clock: VirtualClock, when: datetime, fn: Callable[[], None], background: bool) -> None:
        self.when = when
        self._clock = clock
        self._fn: Callable[[], None] | None = fn
        self._background = background

    def cancel(self) -> None:
        """Forget the callback; harmless when it has run, or was cancelled before."""
        self._clock._take(self)


class _Waiter:
    """A thread that waits: what wakes it, and the busy marks it gets back when it does."""

    def __init__(self, lock: threading.RLock, marks: int, event: threading.Event | None) -> None:
        self.wake = threading.Condition(lock)
        self.marks = marks
        self.event = event
        self.awake = False


class VirtualClock:
    """See the module's description. All times are UTC and aware."""

    def __init__(self, scale: float | None = None, start: datetime | None = None) -> None:
        if scale is not None and not scale > 0:
            raise ValueError(f"the time scale must be a positive number, not {scale}")
        self.scale = scale
        self._base = (start or datetime.now(UTC)).astimezone(UTC)
        self._real_base = time.monotonic()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._planned: list[tuple[datetime, int, Handle]] = []
        self._order = itertools.count()
        self._foreground = 0
        self._marks = 0
        self._own = threading.local()
        self._waiters: set[_Waiter] = set()
        self._goals: deque[tuple[datetime, _Waiter]] = deque()
        self._closed = False
        # Called with the time that ends, before each jump: cheap, and never back into the clock.
        self.before_jump: list[Callable[[datetime], None]] = []
        self._thread = threading.Thread(target=self._run, name="sandbox-clock", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def now(self) -> datetime:
        """Return the virtual time."""
        with self._lock:
            if self.scale is None or self._closed:
                return self._base
            return self._base + timedelta(seconds=(time.monotonic() - self._real_base) * self.scale)

    def call_at(self, when: datetime, fn: Callable[[], None], *, background: bool = False) -> Handle:
        """Run ``fn`` on the clock's thread when its time has come.

        Callbacks run one at a time, in due order (equal times: in planned order), and count as busy. A ``background``
        callback is no reason to jump: one that plans itself anew each day would otherwise make time run away.
        """
        handle = Handle(self, when.astimezone(UTC), fn, background)
        with self._lock:
            if self._closed:
                handle._fn = None
                return handle
            heapq.heappush(self._planned, (handle.when, next(self._order), handle))
            self._foreground += not background
            self._changed.notify_all()
        return handle

    def call_later(self, seconds: float, fn: Callable[[], None], *, background: bool = False) -> Handle:
        """Run ``fn`` after so many virtual seconds; see :meth:`call_at`."""
        with self._lock:
            return self.call_at(self.now() + timedelta(seconds=seconds), fn, background=background)

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for so many virtual seconds; its busy marks are given up meanwhile."""
        self._wait(seconds, None)

    def wait_for(self, event: threading.Event, timeout: float | None = None) -> bool:
        """Wait until the event is set or the virtual seconds have passed; tells whether it is set."""
        self._wait(timeout, event)
        return event.is_set()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Mark the calling thread busy: the clock does not jump. May be nested."""
        self._mark(1)
        try:
            yield
        finally:
            self._mark(-1)

    def spawn(self, fn: Callable[[], None], name: str) -> threading.Thread:
        """Start a daemon thread that is busy from this very moment until ``fn`` returns."""

        def run() -> None:
            self._own.marks = 1
            try:
                with suppress(ClockClosed):
                    fn()
            finally:
                self._mark(-1)

        with self._lock:
            self._marks += 1
        thread = threading.Thread(target=run, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._marks -= 1
            raise
        return thread

    def advance(self, seconds: float) -> None:
        """Let so much time pass by hand, event by event; what is busy is waited for, as in a jump."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        if threading.current_thread() is self._thread:
            raise RuntimeError("a callback of the clock cannot advance it")
        with self._lock:
            waiter = _Waiter(self._lock, self._own_marks(), None)
            self._goals.append((self.now() + timedelta(seconds=seconds), waiter))
            self._block(waiter)

    def close(self) -> None:
        """Stop: planned callbacks are dropped, and every thread that waits gets :class:`ClockClosed`."""
        with self._lock:
            if self._closed:
                return
            self._base = self.now()
            self._closed = True
            self._planned.clear()
            self._foreground = 0
            for waiter in list(self._waiters):
                self._resume(waiter)
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    # ---- inside: everything below is called with the lock held, except _wait, _mark and _run

    def _own_marks(self) -> int:
        return int(getattr(self._own, "marks", 0))

    def _mark(self, change: int) -> None:
        with self._lock:
            self._own.marks = self._own_marks() + change
            self._marks += change
            if not self._marks:
                self._changed.notify_all()

    def _wait(self, seconds: float | None, event: threading.Event | None) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("a callback of the clock cannot wait; plan another callback")
        with self._lock:
            if event is not None and event.is_set():
                return
            if self._closed:
                raise ClockClosed
            if seconds is not None and seconds <= 0:
                return
            waiter = _Waiter(self._lock, self._own_marks(), event)
            timer = None if seconds is None else self.call_later(seconds, lambda: self._resume(waiter))
            try:
                self._block(waiter)
            finally:
                if timer is not None:
                    timer.cancel()
            if self.closed and not (event is not None and event.is_set()):
                raise ClockClosed

    def _block(self, waiter: _Waiter) -> None:
        self._waiters.add(waiter)
        self._marks -= waiter.marks
        self._changed.notify_all()
        try:
            while not waiter.awake:
                waiter.wake.wait()
        finally:
            self._resume(waiter)  # no-op, unless an exception (Ctrl-C) broke the wait

    def _resume(self, waiter: _Waiter) -> None:
        with self._lock:
            if not waiter.awake:
                waiter.awake = True
                self._waiters.discard(waiter)
                self._marks += waiter.marks
                waiter.wake.notify_all()

    def _take(self, handle: Handle) -> Callable[[], None] | None:
        with self._lock:
            fn, handle._fn = handle._fn, None
            if fn is not None and not self._closed:
                self._foreground -= not handle._background
            return fn

    def _head(self) -> Handle | None:
        while self._planned and self._planned[0][2]._fn is None:
            heapq.heappop(self._planned)
        return self._planned[0][2] if self._planned else None

    def _move_to(self, when: datetime) -> None:
        now = self.now()
        if when > now:
            for listener in self.before_jump:
                listener(now)
            self._base += when - now

    def _run(self) -> None:
        while True:
            with self._lock:
                fn = self._await_due()
            if fn is None:
                return
            with self.busy():
                try:
                    fn()
                except Exception:  # noqa: BLE001  the clock must go on; nobody is there to take the error
                    _log.exception("a callback of the virtual clock failed")
                fn = None

    def _await_due(self) -> Callable[[], None] | None:
        """Wait for what is due next; None when the clock is closed."""
        while not self._closed:
            for waiter in [w for w in self._waiters if w.event is not None and w.event.is_set()]:
                self._resume(waiter)
            head = self._head()
            if head is not None and head.when <= self.now():
                heapq.heappop(self._planned)
                return self._take(head)
            if not self._marks and self._goals:
                goal, advancer = self._goals[0]
                if head is not None and head.when <= goal:
                    self._move_to(head.when)
                else:
                    self._move_to(goal)
                    self._goals.popleft()
                    self._resume(advancer)
                continue
            if not self._marks and self.scale is None and self._foreground and head is not None:
                self._move_to(head.when)
                continue
            self._changed.wait(self._pause(head))
        return None

    def _pause(self, head: Handle | None) -> float | None:
        """Real seconds until the clock must look again by itself."""
        pauses = [_EVENT_POLL] if any(waiter.event is not None for waiter in self._waiters) else []
        if self.scale is not None and head is not None:
            pauses.append((head.when - self.now()).total_seconds() / self.scale)
        return min((max(pause, 0.0) for pause in pauses), default=None)
