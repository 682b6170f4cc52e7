"""Several things that are wrong, told in one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aurora_restore.errors import RestoreError


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be; the class says which error it is when it is the first."""

    error: type[RestoreError]
    text: str


def raise_problems(problems: Sequence[Problem]) -> None:
    """One error that tells all problems; nothing when there are none."""
    if not problems:
        return
    first = problems[0].error
    if len(problems) == 1:
        raise first(problems[0].text)
    told = "; ".join(f"({number}) {problem.error.code}: {problem.text}" for number, problem in enumerate(problems, 1))
    raise first(
        f"{len(problems)} things are not as they should be: {told}",
        details={"problems": [{"code": each.error.code, "text": each.text} for each in problems]},
    )
