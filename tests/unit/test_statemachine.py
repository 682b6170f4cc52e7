"""The workflow's definition keeps the rules of the road."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from aurora_restore import errors
from tests.unit.core_support import refused

STATES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "statemachine.asl.json").read_text()
)["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
COPY_STATES: dict[str, dict[str, Any]] = STATES["CopySnapshots"]["ItemProcessor"]["States"]
COPY_TASKS = {name: state for name, state in COPY_STATES.items() if state["Type"] == "Task"}
FAILURE_ROAD = {"Compensate", "DecideCompensation", "WaitForCompensation", "NotifyFailure", "RestoreFailed"}


def next_states(state: dict[str, Any]) -> set[str]:
    choices = [choice["Next"] for choice in state.get("Choices", [])]
    catches = [catch["Next"] for catch in state.get("Catch", [])]
    return {name for name in (state.get("Next"), state.get("Default"), *choices, *catches) if name}


def reachable(start: str, states: dict[str, dict[str, Any]] = STATES) -> set[str]:
    seen, todo = set(), [start]
    while todo:
        if (name := todo.pop()) not in seen:
            seen.add(name)
            todo += next_states(states[name])
    return seen


@pytest.mark.parametrize("name", [*TASKS, *COPY_TASKS])
def test_every_task_has_a_timeout_and_a_bounded_retry(name: str) -> None:
    task = {**TASKS, **COPY_TASKS}[name]
    # Who waits for a lane says itself how long.
    assert "TimeoutSecondsPath" in task if name == "WaitForLane" else 0 < task["TimeoutSeconds"] <= 900
    for retry in task["Retry"]:
        assert "States.ALL" not in retry["ErrorEquals"]
        assert "States.TaskFailed" not in retry["ErrorEquals"]
        assert 0 < retry["MaxAttempts"] <= 10
        if retry["MaxAttempts"] > 1:
            assert retry["MaxDelaySeconds"] <= 300
            # Jitter spreads what many operations meet at once, and may make the waits next to nothing.
            patient = (KEY_ERRORS | {"CapacityInsufficient"}) & set(retry["ErrorEquals"])
            assert retry.get("JitterStrategy") == (None if patient else "FULL")


KEY_ERRORS = {"CopyKeyInaccessible", "EncryptionKeyInaccessible"}
RDS_CALLS = {
    "RestoreCluster": ("RestoreDBClusterFromSnapshot", "RestoreDBClusterToPointInTime"),
    "ConfigureCluster": ("ModifyDBCluster",),
    "CreateWriter": ("CreateDBInstance", "RebootDBInstance"),
    "UpgradeEngine": ("ModifyDBCluster",),
    "RebootWriter": ("RebootDBInstance",),
    "CreateReaders": ("CreateDBInstance", "RebootDBInstance"),
    "CompleteCluster": ("AddRoleToDBCluster", "EnableHttpEndpoint", "CreateDBClusterEndpoint"),
    "StartCopy": ("CopyDBClusterSnapshot",),
}
"""The calls by which a step changes RDS."""


@pytest.mark.parametrize("name", RDS_CALLS)
def test_what_rds_may_answer_for_a_while_is_tried_again(name: str) -> None:
    """By the errors that botocore's model names for the calls: a refusal for a while must not cost a restore."""
    model = boto3.client("rds", region_name="eu-west-1").meta.service_model
    codes = {
        shape.metadata["error"]["code"]
        for call in RDS_CALLS[name]
        for shape in model.operation_model(call).error_shapes
        if "error" in shape.metadata
    }
    answers = [(code, errors.translate(refused(code, operation=call))) for call in RDS_CALLS[name] for code in codes]
    retried = {error for retry in {**TASKS, **COPY_TASKS}[name]["Retry"] for error in retry["ErrorEquals"]}
    assert {type(ours).__name__ for _, ours in answers if ours.retryable} <= retried


def test_a_passing_shortage_of_capacity_is_outlasted() -> None:
    for name in ("RestoreCluster", "CreateWriter", "CreateReaders"):
        [retry] = [retry for retry in TASKS[name]["Retry"] if "CapacityInsufficient" in retry["ErrorEquals"]]
        assert 1200 <= sum(waits_of(retry)) <= 1800


def waits_of(retry: dict[str, Any]) -> list[float]:
    return [
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** n, retry["MaxDelaySeconds"])
        for n in range(retry["MaxAttempts"])
    ]


def test_the_retries_of_a_key_outlast_a_new_grant() -> None:
    """Grants take "usually less than five minutes" to arrive (aws-facts 2.4)."""
    retries = [
        retry
        for task in [*TASKS.values(), *COPY_TASKS.values()]
        for retry in task["Retry"]
        if KEY_ERRORS & set(retry["ErrorEquals"])
    ]
    assert retries
    for retry in retries:
        assert 300 <= sum(waits_of(retry)) <= 600


@pytest.mark.parametrize("name", [*TASKS, "CopySnapshots"])
def test_every_error_is_caught_and_keeps_the_input(name: str) -> None:
    catches = STATES[name]["Catch"]
    assert catches[-1]["ErrorEquals"] == ["States.ALL"]
    assert all(catch["ResultPath"].startswith("$.") for catch in catches)


def test_an_error_of_a_copy_is_the_maps() -> None:
    """Only the wait for a lane has an end of its own: then it is asked for again."""
    assert {name: state["Catch"] for name, state in COPY_STATES.items() if "Catch" in state} == {
        "WaitForLane": [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.lane", "Next": "StartCopy"}]
    }
    assert STATES["CopySnapshots"]["Catch"][0]["ErrorEquals"] == ["DirectCopyRefused"]
    assert STATES["CopySnapshots"]["MaxConcurrency"] == 1
    assert reachable("StartCopy", COPY_STATES) == set(COPY_STATES)


def test_what_is_caught_says_which_step_ended_with_it() -> None:
    caught = {
        name: catch["ResultPath"]
        for name, state in STATES.items()
        for catch in state.get("Catch", ())
        if catch["Next"] == "Compensate"
    }
    assert caught == {name: f"$.errors.{name}" for name in caught}
    # Nothing else is put there: what ended the main road is the only entry.
    assert sum("$.errors" in json.dumps(state.get("Catch", ())) for state in STATES.values()) == len(caught)


def test_a_restore_that_succeeded_puts_out_its_outcome_and_nothing_else() -> None:
    assert STATES["RestoreSucceeded"] == {"Type": "Succeed"}
    before = {name for name, state in STATES.items() if "RestoreSucceeded" in next_states(state)}
    assert before == {"NotifySuccess", "SucceedUnreported"}
    # The whole state beside the outcome might pass Step Functions' limit, which no Catch of States.ALL catches.
    assert "ResultPath" not in STATES["NotifySuccess"]
    assert STATES["NotifySuccess"]["OutputPath"] == "$.outcome"
    assert "request" not in json.dumps(STATES["SucceedUnreported"]["Parameters"])


def test_a_plan_ends_before_anything_is_created() -> None:
    assert reachable("ReportPlan") == {"ReportPlan", "PlanReported"}
    assert STATES["SnapshotCheck"]["Next"] == "PlanOnly?"
    assert {choice["Next"] for choice in STATES["PlanOnly?"]["Choices"]} == {"ReportPlan"}


def test_the_first_state_wraps_whatever_came_in() -> None:
    wrap = STATES["WrapRequest"]
    assert wrap["Type"] == "Pass"
    assert wrap["Parameters"]["request.$"] == "$"


def test_what_follows_verification_never_leads_to_compensation() -> None:
    assert not reachable(STATES["VerifyRestore"]["Next"]) & FAILURE_ROAD


def test_any_error_before_leads_to_compensation_then_notification_then_fail() -> None:
    before = set(TASKS) - reachable("Cleanup") - FAILURE_ROAD
    assert all(TASKS[name]["Catch"][-1]["Next"] == "Compensate" for name in before)
    ends = {name for name in reachable("Compensate") if STATES[name]["Type"] in {"Succeed", "Fail"}}
    assert {STATES[name]["Type"] for name in ends} == {"Fail"}


def test_a_refused_duplicate_touches_nothing() -> None:
    assert TASKS["SnapshotCheck"]["Catch"][0] == {
        "ErrorEquals": ["DuplicateOperation"],
        "ResultPath": "$.error",
        "Next": "RefuseOperation",
    }
    assert reachable("RefuseOperation") == {"RefuseOperation", "OperationRefused"}
    assert not {"RefuseOperation", "OperationRefused"} & TASKS.keys()
    assert STATES["OperationRefused"]["Error"] == errors.DuplicateOperation.code
