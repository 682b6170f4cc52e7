"""The virtual clock: order, jumps, waits and the end."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.clock import ClockClosed, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(start=START)
    yield clock
    clock.close()


def elapsed(clock: VirtualClock) -> float:
    return (clock.now() - START).total_seconds()


def test_sleep_jumps_to_the_due_moment_exactly(clock: VirtualClock) -> None:
    real = time.monotonic()
    clock.sleep(3 * 3600)
    assert elapsed(clock) == 3 * 3600
    assert time.monotonic() - real < 2


def test_time_stands_still_when_nothing_is_due(clock: VirtualClock) -> None:
    time.sleep(0.05)
    assert clock.now() == START


def test_no_jump_while_busy(clock: VirtualClock) -> None:
    fired = threading.Event()
    with clock.busy():
        with clock.busy():
            clock.call_later(10, fired.set)
        assert not fired.wait(0.05)
        assert clock.now() == START
    assert fired.wait(2)
    assert elapsed(clock) == 10


def test_what_is_due_now_runs_even_while_busy(clock: VirtualClock) -> None:
    fired = threading.Event()
    with clock.busy():
        clock.call_later(0, fired.set)
        assert fired.wait(2)


def test_a_sleeper_gives_up_its_marks_and_has_them_again_when_it_wakes(clock: VirtualClock) -> None:
    late = threading.Event()
    with clock.busy(), clock.busy():
        clock.call_later(20, late.set)
        clock.sleep(10)
        assert not late.wait(0.05)
        assert elapsed(clock) == 10
    assert late.wait(2)


def test_cancelled_callbacks_do_not_run_and_are_no_reason_to_jump(clock: VirtualClock) -> None:
    seen: list[str] = []
    with clock.busy():
        handle = clock.call_later(10, lambda: seen.append("cancelled"))
        clock.call_later(5, lambda: seen.append("kept"))
        handle.cancel()
        handle.cancel()
        clock.sleep(5)
    time.sleep(0.05)
    assert seen == ["kept"]
    assert elapsed(clock) == 5


def test_background_callbacks_do_not_make_time_run_away(clock: VirtualClock) -> None:
    days: list[datetime] = []

    def daily() -> None:
        days.append(clock.now())
        clock.call_later(86400, daily, background=True)

    clock.call_later(86400, daily, background=True)
    time.sleep(0.05)
    assert not days
    clock.sleep(3 * 86400 + 1)
    assert len(days) == 3


def test_a_set_event_ends_the_wait_at_once_and_without_a_jump(clock: VirtualClock) -> None:
    event = threading.Event()
    done: list[tuple[bool, float]] = []

    def wait() -> None:
        done.append((clock.wait_for(event, 3600), elapsed(clock)))

    with clock.busy():
        thread = clock.spawn(wait, "waiter")
        time.sleep(0.02)
        event.set()
    thread.join(2)
    assert done == [(True, 0.0)]


def test_wait_for_times_out_in_virtual_time(clock: VirtualClock) -> None:
    assert clock.wait_for(threading.Event(), 600) is False
    assert elapsed(clock) == 600


def test_a_spawned_thread_is_busy_before_it_runs(clock: VirtualClock) -> None:
    order: list[str] = []
    with clock.busy():
        clock.call_later(1, lambda: order.append("jumped"))
        thread = clock.spawn(lambda: (time.sleep(0.05), order.append("worked"))[0], "worker")
    thread.join()
    clock.sleep(2)
    assert order == ["worked", "jumped"]


def test_advance_runs_everything_on_the_way_and_follows_what_it_starts(clock: VirtualClock) -> None:
    steps: list[float] = []

    def poller() -> None:
        for _ in range(10):
            steps.append(elapsed(clock))
            clock.sleep(60)

    with clock.busy():
        clock.spawn(poller, "poller")
        clock.call_later(1e6, lambda: None, background=True)
        clock.advance(200)
        assert steps == [0, 60, 120, 180]
        assert elapsed(clock) == 200


def test_a_failing_callback_does_not_stop_the_clock(clock: VirtualClock) -> None:
    clock.call_later(1, lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    clock.sleep(2)
    assert elapsed(clock) == 2


def test_callbacks_may_not_wait(clock: VirtualClock) -> None:
    errors: list[str] = []

    def callback() -> None:
        for wait in (clock.sleep, clock.advance):
            try:
                wait(1)
            except RuntimeError as error:
                errors.append(str(error))

    clock.call_later(0, callback)
    clock.sleep(1)
    assert len(errors) == 2


def test_close_wakes_everybody() -> None:
    clock = VirtualClock(scale=0.001, start=START)
    ended: list[str] = []

    def sleeper() -> None:
        try:
            clock.sleep(3600)
        except ClockClosed:
            ended.append("sleep")
            raise

    def waiter() -> None:
        try:
            clock.wait_for(threading.Event())
        except ClockClosed:
            ended.append("wait")
            raise

    threads = [clock.spawn(sleeper, "s"), clock.spawn(waiter, "w")]
    time.sleep(0.05)
    clock.close()
    for thread in threads:
        thread.join(2)
    assert sorted(ended) == ["sleep", "wait"]
    with pytest.raises(ClockClosed):
        clock.sleep(1)
    clock.close()


def test_scale_mode_multiplies_real_time() -> None:
    clock = VirtualClock(scale=1000, start=START)
    try:
        real = time.monotonic()
        clock.sleep(100)
        assert 0.09 < time.monotonic() - real < 1
        assert elapsed(clock) >= 100
        before = elapsed(clock)
        real = time.monotonic()
        clock.advance(100_000)
        assert time.monotonic() - real < 1
        assert elapsed(clock) - before >= 100_000
    finally:
        clock.close()


@pytest.mark.parametrize("scale", [0, -1])
def test_a_senseless_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        VirtualClock(scale=scale)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=30))
def test_callbacks_run_in_due_order_each_at_its_time(delays: list[int]) -> None:
    clock = VirtualClock(start=START)
    seen: list[tuple[float, int, int]] = []
    try:
        with clock.busy():
            for number, delay in enumerate(delays):

                def note(number: int = number, delay: int = delay) -> None:
                    seen.append((elapsed(clock), delay, number))

                clock.call_later(delay, note)
        clock.sleep(60)
        assert [(delay, number) for _, delay, number in seen] == sorted((d, n) for n, d in enumerate(delays))
        # Only what is due at once may start before the time stands at its moment for everybody.
        assert all(at == delay for at, delay, _ in seen)
    finally:
        clock.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=8))
def test_threads_that_work_and_sleep_never_see_time_move_while_they_work(naps: list[list[int]]) -> None:
    clock = VirtualClock(start=START)
    moved: list[str] = []
    ends: dict[int, float] = {}

    def worker(number: int) -> None:
        expected = 0
        for nap in naps[number]:
            before = clock.now()
            time.sleep(0.0005)
            if clock.now() != before or elapsed(clock) != expected:
                moved.append(f"{number} at {elapsed(clock)}, expected {expected}")
            clock.sleep(nap)
            expected += nap
        ends[number] = elapsed(clock)

    try:
        with clock.busy():
            threads = [clock.spawn(lambda number=n: worker(number), f"w{n}") for n in range(len(naps))]  # type: ignore[misc]
        for thread in threads:
            thread.join(10)
        assert not moved
        assert ends == {n: sum(nap) for n, nap in enumerate(naps)}
        assert clock.now() - START == timedelta(seconds=max(sum(nap) for nap in naps))
    finally:
        clock.close()
