"""What an import costs is paid at every cold start: nothing heavy before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import aurora_restore

PACKAGE = Path(aurora_restore.__file__).parent
HANDLERS = sorted(path.stem for path in (PACKAGE / "handlers").glob("[a-z]*.py"))
HEAVY = ("fastjsonschema", "pymysql", "pg8000", "pydantic", "aws_xray_sdk", "requests", "cryptography")


def test_there_is_a_handler_for_each_function() -> None:
    assert HANDLERS == [
        "check_copy_status", "check_restore_status", "check_settings", "cleanup", "compensate", "complete_cluster",
        "configure_cluster", "copy_snapshot", "create_instances", "restore_snapshot", "setup_db_users",
        "snapshot_check", "sns_notification", "verify_restore",
    ]  # fmt: skip


@pytest.mark.parametrize("name", HANDLERS)
def test_a_handler_imports_nothing_heavy(name: str) -> None:
    code = f"""
import sys
from aurora_restore.handlers.{name} import handler
assert callable(handler)
heavy = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(', '.join(heavy) or None)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.returncode == 0, done.stderr


def test_the_contract_needs_no_database_connection() -> None:
    code = """
import sys
import aurora_restore.contract
sys.exit('aurora_restore.database.connection' in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(PACKAGE.parent)})


@pytest.mark.parametrize("name", ["snapshot_check", "sns_notification"])
def test_only_a_plan_loads_what_a_plans_report_needs(name: str) -> None:
    code = f"""
import sys
import aurora_restore.handlers.{name}
sys.exit('aurora_restore.plan_settings' in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(PACKAGE.parent)})


def test_no_clock_but_the_events() -> None:
    """Steps take the time from the event: replayable, and the sandbox's virtual time is everybody's."""
    forbidden = ("datetime.now", "utcnow", "time.time", "time.monotonic", "time.sleep", "date.today")
    found = [
        f"{path.name}: {word}"
        for path in PACKAGE.rglob("*.py")
        for word in forbidden
        if word in path.read_text(encoding="utf-8")
    ]
    assert found == []
