"""The data plane without servers: certificates, addresses, programs, and the switched-off mode."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest
from cryptography import x509

from sandbox.dataplane import CertificateAuthority, DataPlane, DataPlaneError, EndpointKey, addresses, home, programs
from sandbox.dataplane.forwarder import Forwarder
from sandbox.dataplane.mariadb import shown_version
from sandbox.dataplane.tls import ServerKey

KEY = EndpointKey("111122223333", "eu-west-1", "orders", "writer")


def test_ca_fits_into_a_lambda_environment() -> None:
    assert len(CertificateAuthority().pem) < 1500


def test_certificate_names_addresses_and_host_names() -> None:
    leaf = x509.load_pem_x509_certificate(
        CertificateAuthority().issue(ServerKey(), ["127.5.6.7", "orders.example", "127.5.6.7"]).encode()
    )
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.5.6.7"]
    assert names.get_values_for_type(x509.DNSName) == ["orders.example"]


def test_addresses_are_stable_and_differ_by_account_region_cluster_and_role() -> None:
    keys = [
        KEY,
        EndpointKey("444455556666", "eu-west-1", "orders", "writer"),
        EndpointKey("111122223333", "us-east-1", "orders", "writer"),
        EndpointKey("111122223333", "eu-west-1", "orders-2", "writer"),
        EndpointKey("111122223333", "eu-west-1", "orders", "reader"),
    ]
    firsts = [next(addresses.candidates(key)) for key in keys]
    assert firsts == [next(addresses.candidates(key)) for key in keys]
    assert len(set(firsts)) == len(keys)
    assert all(address.startswith("127.") and not address.startswith("127.0.") for address in firsts)


def test_a_busy_address_is_skipped() -> None:
    with addresses.listen(KEY, 0) as first:
        taken, port = first.getsockname()
        with addresses.listen(KEY, port) as second:
            assert second.getsockname()[0] != taken
            assert second.getsockname()[1] == port


def test_where_only_127_0_0_1_exists_ports_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    really = addresses._listen

    def only_localhost(address: str, port: int) -> socket.socket:
        if address != "127.0.0.1":
            raise OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")
        return really(address, port)

    monkeypatch.setattr(addresses, "_listen", only_localhost)
    port = addresses.free_port()
    with addresses.listen(KEY, port) as first, addresses.listen(KEY, port) as second:
        assert first.getsockname() == ("127.0.0.1", port)
        assert second.getsockname()[0] == "127.0.0.1"
        assert second.getsockname()[1] != port


def test_forwarder_closes_connections_while_there_is_no_server() -> None:
    forwarder = Forwarder()
    listener = addresses.listen(KEY, 0)
    address = listener.getsockname()
    server = forwarder.open(listener, lambda: None)
    try:
        with socket.create_connection(address, timeout=5) as client:
            assert client.recv(1) == b""
    finally:
        forwarder.close_endpoint(server)
        forwarder.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(DataPlaneError, match=r"no-such-server was not found.*system package some-package"):
        programs.find("no-such-server", "some-package")


@pytest.mark.parametrize(
    ("engine_version", "shown"),
    [
        ("8.0.mysql_aurora.3.08.2", "8.0.39-aurora.3.08.2-MariaDB"),
        ("5.7.mysql_aurora.2.12.5", "5.7.44-aurora.2.12.5-MariaDB"),
        ("8.0.mysql_aurora.3.99.0", "8.0.0-aurora.3.99.0-MariaDB"),
        ("8.0.39", "8.0.39-MariaDB"),
    ],
)
def test_shown_version(engine_version: str, shown: str) -> None:
    assert shown_version(engine_version) == shown


def test_switched_off_it_does_nothing_and_names_endpoints_as_aws_does(tmp_path: Path) -> None:
    root = tmp_path / "plane"
    with DataPlane(root, enabled=False) as plane:
        plane.create_volume("a", "aurora-mysql", "admin", "secret-1", None)
        plane.copy_volume("a", "b")
        plane.set_master_password("b", "admin", "secret-2")
        plane.start("b", "8.0.mysql_aurora.3.08.2")
        assert plane.is_running("b")
        assert not plane.is_running("a")
        endpoint = plane.open_endpoint(KEY, "b", 3306)
        assert endpoint.address.startswith("orders.cluster-")
        assert endpoint.address.endswith(".eu-west-1.rds.amazonaws.com")
        reader = EndpointKey(KEY.account, KEY.region, KEY.cluster, "reader")
        assert plane.open_endpoint(reader, "b", 3306).address.startswith("orders.cluster-ro-")
        instance = EndpointKey(KEY.account, "cn-north-1", KEY.cluster, "orders-1")
        assert plane.open_endpoint(instance, "b", 3306).address.startswith("orders-1.c")
        assert plane.open_endpoint(instance, "b", 3306).address.endswith(".cn-north-1.rds.amazonaws.com.cn")
        plane.close_endpoint(KEY)
        plane.stop("b")
        assert not plane.is_running("b")
        plane.delete_volume("b")
    assert not root.exists()


def test_one_folder_serves_one_data_plane(tmp_path: Path) -> None:
    with DataPlane(tmp_path), pytest.raises(DataPlaneError, match="Another sandbox works in"):
        DataPlane(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with DataPlane(tmp_path):
        pass


def test_a_folder_that_servers_cannot_use_is_replaced_by_a_temporary_one(tmp_path: Path) -> None:
    root = tmp_path / ("long" * 30)
    with DataPlane(root) as plane:
        work = plane._home.path
        assert not work.is_relative_to(root)
        assert work.is_dir()
    assert not work.exists()
    assert not root.exists()


def test_without_any_usable_folder_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "_fits", lambda folder: False)
    with pytest.raises(DataPlaneError, match="Set TMPDIR"):
        DataPlane(tmp_path / "root")
    assert not (tmp_path / "root").exists()
