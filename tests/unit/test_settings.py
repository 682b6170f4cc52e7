import json
import re
from pathlib import Path

import pytest

from aurora_restore.errors import ConfigurationInvalid
from aurora_restore.settings import PHASES_WITH_DEADLINES, Settings, refuse_another_package
from tests.unit.core_support import DEADLINES

ENV = {
    "ARP_DEPLOYMENT": "restore",
    "ARP_STATE_TABLE": "s",
    "ARP_AUDIT_TABLE": "a",
    "ARP_TOPIC_ARN": "arn:aws-cn:sns:cn-north-1:111122223333:t",
    "ARP_KMS_KEY_ARN": "k",
    "ARP_SECRET_PREFIX": "p",
    "ARP_DEADLINES": json.dumps(DEADLINES),
    "AWS_REGION": "cn-north-1",
}


def test_defaults() -> None:
    settings = Settings.from_env(ENV)
    assert (settings.partition, settings.account) == ("aws-cn", "111122223333")
    assert settings.deadlines == DEADLINES
    assert not settings.database_enabled


def test_everything() -> None:
    settings = Settings.from_env(
        {
            **ENV,
            "ARP_ENVIRONMENT": "prod",
            "ARP_TAGS": '{"team": "x"}',
            "ARP_DEADLINES": json.dumps({**DEADLINES, "cluster": 10}),
            "ARP_DATABASE": "enabled",
            "ARP_RECORD_TTL_DAYS": "7",
        }
    )
    assert settings.tags == {"team": "x"}
    assert settings.deadlines == {**DEADLINES, "cluster": 10}
    assert settings.database_enabled
    assert settings.record_ttl_days == 7


def test_a_phase_without_a_deadline_is_named() -> None:
    given = {phase: seconds for phase, seconds in DEADLINES.items() if phase != "instance"}
    with pytest.raises(ConfigurationInvalid, match="ARP_DEADLINES has no instance"):
        Settings.from_env({**ENV, "ARP_DEADLINES": json.dumps(given)})


def test_the_module_gives_a_deadline_to_each_phase() -> None:
    variables = (Path(__file__).resolve().parents[2] / "variables.tf").read_text()
    block = variables.partition('variable "deadlines"')[2].partition("\n}\n")[0]
    assert re.findall(r"(\w+) += optional\(number", block) == list(PHASES_WITH_DEADLINES)


@pytest.mark.parametrize("name", sorted(ENV))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=name):
        Settings.from_env({**ENV, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARP_TOPIC_ARN", "topic"),
        ("ARP_TAGS", "[]"),
        ("ARP_TAGS", "{"),
        ("ARP_DEADLINES", '{"cluster": "x"}'),
        ("ARP_DEADLINES", '{"cluster": 0}'),
        ("ARP_WAIT_FLOOR_SECONDS", "x"),
        ("ARP_WAIT_CAP_SECONDS", "0"),
        ("ARP_DATABASE", "yes"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=name):
        Settings.from_env({**ENV, name: value})


def test_a_zip_of_other_sources_is_refused(tmp_path: Path) -> None:
    refuse_another_package("", tmp_path)  # nobody asks
    with pytest.raises(ConfigurationInvalid, match="it does not say which"):
        refuse_another_package("a" * 12, tmp_path)
    (tmp_path / "source_hash.txt").write_text("a" * 64 + "\n")
    refuse_another_package("a" * 12, tmp_path)
    with pytest.raises(ConfigurationInvalid, match=r"aaaaaaaaaaaa.*bbbbbbbbbbbb"):
        refuse_another_package("b" * 12, tmp_path)
    with pytest.raises(ConfigurationInvalid, match="lambda_package"):
        Settings.from_env({**ENV, "ARP_SOURCE_HASH": "b" * 12})
