"""Connecting: TLS is never optional, the name must match, and every failure has its own error without the password."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from aurora_restore.database.connection import Connector, LoginError, SqlError, tidy
from aurora_restore.database.tls import client_context
from aurora_restore.errors import CertificateRejected, ConfigurationInvalid, TransientDatabaseError
from tests.unit.database_servers import Server, mariadb, postgresql

KINDS = {"aurora-mysql": mariadb, "aurora-postgresql": postgresql}


@pytest.fixture(scope="module", params=sorted(KINDS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with KINDS[request.param]() as running:
        yield running


def test_context_demands_name_and_chain_and_modern_tls() -> None:
    context = client_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_context_trusts_only_the_bundle_and_what_is_given(server: Server) -> None:
    subjects = [dict(pair[0] for pair in ca["subject"]) for ca in client_context().get_ca_certs()]
    assert subjects
    assert all(subject["commonName"].startswith("Amazon RDS ") for subject in subjects)
    assert len(client_context(server.ca_pem).get_ca_certs()) == len(subjects) + 1


@pytest.mark.parametrize("text", ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_unreadable_extra_authority_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="ARP_EXTRA_CA_PEM"):
        client_context(text)


def test_session_is_encrypted(server: Server) -> None:
    with server.connector.session(server.master) as session:
        if server.engine == "aurora-mysql":
            [[_, version]] = session.query("SHOW SESSION STATUS LIKE 'Ssl_version'")
        else:
            [[version]] = session.query("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    assert version in {"TLSv1.2", "TLSv1.3"}


def test_certificate_for_another_name_is_refused(server: Server) -> None:
    # The certificate names "localhost"; this is the same server under a name that it does not tell.
    with (
        pytest.raises(CertificateRejected, match=r"127\.0\.0\.1") as caught,
        server.connector.session(replace(server.master, host="127.0.0.1")),
    ):
        pass
    assert caught.value.code == "ARP-DBUSER-006"
    assert server.master.password not in str(caught.value)


def test_certificate_of_an_unknown_authority_is_refused(server: Server) -> None:
    with (
        pytest.raises(CertificateRejected, match="certificate verify failed"),
        Connector(client_context(), 5).session(server.master),
    ):
        pass


@pytest.mark.parametrize("engine", sorted(KINDS))
def test_server_without_tls_is_refused_before_the_password_is_sent(engine: str) -> None:
    with (
        KINDS[engine](tls=False) as plain,
        pytest.raises(CertificateRejected),
        plain.connector.session(plain.master),
    ):
        pass


def test_wrong_password_and_missing_database_are_login_errors(server: Server) -> None:
    for login in (server.login(server.master.username, "Wrong.1"), server.master.to("nowhere")):
        with pytest.raises(LoginError) as caught, server.connector.session(login):
            pass
        assert login.password not in str(caught.value)


@pytest.mark.parametrize("engine", sorted(KINDS))
def test_unreachable_server_is_transient(engine: str, server: Server) -> None:
    login = replace(server.master, engine=engine, port=1)
    with (
        pytest.raises(TransientDatabaseError, match="localhost:1 cannot be reached") as caught,
        server.connector.session(login),
    ):
        pass
    assert caught.value.code == "ARP-DBUSER-001"
    assert caught.value.retryable


@pytest.mark.parametrize("engine", sorted(KINDS))
def test_name_that_is_not_in_dns_yet_is_transient(engine: str, server: Server) -> None:
    login = replace(server.master, engine=engine, host="not-yet.invalid")
    with pytest.raises(TransientDatabaseError, match=r"not-yet\.invalid"), server.connector.session(login):
        pass


@pytest.mark.parametrize("engine", sorted(KINDS))
def test_server_that_hangs_up_is_transient(engine: str, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closer = threading.Thread(target=lambda: listener.accept()[0].close())
        closer.start()
        login = replace(server.master, engine=engine, port=listener.getsockname()[1])
        with pytest.raises(TransientDatabaseError), server.connector.session(login):
            pass
        closer.join()


def test_lost_connection_is_transient(server: Server) -> None:
    with server.connector.session(server.master) as session:
        if server.engine == "aurora-mysql":
            [[me]] = session.query("SELECT CONNECTION_ID()")
            server.admin(f"KILL {me}")
        else:
            [[me]] = session.query("SELECT pg_backend_pid()")
            server.admin(f"SELECT pg_terminate_backend({me})")
        with pytest.raises(TransientDatabaseError, match="broke"):
            session.query("SELECT 1")


def test_statement_that_never_ends_is_given_up(server: Server) -> None:
    sleep = "SELECT SLEEP(30)" if server.engine == "aurora-mysql" else "SELECT pg_sleep(30)"
    impatient = replace(server.connector, statement_timeout=0.5)
    with pytest.raises(TransientDatabaseError), impatient.session(server.master) as session:
        session.query(sleep)


def test_one_statement_only(server: Server) -> None:
    with server.connector.session(server.master.to("shop")) as session:
        with pytest.raises(SqlError):
            session.query("SELECT 1; CREATE TABLE smuggled (id int)")
        with pytest.raises(SqlError):
            session.query("SELECT * FROM smuggled")


def test_read_only_transaction_writes_nothing(server: Server) -> None:
    with server.connector.session(server.master.to("shop")) as session:
        session.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        for write in (
            "INSERT INTO kept VALUES (1)",
            "DROP TABLE kept",
            "CREATE TABLE made (id int)",
            "CREATE USER made",
        ):
            with pytest.raises(SqlError, match=r"(?i)read.only"), session.transaction(read_only=True):
                session.query(write)
        assert session.query("SELECT COUNT(*) FROM kept") == ((0,),)


def test_failed_transaction_is_rolled_back_and_the_session_goes_on(server: Server) -> None:
    with server.connector.session(server.master.to("shop")) as session:
        session.execute("CREATE TABLE IF NOT EXISTS rolled (id int)")
        with pytest.raises(SqlError), session.transaction():  # noqa: PT012 (the first statement is what is undone)
            session.execute("INSERT INTO rolled VALUES (1)")
            session.execute("INSERT INTO nowhere VALUES (1)")
        assert session.query("SELECT COUNT(*) FROM rolled") == ((0,),)


def test_secret_in_a_refused_statement_is_not_told(server: Server) -> None:
    with (
        pytest.raises(SqlError) as caught,
        server.connector.session(server.master) as session,
    ):
        session.execute("CREATE USER nobody IDENTIFIED WITH '$ecret.1' BY '$ecret.1'", secrets=("$ecret.1",))
    assert "$ecret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_login_hides_its_password(server: Server) -> None:
    assert server.master.password not in repr(server.master)


def test_messages_are_one_bounded_line_without_secrets() -> None:
    assert tidy("near\n 'pa55' at", ["pa55", ""]) == "near '***' at"
    assert len(tidy("x" * 1000, [])) == 400


@pytest.mark.parametrize("handler", ["setup_db_users", "verify_restore"])
def test_no_driver_is_loaded_before_an_engine_is_asked_for(handler: str) -> None:
    # A cold start should not pay for the other engine's driver.
    program = f"""
import sys
import aurora_restore.handlers.{handler}
assert not {{"pymysql", "pg8000"}} & set(sys.modules)
"""
    path = os.pathsep.join(["lambda_src", os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 0
