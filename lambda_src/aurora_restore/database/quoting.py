"""Names and texts as SQL, one function for each kind; nothing else puts a value into a statement."""

from __future__ import annotations


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("a NUL character cannot occur in SQL")
    return value


def mysql_name(name: str) -> str:
    """An identifier of MySQL and MariaDB."""
    return "`" + _without_nul(name).replace("`", "``") + "`"


def mysql_grant_database(name: str, *, wildcards: bool) -> str:
    r"""A database as GRANT takes it: ``_`` and ``%`` are wildcards there, so that ``app_1`` would also match ``appX1``.

    With the server's ``partial_revokes`` on they are plain characters, and so would be the backslashes (MySQL
    manual, GRANT Statement).
    """
    if wildcards:
        name = name.replace("\\", "\\\\").replace("_", r"\_").replace("%", r"\%")
    return mysql_name(name)


def mysql_text(value: str) -> str:
    """A string literal of MySQL and MariaDB, for a session whose ``sql_mode`` is without NO_BACKSLASH_ESCAPES."""
    return "'" + _without_nul(value).replace("\\", "\\\\").replace("'", "''") + "'"


def postgres_name(name: str) -> str:
    """An identifier of PostgreSQL."""
    return '"' + _without_nul(name).replace('"', '""') + '"'


def postgres_text(value: str) -> str:
    """A string literal of PostgreSQL (``standard_conforming_strings`` is on; the E form says so where it matters)."""
    quoted = "'" + _without_nul(value).replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in value else quoted
