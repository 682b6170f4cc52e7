"""Which SQL may be run as a check: the rules on the text alone, without a database and without a driver."""

from __future__ import annotations

import re
from typing import Final

# A check asks; it does not change. The read-only transaction refuses writes, this also what is no query at all.
_QUERY: Final = re.compile(
    r"(?:\s|\(|(?:--|#)[^\n]*\n|/\*(?!!).*?\*/)*(?:SELECT|WITH|TABLE|VALUES|SHOW)\b", re.IGNORECASE | re.DOTALL
)

# Where a semicolon separates nothing: texts, quoted names, comments. What only one of the engines takes for a comment
# is taken for one here.
_OPAQUE: Final = re.compile(
    r"""'[^']*'|"[^"]*"|`[^`]*`|(?<!\w)\$(\w*)\$.*?\$\1\$|(?:--|#)[^\n]*|/\*.*?\*/""", re.DOTALL
)
_FURTHER: Final = re.compile(r";[\s;]*[^\s;]")
# What is left of these was read otherwise than it was meant, as by the engine that escapes or nests.
_UNSURE: Final = re.compile(r"""['"`]|/\*|\*/|\$\w*\$""")


def query_problem(sql: str) -> str | None:
    """Why a text can never be run as a check; None where it can, or where the text alone does not tell."""
    if not _QUERY.match(sql):
        return "is not a query (SELECT, WITH, TABLE, VALUES or SHOW)"
    rest = _OPAQUE.sub(" ", sql)
    if _FURTHER.search(rest) and not _UNSURE.search(rest) and "\\" not in sql:
        return "has several statements; a check is one query"
    return None
