"""The past of a volume, for restores to a point in time (docs/design/0002)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sandbox.dataplane.engines import LogPosition


@dataclass
class History:
    """What a volume was before its first start, its log since, and where the log was at which virtual time."""

    base: Path
    # What the administrator had still to do with the base; later the log has it.
    pending: list[str]
    engine_version: str
    archive: Path
    # Virtual times that ended, and how far the log went then; only where it had grown.
    instants: list[datetime] = field(default_factory=list)
    positions: list[LogPosition] = field(default_factory=list)
    ended: bool = False

    def note(self, instant: datetime, position: LogPosition, *, running: bool) -> None:
        """Remember how far the log went when ``instant`` was over; a log without a server does not grow."""
        if self.ended and not running:
            return
        self.ended = not running
        if not self.positions or self.positions[-1] != position:
            self.instants.append(instant)
            self.positions.append(position)

    def position(self, instant: datetime) -> LogPosition | None:
        """Return how far the log went at a virtual time; None is before its beginning."""
        index = bisect_right(self.instants, instant)
        return self.positions[index - 1] if index else None
