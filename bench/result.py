"""What a benchmark gives: its section of the document, and the targets that it missed."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.generate_docs import table

__all__ = ["Result", "table"]


@dataclass
class Result:
    """A benchmark's section of the document, and the targets that it missed."""

    text: str
    missed: list[str] = field(default_factory=list)
