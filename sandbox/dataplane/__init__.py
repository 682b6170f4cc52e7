"""Real database servers behind Aurora-like endpoints: what a cluster of the sandbox's RDS stores and serves.

Each cluster volume is a data directory; a cluster with an instance is one MariaDB or PostgreSQL server on it; a
snapshot is a copy of the directory. `DataPlane` is the only entry point.
"""

from sandbox.dataplane.model import DataPlaneError, Endpoint, EndpointKey, Engine
from sandbox.dataplane.plane import DataPlane
from sandbox.dataplane.tls import CertificateAuthority

__all__ = ["CertificateAuthority", "DataPlane", "DataPlaneError", "Endpoint", "EndpointKey", "Engine"]
