from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import audit

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def chain(details: list[Any]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for number, detail in enumerate(details, 1):
        events.append(
            audit.build(
                operation_id="op",
                execution_arn="arn",
                sequence=number,
                previous_hash=events[-1]["hash"] if events else "",
                at=f"2026-11-23T09:00:{number:02d}.000Z",
                step="S",
                event="e",
                actor="d",
                details={"value": detail},
            )
        )
    return events


chains = st.lists(plain, min_size=1, max_size=6).map(chain)


@given(chains)
def test_a_whole_trail_has_no_problem(events: list[dict[str, Any]]) -> None:
    assert audit.problems(reversed(events), head=events[-1]["hash"]) == []


@given(chains, st.data())
def test_any_alteration_is_found(events: list[dict[str, Any]], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(events) - 1))
    name = data.draw(st.sampled_from(["at", "step", "event", "actor", "operation_id", "execution_arn", "details"]))
    events[index] = {**events[index], name: {"value": "forged"} if name == "details" else "forged"}
    assert audit.problems(events, head=events[-1]["hash"])


@given(chains, st.data())
def test_a_missing_event_is_found(events: list[dict[str, Any]], data: st.DataObject) -> None:
    head = events[-1]["hash"]
    del events[data.draw(st.integers(0, len(events) - 1))]
    assert audit.problems(events, head=head)


@given(chains)
def test_a_rewritten_event_is_found_by_its_successor_or_the_head(events: list[dict[str, Any]]) -> None:
    head = events[-1]["hash"]
    forged = {**events[0], "event": "forged"}
    forged["hash"] = audit.digest(forged)
    assert audit.problems([forged, *events[1:]], head=head)


def test_keys_sort_as_the_events_came() -> None:
    assert audit.event_id(2, "2026-01-01T00:00:00.000Z") < audit.event_id(10, "2025-01-01T00:00:00.000Z")
