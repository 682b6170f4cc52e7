"""What RDS offers: Aurora versions, what each can do, instance classes, certificate authorities.

A small part of the real list. Sources: the names of the versions and which of them are retired are those that cfn-lint
1.58 records from DescribeDBEngineVersions (2026); Serverless v2 ranges are the Aurora User Guide's "Requirements and
limitations for Aurora Serverless v2"; classes are a selection of the families that cfn-lint records per version.
Upgrade targets follow a rule (every later offered minor of the same major; every offered version of a later major),
where AWS prunes that list a little. The default versions are the sandbox's choice, since AWS moves them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, cast

Engine = Literal["aurora-mysql", "aurora-postgresql"]
ENGINES: tuple[Engine, ...] = ("aurora-mysql", "aurora-postgresql")
DEFAULT_PORT: Mapping[str, int] = {"aurora-mysql": 3306, "aurora-postgresql": 5432}
CERTIFICATE_AUTHORITIES = ("rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")
DEFAULT_CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"
CERTIFICATES_VALID = (datetime(2021, 5, 25, tzinfo=UTC), datetime(2061, 5, 25, tzinfo=UTC))

_MYSQL = """
2.11.1 2.11.2 2.11.3 2.11.4 2.11.5 2.11.6 2.12.0 2.12.1 2.12.2 2.12.3 2.12.4 2.12.5
3.03.3- 3.04.0 3.04.1 3.04.2 3.04.3 3.04.4 3.05.2- 3.06.0- 3.06.1- 3.07.0- 3.07.1-
3.08.0 3.08.1 3.08.2 3.09.0 3.10.0 3.10.1 3.10.2 3.10.3 3.11.0- 3.11.1
"""
_POSTGRESQL = """
11.9 11.21 12.9 12.22 13.9 13.20- 13.23 14.6 14.17 14.18 14.19 14.20
15.4- 15.5- 15.6- 15.7- 15.8- 15.10 15.12 15.13 15.14 15.15
16.1- 16.2- 16.3- 16.4- 16.6- 16.8 16.9 16.10 16.11 17.4 17.5 17.6 17.7
"""
# End of standard support of each major (Aurora User Guide, "Aurora major versions" release calendars); Extended Support
# then runs for three years. Majors of another time have none of it here.
STANDARD_SUPPORT_ENDS: Mapping[tuple[str, str], datetime] = {
    ("aurora-mysql", "5.7"): datetime(2024, 10, 31, tzinfo=UTC),
    ("aurora-mysql", "8.0"): datetime(2028, 4, 30, tzinfo=UTC),
    ("aurora-postgresql", "11"): datetime(2024, 2, 29, tzinfo=UTC),
    ("aurora-postgresql", "12"): datetime(2025, 2, 28, tzinfo=UTC),
    ("aurora-postgresql", "13"): datetime(2026, 2, 28, tzinfo=UTC),
    ("aurora-postgresql", "14"): datetime(2027, 2, 28, tzinfo=UTC),
    ("aurora-postgresql", "15"): datetime(2028, 2, 29, tzinfo=UTC),
    ("aurora-postgresql", "16"): datetime(2029, 2, 28, tzinfo=UTC),
    ("aurora-postgresql", "17"): datetime(2030, 2, 28, tzinfo=UTC),
}
_SUPPORT_BEGAN = datetime(2018, 1, 1, tzinfo=UTC)
_DEFAULTS: Mapping[str, str] = {"aurora-mysql": "8.0.mysql_aurora.3.10.3", "aurora-postgresql": "16.11"}

_R_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_R5_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")
_T_SIZES = ("medium", "large")


@dataclass(frozen=True)
class Version:
    """One engine version."""

    engine: Engine
    name: str
    retired: bool = False

    @cached_property
    def major(self) -> str:
        """The major version as RDS names it: ``8.0``, ``5.7``, ``15``."""
        return self.name.split(".mysql_aurora.")[0] if self.engine == "aurora-mysql" else self.name.split(".")[0]

    @cached_property
    def order(self) -> tuple[int, ...]:
        """A key that sorts versions of one engine."""
        return version_order(self.name)

    @property
    def family(self) -> str:
        """The parameter group family, the same name for cluster and instance groups."""
        return f"{self.engine}{self.major}"

    @property
    def serverless(self) -> tuple[float, float] | None:
        """The Serverless v2 range in ACUs, or None where there is no Serverless v2."""
        if self.engine == "aurora-mysql":
            if self.order < version_order("8.0.mysql_aurora.3.02.0"):
                return None
            scales_to_zero = self.order >= version_order("8.0.mysql_aurora.3.08.0")
            large = self.order >= version_order("8.0.mysql_aurora.3.06.0")
        else:
            zero = {"13": 15, "14": 12, "15": 7, "16": 3}
            if self.order < (13, 6):
                return None
            scales_to_zero = self.order[0] > 16 or self.order[1] >= zero[self.major]
            large = self.order[0] > 16 or self.order[1] >= {"13": 13, "14": 10, "15": 5, "16": 1}[self.major]
        return (0.0 if scales_to_zero else 0.5, 256.0 if large else 128.0)

    @property
    def log_types(self) -> tuple[str, ...]:
        """What can be exported to CloudWatch Logs."""
        if self.engine == "aurora-mysql":
            return ("audit", "error", "general", "instance", "slowquery", "iam-db-auth-error")
        return ("postgresql", "instance", "iam-db-auth-error")

    @property
    def certificate_authorities(self) -> tuple[str, ...]:
        """The CAs whose certificates an instance can have. That the oldest majors lack one is the sandbox's choice:
        AWS's list differs by version and moves, and whoever asks must look."""
        old = self.major in ("5.7", "11", "12")
        return tuple(name for name in CERTIFICATE_AUTHORITIES if not (old and "ecc" in name))

    @property
    def features(self) -> tuple[str, ...]:
        """What an IAM role of a cluster may be for; Aurora MySQL names the roles in parameters instead."""
        return () if self.engine == "aurora-mysql" else ("s3Import", "s3Export", "Lambda", "SageMaker", "Comprehend")

    @property
    def data_api(self) -> bool:
        """Whether EnableHttpEndpoint works for provisioned and Serverless v2 clusters (Data API regions page)."""
        if self.engine == "aurora-mysql":
            return self.order >= version_order("8.0.mysql_aurora.3.07.0")
        least = {"13": 11, "14": 8, "15": 3, "16": 1, "17": 4}
        return self.major in least and self.order[1] >= least[self.major]

    def classes(self) -> Iterator[str]:
        """The orderable instance classes."""
        families = [("r5", _R5_SIZES), ("r6g", _R_SIZES), ("t3", _T_SIZES), ("t4g", _T_SIZES)]
        if self.major not in ("5.7", "11", "12"):
            families += [("r7g", _R_SIZES)]
        for family, sizes in families:
            yield from (f"db.{family}.{size}" for size in sizes)
        if self.serverless is not None:
            yield "db.serverless"

    def describe(self, partition: str, region: str, targets: list[Version]) -> dict[str, Any]:
        """Return the botocore DBEngineVersion."""
        postgres = self.engine == "aurora-postgresql"
        described: dict[str, Any] = {
            "Engine": self.engine,
            "MajorEngineVersion": self.major,
            "EngineVersion": self.name,
            "DBParameterGroupFamily": self.family,
            "DBEngineDescription": "Aurora PostgreSQL" if postgres else "Aurora MySQL",
            "DBEngineVersionDescription": self.description,
            "DBEngineVersionArn": f"arn:{partition}:rds:{region}::cev:{self.engine}/{self.name}",
            "ValidUpgradeTarget": [target.as_target(self) for target in targets],
            "ExportableLogTypes": list(self.log_types),
            "SupportsLogExportsToCloudwatchLogs": True,
            "SupportsReadReplica": False,
            "SupportedEngineModes": ["provisioned"],
            "SupportedFeatureNames": list(self.features),
            "Status": "deprecated" if self.retired else "available",
            "SupportsParallelQuery": not postgres,
            "SupportsGlobalDatabases": True,
            "SupportsBabelfish": postgres and self.order >= (13, 4),
            "SupportsLimitlessDatabase": False,
            "SupportsCertificateRotationWithoutRestart": True,
            "SupportedCACertificateIdentifiers": list(self.certificate_authorities),
            "SupportsLocalWriteForwarding": not postgres or self.order >= (14, 13),
            "SupportsIntegrations": False,
            "TagList": [],
        }
        if self.serverless is not None:
            least, most = self.serverless
            described["ServerlessV2FeaturesSupport"] = {"MinCapacity": least, "MaxCapacity": most}
        return described

    @property
    def description(self) -> str:
        """What consoles show."""
        if self.engine == "aurora-postgresql":
            return f"Aurora PostgreSQL (Compatible with PostgreSQL {self.name})"
        major, _, minor = self.name.partition(".mysql_aurora.")
        return f"Aurora MySQL {minor} (compatible with MySQL {major})"

    def as_target(self, source: Version) -> dict[str, Any]:
        """Return this version as an UpgradeTarget of ``source``."""
        return {
            "Engine": self.engine,
            "EngineVersion": self.name,
            "Description": self.description,
            "AutoUpgrade": False,
            "IsMajorVersionUpgrade": self.major != source.major,
            "SupportedEngineModes": ["provisioned"],
        }


def describe_major(engine: str, major: str) -> dict[str, Any]:
    """Return the botocore DBMajorEngineVersion."""
    ends = STANDARD_SUPPORT_ENDS[engine, major]
    return {
        "Engine": engine,
        "MajorEngineVersion": major,
        "SupportedEngineLifecycles": [
            {
                "LifecycleSupportName": "open-source-rds-standard-support",
                "LifecycleSupportStartDate": _SUPPORT_BEGAN,
                "LifecycleSupportEndDate": ends,
            },
            {
                "LifecycleSupportName": "open-source-rds-extended-support",
                "LifecycleSupportStartDate": ends + timedelta(days=1),
                "LifecycleSupportEndDate": ends + timedelta(days=3 * 365),
            },
        ],
    }


def version_order(name: str) -> tuple[int, ...]:
    """Sort key of an Aurora version's name."""
    return tuple(int(number) for number in re.findall(r"\d+", name))


def _parse(engine: Engine, text: str) -> Iterator[Version]:
    for word in text.split():
        number = word.removesuffix("-")
        if engine == "aurora-mysql":
            number = f"{'5.7' if number.startswith('2') else '8.0'}.mysql_aurora.{number}"
        yield Version(engine, number, retired=word.endswith("-"))


class Catalogue:
    """The versions of one sandbox; a test may retire one while it runs."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], Version] = {
            (version.engine, version.name): version
            for version in (*_parse("aurora-mysql", _MYSQL), *_parse("aurora-postgresql", _POSTGRESQL))
        }
        self.defaults = dict(_DEFAULTS)

    def __iter__(self) -> Iterator[Version]:
        return iter(self._versions.values())

    def offered(self, engine: str, name: str) -> Version | None:
        """Return the version if it can be used for something new."""
        version = self.known(engine, name)
        return version if version is not None and not version.retired else None

    def known(self, engine: str, name: str) -> Version | None:
        """Return the version, retired or not."""
        return self._versions.get((engine, name))

    def default(self, engine: str, major: str | None = None) -> Version:
        """Return the default version of an engine, or of one of its majors (its newest)."""
        if major is None or self._versions[engine, self.defaults[engine]].major == major:
            return self._versions[engine, self.defaults[engine]]
        offered = [
            version for version in self if (version.engine, version.major, version.retired) == (engine, major, False)
        ]
        return max(offered, key=lambda version: version.order)

    def targets(self, source: Version) -> list[Version]:
        """Return what ``source`` can be upgraded to, lowest first."""
        later = [
            version
            for version in self
            if version.engine == source.engine and not version.retired and version.order > source.order
        ]
        return sorted(later, key=lambda version: version.order)

    def families(self) -> set[str]:
        """All parameter group families."""
        return {version.family for version in self}

    def retire(self, engine: str, name: str) -> None:
        """Take a version off the list, as AWS does one day."""
        self._versions[engine, name] = Version(cast("Engine", engine), name, retired=True)
