"""Users of Aurora PostgreSQL 11 and later.

The master user is no superuser: it may grant on an object only as its owner or as a member of the owner's role
(PostgreSQL manual, GRANT). So each database is done in one transaction, in which the master joins the owners it is
not yet a member of, and leaves them again at the end: all of it is committed, or nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aurora_restore.database.connection import SqlError
from aurora_restore.database.quoting import postgres_name, postgres_text
from aurora_restore.database.users import Statement, run
from aurora_restore.errors import UserAlreadyExists, UserCreationFailed

if TYPE_CHECKING:
    from aurora_restore.database.connection import Connector, Login, Session
    from aurora_restore.model import User

MAINTENANCE_DATABASE: Final = "postgres"
"""Every cluster has it; roles belong to the cluster, not to a database."""

TABLE_PRIVILEGES: Final = {"read_only": "SELECT", "read_write": "SELECT, INSERT, UPDATE, DELETE"}
# nextval needs USAGE, setval UPDATE, currval either of USAGE and SELECT.
SEQUENCE_PRIVILEGES: Final = {"read_only": "SELECT", "read_write": "USAGE, SELECT, UPDATE"}

_CHUNK: Final = 200
"""Objects named in one GRANT: bounds the statement's length in databases of many thousand tables."""

# pg_identify_object's type (PostgreSQL manual, Object Identification and Addressing) → the word that REVOKE takes.
_REVOKE_ON: Final = {
    "table": "TABLE",
    "view": "TABLE",
    "materialized view": "TABLE",
    "foreign table": "TABLE",
    "sequence": "SEQUENCE",
    "schema": "SCHEMA",
    "function": "ROUTINE",
    "procedure": "ROUTINE",
    "aggregate": "ROUTINE",
    "type": "TYPE",
    "language": "LANGUAGE",
    "server": "FOREIGN SERVER",
    "foreign-data wrapper": "FOREIGN DATA WRAPPER",
    "large object": "LARGE OBJECT",
    "database": "DATABASE",
    "tablespace": "TABLESPACE",
    "parameter ACL": "PARAMETER",
}
_DEFAULTS_ON: Final = {
    "r": "TABLES",
    "S": "SEQUENCES",
    "f": "FUNCTIONS",
    "T": "TYPES",
    "n": "SCHEMAS",
    "L": "LARGE OBJECTS",
}

_INSUFFICIENT_PRIVILEGE: Final = "42501"


@dataclass(frozen=True)
class Role:
    """The role of the user's name, as the cluster has it."""

    exists: bool = False
    superuser: bool = False
    excess: tuple[str, ...] = ()
    """Attributes to take away, as ALTER ROLE names them: NOCREATEDB, NOBYPASSRLS, …"""
    member_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Owned:
    """An object that can be granted: its name as SQL, and its owner."""

    name: str
    owner: str


@dataclass(frozen=True)
class Held:
    """A privilege that the user holds: the object's kind and name as pg_identify_object tells them, and its owner."""

    kind: str
    name: str
    owner: str | None
    """None: the system's, which may refuse to have it revoked."""


@dataclass(frozen=True)
class Default:
    """A default privilege for the user on what a role will create."""

    role: str
    schema: str | None
    kind: str


@dataclass(frozen=True)
class Found:
    """What one database has of the user, and what there is to grant."""

    database: str
    database_owner: str
    me: str
    joined: frozenset[str]
    """Roles whose privileges the master has."""
    superusers: frozenset[str] = frozenset()
    owns: bool = False
    """The user owns something here, or a whole database."""
    schemas: Sequence[Owned] = ()
    tables: Sequence[Owned] = ()
    sequences: Sequence[Owned] = ()
    routines: Sequence[Owned] = ()
    """Those that not everybody may call."""
    held: Sequence[Held] = ()
    defaults: Sequence[Default] = ()

    def owner(self, role: str, user: User) -> str:
        """The role that an owner stands for: what the user owns will be the master's."""
        if role == "pg_database_owner":
            # The schema "public" belongs to it since PostgreSQL 14; its one member is the database's owner.
            role = self.database_owner
        return self.me if role == user.name else role

    def is_system(self, held: Held) -> bool:
        """The object belongs to the system: to a superuser, or to the bootstrap one, of whom no record is kept."""
        return held.owner is None or held.owner in self.superusers


# --- the plans ------------------------------------------------------------------------------------------------------


def role_plan(user: User, verifier: str, role: Role) -> Iterator[Statement]:
    """Make the role, or take from it what was not asked for. What it owns and holds is each database's matter."""
    name, password = postgres_name(user.name), postgres_text(verifier)
    if not role.exists:
        yield Statement(f"CREATE ROLE {name} LOGIN PASSWORD {password}", secrets=(verifier,))
        return
    # Only what must change is named: to name an attribute at all can take a superuser.
    options = " ".join(("LOGIN", *role.excess, "CONNECTION LIMIT -1", "VALID UNTIL 'infinity'"))
    yield Statement(f"ALTER ROLE {name} {options} PASSWORD {password}", secrets=(verifier,))
    for group in role.member_of:
        # rds_iam is among them where IAM authentication was used: it would win over the password.
        yield Statement(f"REVOKE {postgres_name(group)} FROM {name}")


def clear_plan(user: User, found: Found) -> Iterator[Statement]:
    """Join the owners of a database's objects, and take away all that the user owns and holds there."""
    name, me = postgres_name(user.name), postgres_name(found.me)
    for owner in joins(user, found):
        yield Statement(f"GRANT {postgres_name(owner)} TO {me}")
    if found.owns:
        # An owner may do anything with what it owns, so a user with less than that cannot own anything.
        yield Statement(f"REASSIGN OWNED BY {name} TO {me}")
    for held in found.held:
        if held.kind not in _REVOKE_ON:
            raise UserCreationFailed(_left_over(user, found.database, [held]))
        yield Statement(
            f"REVOKE ALL ON {_REVOKE_ON[held.kind]} {held.name} FROM {name} CASCADE", optional=found.is_system(held)
        )
    for default in found.defaults:
        where = f" IN SCHEMA {postgres_name(default.schema)}" if default.schema else ""
        yield Statement(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {postgres_name(default.role)}{where} "
            f"REVOKE ALL ON {_DEFAULTS_ON[default.kind]} FROM {name}",
            optional=default.role in found.superusers,
        )


def grant_plan(user: User, found: Found) -> Iterator[Statement]:
    """Grant what was asked for in a database, if it was, and leave the owners that `clear_plan` joined."""
    if found.database in user.databases:
        yield from _grants(user, found)
    for owner in joins(user, found):
        yield Statement(f"REVOKE {postgres_name(owner)} FROM {postgres_name(found.me)}")


def joins(user: User, found: Found) -> list[str]:
    """The roles that the master must be a member of meanwhile."""
    # Default privileges are changed as the role itself, objects as the owner that they will have.
    roles = {default.role for default in found.defaults}
    roles |= {found.owner(held.owner, user) for held in found.held if held.owner is not None}
    if found.owns:
        roles.add(user.name)
    if found.database in user.databases:
        objects = (*found.schemas, *found.tables, *found.sequences, *found.routines)
        roles |= {found.owner(owner, user) for owner in (found.database_owner, *(each.owner for each in objects))}
    return sorted(roles - found.joined - found.superusers - {found.me})


def _grants(user: User, found: Found) -> Iterator[Statement]:
    name = postgres_name(user.name)

    def grantable(objects: Sequence[Owned]) -> list[Owned]:
        # Without the system's own: the master cannot grant on them, and PUBLIC has what is meant for everybody.
        return [each for each in objects if found.owner(each.owner, user) not in found.superusers]

    schemas, tables, sequences = map(grantable, (found.schemas, found.tables, found.sequences))
    writes = user.access == "read_write"
    if found.owner(found.database_owner, user) not in found.superusers:
        on_database = "CONNECT, TEMPORARY" if writes else "CONNECT"
        yield Statement(f"GRANT {on_database} ON DATABASE {postgres_name(found.database)} TO {name}")
    yield from _chunked("USAGE ON SCHEMA", schemas, name)
    yield from _chunked(f"{TABLE_PRIVILEGES[user.access]} ON TABLE", tables, name)
    yield from _chunked(f"{SEQUENCE_PRIVILEGES[user.access]} ON SEQUENCE", sequences, name)
    if writes:
        yield from _chunked("EXECUTE ON ROUTINE", grantable(found.routines), name)

    # What will be created later: default privileges are those of the creating role, so there is one set for each
    # (PostgreSQL manual, ALTER DEFAULT PRIVILEGES).
    creators = {found.owner(each.owner, user) for each in (*schemas, *tables, *sequences)} | {found.me}
    for creator in sorted(creators):
        head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {postgres_name(creator)} GRANT"
        yield Statement(f"{head} USAGE ON SCHEMAS TO {name}")
        yield Statement(f"{head} {TABLE_PRIVILEGES[user.access]} ON TABLES TO {name}")
        yield Statement(f"{head} {SEQUENCE_PRIVILEGES[user.access]} ON SEQUENCES TO {name}")
        if writes:
            yield Statement(f"{head} EXECUTE ON ROUTINES TO {name}")


def _left_over(user: User, database: str, held: Sequence[Held]) -> str:
    what = ", ".join(f"{each.kind} {each.name}" for each in held[:5]) + (", …" if len(held) > 5 else "")
    return (
        f"The user {user.name} holds privileges in the database {database} that the master user cannot take away, "
        f"since somebody else than the owner granted them: on {what}"
    )


def _chunked(what: str, objects: Sequence[Owned], grantee: str) -> Iterator[Statement]:
    for start in range(0, len(objects), _CHUNK):
        names = ", ".join(each.name for each in objects[start : start + _CHUNK])
        yield Statement(f"GRANT {what} {names} TO {grantee}")


def scram_verifier(password: str, salt: bytes | None = None, iterations: int = 4096) -> str:
    """What the server stores of a password (RFC 5803), so that the password itself is never in a statement.

    A server that logs statements would log it otherwise (``log_statement = ddl``). Only for printable ASCII, which
    needs no SASLprep; generated passwords are that.
    """
    if not (password.isascii() and password.isprintable()):
        raise ValueError("a password must be printable ASCII")
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    texts = [base64.b64encode(value).decode() for value in (salt, client, server)]
    return f"SCRAM-SHA-256${iterations}:{texts[0]}${texts[1]}:{texts[2]}"


# --- running them ---------------------------------------------------------------------------------------------------


def ensure(connector: Connector, master: Login, user: User, password: str) -> None:
    """Bring the user to the asked state, in the cluster and in every database that the master may connect to."""
    with connector.session(master.to(MAINTENANCE_DATABASE)) as session:
        reachable = [str(row[0]) for row in session.query(_REACHABLE)]
        role = _role(session, user.name)
        if role.superuser:
            raise UserAlreadyExists(f"The user {user.name} is a superuser in the snapshot and cannot be changed")
        with session.transaction():
            run(session, role_plan(user, scram_verifier(password), role))
        if groups := _role(session, user.name).member_of:
            # Since PostgreSQL 16 a membership can be revoked only by who granted it; otherwise it is a mere warning.
            raise UserCreationFailed(f"The user {user.name} is still a member of {', '.join(groups)}")

    # A role that existed may own and hold things in any database; a new one has nothing yet.
    for database in sorted({*user.databases, *(reachable if role.exists else ())}):
        with connector.session(master.to(database)) as session, session.transaction():
            # With no search path every name that the catalog tells is complete.
            session.execute("SET LOCAL search_path = ''")
            found = look(session, user.name)
            _run(session, clear_plan(user, found))
            if left := [held for held in _held(session, user.name) if not found.is_system(held)]:
                raise UserCreationFailed(_left_over(user, database, left))
            _run(session, grant_plan(user, found))


def _run(session: Session, statements: Iterator[Statement]) -> None:
    for statement in statements:
        if not statement.optional:
            run(session, [statement])
            continue
        session.execute("SAVEPOINT optional")
        try:
            run(session, [statement])
        except SqlError as error:
            if error.code != _INSUFFICIENT_PRIVILEGE:
                raise
            session.execute("ROLLBACK TO SAVEPOINT optional")
        session.execute("RELEASE SAVEPOINT optional")


def _held(session: Session, user: str) -> list[Held]:
    return [Held(*row) for row in session.query(_HELD.format(name=postgres_text(user)))]


def _role(session: Session, name: str) -> Role:
    rows = session.query(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,"  # noqa: S608 (quoted)
        " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        "       WHERE m.member = r.oid ORDER BY 1)"
        f" FROM pg_roles r WHERE rolname = {postgres_text(name)}"
    )
    if not rows:
        return Role()
    superuser, createdb, createrole, replication, bypassrls, member_of = rows[0]
    has = {"CREATEDB": createdb, "CREATEROLE": createrole, "REPLICATION": replication, "BYPASSRLS": bypassrls}
    excess = tuple(f"NO{attribute}" for attribute, given in has.items() if given)
    return Role(exists=True, superuser=superuser, excess=excess, member_of=tuple(dict.fromkeys(member_of)))


def look(session: Session, user: str) -> Found:
    """Read what the plans need to know. ``search_path`` must be empty."""
    [[database, database_owner, me]] = session.query(
        "SELECT datname::text, pg_get_userbyid(datdba)::text, current_user::text FROM pg_database"
        " WHERE datname = current_database()"
    )
    roles = session.query("SELECT rolname::text, rolsuper, pg_has_role(current_user, oid, 'USAGE') FROM pg_roles")
    name = postgres_text(user)
    objects: dict[str, list[Owned]] = {"schema": [], "table": [], "sequence": [], "routine": []}
    for kind, schema, relation, owner in session.query(_OBJECTS):
        quoted = relation if kind == "routine" else ".".join(map(postgres_name, filter(None, (schema, relation))))
        objects[kind].append(Owned(quoted, owner))
    return Found(
        database=database,
        database_owner=database_owner,
        me=me,
        joined=frozenset(role for role, _, joined in roles if joined),
        superusers=frozenset(role for role, superuser, _ in roles if superuser),
        owns=bool(session.query(_OWNS.format(name=name))[0][0]),
        schemas=objects["schema"],
        tables=objects["table"],
        sequences=objects["sequence"],
        routines=objects["routine"],
        held=_held(session, user),
        defaults=[Default(*row) for row in session.query(_DEFAULTS.format(name=name))],
    )


_REACHABLE: Final = """
    SELECT datname::text FROM pg_database
    WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin'
      AND has_database_privilege(current_user, oid, 'CONNECT')
"""

# Everything that a person made: not the system's schemas, and not temporary ones of other sessions.
_OBJECTS: Final = """
    WITH mine AS (
        SELECT oid, nspname, nspowner FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    )
    SELECT 'schema', nspname::text, NULL, pg_get_userbyid(nspowner)::text FROM mine
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, nspname::text, relname::text,
           pg_get_userbyid(relowner)::text
    FROM pg_class JOIN mine ON mine.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'routine', nspname::text, p.oid::regprocedure::text, pg_get_userbyid(proowner)::text
    FROM pg_proc p JOIN mine ON mine.oid = pronamespace
    WHERE prorettype <> 'pg_catalog.trigger'::regtype AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
    ORDER BY 1, 2, 3
"""

# pg_shdepend records every object of this database, and every shared one, whose owner ('o') or ACL ('a') names a role.
_OWNS: Final = """
    SELECT EXISTS (
        SELECT FROM pg_shdepend d JOIN pg_roles u ON u.oid = d.refobjid AND d.refclassid = 'pg_authid'::regclass
        WHERE u.rolname = {name} AND d.deptype = 'o'
          AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    )
"""
_HELD: Final = """
    SELECT DISTINCT i.type, i.identity, owner.rolname::text
    FROM pg_shdepend d JOIN pg_roles u ON u.oid = d.refobjid AND d.refclassid = 'pg_authid'::regclass
    CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
    LEFT JOIN pg_shdepend o ON o.dbid = d.dbid AND o.classid = d.classid AND o.objid = d.objid AND o.deptype = 'o'
                           AND o.refclassid = 'pg_authid'::regclass
    LEFT JOIN pg_roles owner ON owner.oid = o.refobjid
    WHERE u.rolname = {name} AND d.deptype = 'a' AND d.classid <> 'pg_default_acl'::regclass
      AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    ORDER BY 1, 2
"""
_DEFAULTS: Final = """
    SELECT DISTINCT pg_get_userbyid(a.defaclrole)::text, n.nspname::text, a.defaclobjtype::text
    FROM pg_default_acl a CROSS JOIN LATERAL aclexplode(a.defaclacl) e JOIN pg_roles u ON u.oid = e.grantee
    LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace
    WHERE u.rolname = {name} AND a.defaclrole <> u.oid ORDER BY 1, 2, 3
"""
