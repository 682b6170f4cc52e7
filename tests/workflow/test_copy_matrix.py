"""Every kind of snapshot, key and place: restored with the fewest copies, and nothing left behind.

The table in docs/implementation.md is what these tests measure; `UPDATE_DOCS=1` writes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from sandbox.rds.timings import Timings
from sandbox.server import Sandbox
from tests.workflow.cross_account import ACCOUNT, REGION, SOURCE_ACCOUNT, SOURCE_REGION
from tests.workflow.support import Deployment, assert_audited
from tests.workflow.world import KEYS, KINDS, KeyKind, Kind, World, seconds

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/implementation.md"
BEGIN, END = "<!-- BEGIN copies (UPDATE_DOCS=1 make workflow) -->\n", "<!-- END copies -->"

OWN, OTHER = (ACCOUNT, REGION), (SOURCE_ACCOUNT, REGION)
ELSEWHERE, FAR = (ACCOUNT, SOURCE_REGION), (SOURCE_ACCOUNT, SOURCE_REGION)
WHERE = {
    OWN: "same account, same region",
    ELSEWHERE: "same account, other region",
    OTHER: "other account, same region",
    FAR: "other account, other region",
}


def fewest(place: tuple[str, str], kind: Kind, key: KeyKind) -> int:
    """The copies that AWS's rules cannot do without, by hand (aws-facts 1, 2.1, 2.2, 2.3)."""
    if place == OWN:
        return 0  # any kind, any key
    if place == OTHER and kind == "manual" and key in {"customer", "none"}:
        return 0  # shared, and restored directly
    return 1  # into the target's region, or to a manual snapshot under a key that can be shared


@pytest.fixture(scope="module", autouse=True)
def _as_on_an_ordinary_day(sandbox: Sandbox) -> Iterator[None]:
    """Durations of a small cluster on AWS, since they are what is documented."""
    before = asdict(sandbox.rds.timings)
    for name, value in asdict(Timings()).items():
        setattr(sandbox.rds.timings, name, value)
    yield
    for name, value in before.items():
        setattr(sandbox.rds.timings, name, value)


ROWS = [(place, kind, key) for place in WHERE for kind in KINDS for key in KEYS]


@pytest.mark.parametrize(
    ("place", "kind", "key"), ROWS, ids=[f"{WHERE[p].replace(', ', '-').replace(' ', '-')}-{k}-{y}" for p, k, y in ROWS]
)
def test_the_fewest_copies_and_nothing_left(
    cross_account: Deployment, world: World, copy_target: str, place: tuple[str, str], kind: Kind, key: KeyKind
) -> None:
    arn = world.snapshot(*place, kind, key)
    cross_account.forget_durations()

    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target})

    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert execution.record is not None
    assert_audited(execution)
    made = execution.record["plan"]["route"]["copies"]
    assert len(made) == fewest(place, kind, key)
    cluster = cross_account.cluster(copy_target)
    assert cluster is not None
    assert cluster["KmsKeyId"].split(":")[3:5] == [REGION, ACCOUNT], "a local customer key"
    took = seconds(cross_account, execution)
    world.assert_nothing_left(cross_account, arn)
    _assert_documented(place, kind, key, len(made), took)


def _assert_documented(place: tuple[str, str], kind: Kind, key: KeyKind, hops: int, took: float) -> None:
    """The document's row says the same: copies to the number, minutes within a tenth (the waits are adaptive)."""
    start = f"| {kind} | {key} | {WHERE[place]} |"
    row = f"{start} {hops} | {round(took / 60)} min | nothing |"
    text = DOCUMENT.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_DOCS"):
        head, rest = text.split(BEGIN)
        table, tail = rest.split(END)
        rows = [line for line in table.splitlines() if line and not line.startswith(start)]
        order = {f"| {k} | {y} | {WHERE[p]} |": n for n, (p, k, y) in enumerate(ROWS)}
        header, body = rows[:2], [*rows[2:], row]
        body.sort(key=lambda line: next((n for begin, n in order.items() if line.startswith(begin)), -1))
        DOCUMENT.write_text(f"{head}{BEGIN}{chr(10).join([*header, *body])}{chr(10)}{END}{tail}", encoding="utf-8")
        return
    documented = next((line for line in text.splitlines() if line.startswith(start)), "")
    found = re.fullmatch(re.escape(start) + r" (\d+) \| (\d+) min \| nothing \|", documented)
    assert found, f"docs/implementation.md has no row {start}"
    assert int(found[1]) == hops
    assert int(found[2]) * 60 == pytest.approx(took, rel=0.1, abs=60)
