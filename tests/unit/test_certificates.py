"""The shipped authorities, and the command that refreshes them."""

from __future__ import annotations

import re
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from scripts import refresh_certificates as refresh

NOW = datetime.now(UTC)


def certificate(
    name: str = "Amazon RDS eu-west-1 Root CA RSA2048 G1", *, ca: bool = True, days: int = 30, own: bool = True
) -> str:
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=100))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(key if own else other, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM).decode()


def test_shipped_file_is_valid_and_covers_the_regions(capsys: pytest.CaptureFixture[str]) -> None:
    assert refresh.main(["--check"]) == 0
    names = {refresh.common_name(each) for each in refresh.parse(refresh.BUNDLE.read_text())}
    regions = {name.split()[2] for name in names}
    assert {"us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2", "sa-east-1"} <= regions
    for region in regions:
        kinds = {name.split(" CA ")[1].split()[0] for name in names if f" {region} " in name}
        assert kinds == {"RSA2048", "RSA4096", "ECC384"}


def test_shipped_file_says_where_it_is_from_and_openssl_reads_it() -> None:
    text = refresh.BUNDLE.read_text()
    assert re.search(r"^# Source: .+$", text, re.MULTILINE)
    assert re.search(r"^# Taken: \d{4}-\d\d-\d\d", text, re.MULTILINE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=text)
    assert len(context.get_ca_certs()) == text.count("BEGIN CERTIFICATE")


def test_refresh_from_the_shipped_file_changes_nothing_but_the_head(tmp_path: Path) -> None:
    output = tmp_path / "bundle.pem"
    assert refresh.main(["--source", str(refresh.BUNDLE), "--output", str(output)]) == 0
    assert output.read_text().split("\n\n", 1)[1] == refresh.BUNDLE.read_text().split("\n\n", 1)[1]
    assert refresh.main(["--check", "--output", str(output)]) == 0


def test_expired_preview_and_foreign_certificates_are_left_out(tmp_path: Path) -> None:
    source, output = tmp_path / "source.pem", tmp_path / "bundle.pem"
    kept = certificate()
    source.write_text(
        kept
        + kept
        + certificate("Amazon RDS eu-west-1 2019 CA")
        + certificate("Amazon RDS Preview us-east-2 Root CA RSA2048 G1")
        + certificate("Amazon RDS Beta us-east-1 Root CA RSA2048 G1")
        + certificate("Amazon Root CA 1")
        + certificate("Amazon RDS eu-west-2 Root CA RSA2048 G1", days=-1)
    )
    assert refresh.main(["--source", str(source), "--output", str(output)]) == 0
    [left] = refresh.parse(output.read_text())
    assert left == x509.load_pem_x509_certificate(kept.encode())


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (certificate(ca=False), "is not a certificate authority"),
        (certificate(own=False), "is not signed by itself"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "does not parse"),
        ("nothing", "no current root"),
    ],
)
def test_bad_source_is_refused_and_the_file_is_kept(
    bad: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "source.pem", tmp_path / "bundle.pem"
    source.write_text(bad)
    output.write_text("what was there")
    assert refresh.main(["--source", str(source), "--output", str(output)]) == 1
    assert why in capsys.readouterr().err
    assert output.read_text() == "what was there"


def test_check_finds_an_expired_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "bundle.pem"
    output.write_text(certificate(days=-1))
    assert refresh.main(["--check", "--output", str(output)]) == 1
    assert "valid from" in capsys.readouterr().err


def test_missing_source_is_an_error_not_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert refresh.main(["--source", "/nowhere.pem"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_certificates_in_script_literals_are_read_as_data() -> None:
    pem = certificate()
    lines = " +\n".join(f"    '{line}\\n'" for line in pem.splitlines())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [read] = refresh.parse(refresh.unquote(f"exports.defaults = [\n{lines},\n];"))
    assert read == x509.load_pem_x509_certificate(pem.encode())
