"""Which users and databases may be named in a request: the rules, without a database and without a driver."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_SYSTEM_DATABASES: Final = {
    "aurora-mysql": frozenset({"mysql", "information_schema", "performance_schema", "sys"}),
    "aurora-postgresql": frozenset({"rdsadmin", "template0", "template1"}),
}
_RESERVED_PREFIXES: Final = {
    "aurora-mysql": ("rds", "mysql.", "mariadb.", "aws_"),
    "aurora-postgresql": ("rds", "pg_", "aws_"),
}
_RESERVED_NAMES: Final = {
    "aurora-mysql": frozenset({"root", "event_scheduler", "system user"}),
    "aurora-postgresql": frozenset({"public", "none", "user", "current_user", "current_role", "session_user"}),
}


def reserved(engine: str, name: str, master_username: str) -> str | None:
    """Why a user of that name cannot be managed, or None when it can."""
    lowered = name.lower()
    if lowered == master_username.lower():
        return f"{name} is the master user"
    if lowered in _RESERVED_NAMES[engine] or lowered.startswith(_RESERVED_PREFIXES[engine]):
        return f"{name} is a name that the engine or AWS keeps for itself"
    return None


def database_problem(engine: str, name: str, existing: Iterable[str]) -> str | None:
    """Why a database cannot be given to a user, or None when it can."""
    if name.lower() in _SYSTEM_DATABASES[engine]:
        return f"{name} is a system database"
    usable = sorted(each for each in existing if each.lower() not in _SYSTEM_DATABASES[engine])
    if name not in usable:
        return f"there is no database {name}; there are: {', '.join(usable) or 'none'}"
    return None
