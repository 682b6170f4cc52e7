"""The one TLS client configuration with which databases are reached."""

from __future__ import annotations

import ssl
from functools import lru_cache
from importlib import resources

from aurora_restore.errors import ConfigurationInvalid


@lru_cache(maxsize=2)
def client_context(extra_ca_pem: str = "") -> ssl.SSLContext:
    """A context that trusts RDS's authorities, and those in ``extra_ca_pem``, and nothing else.

    A cluster endpoint is verified by the certificate's subject alternative names (AuroraUserGuide,
    UsingWithRDS.SSL.html), which Python's ssl does. PROTOCOL_TLS_CLIENT demands a valid chain and a matching name.
    It is used rather than ``create_default_context`` because that one also trusts the machine's authorities, and
    since Python 3.13 checks with VERIFY_X509_STRICT: the same rules should hold on every Python.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    bundle = resources.files("aurora_restore.certificates").joinpath("rds-ca-bundle.pem")
    context.load_verify_locations(cadata=bundle.read_text(encoding="ascii"))
    if extra_ca_pem.strip():
        try:
            context.load_verify_locations(cadata=extra_ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigurationInvalid(
                f"ARP_EXTRA_CA_PEM holds no certificate that can be read ({error})", field="ARP_EXTRA_CA_PEM"
            ) from error
    return context
