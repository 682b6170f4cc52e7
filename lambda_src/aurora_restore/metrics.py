"""Metrics in CloudWatch's embedded format, namespace AuroraRestore; dimensions are few and bounded.

``AuroraRestoreDuration`` (seconds) by Deployment and Outcome for whole operations, and by Deployment and Phase for the
phases that are waited for; ``AuroraRestoreSuccess`` by Deployment; ``AuroraRestoreErrors`` by Deployment and Code.
"""

from __future__ import annotations

import warnings
from datetime import datetime
from typing import Final

from aws_lambda_powertools.metrics import EphemeralMetrics

NAMESPACE: Final = "AuroraRestore"


def phase_ready(deployment: str, phase: str, seconds: float, at: datetime) -> None:
    """A phase that was waited for is ready."""
    _emit("AuroraRestoreDuration", "Seconds", seconds, at, Deployment=deployment, Phase=phase)


def succeeded(deployment: str, seconds: float, at: datetime) -> None:
    """An operation succeeded."""
    _emit("AuroraRestoreDuration", "Seconds", seconds, at, Deployment=deployment, Outcome="SUCCEEDED")
    _emit("AuroraRestoreSuccess", "Count", 1, at, Deployment=deployment)


def failed(deployment: str, code: str, seconds: float, at: datetime) -> None:
    """An operation failed."""
    _emit("AuroraRestoreDuration", "Seconds", seconds, at, Deployment=deployment, Outcome="FAILED")
    _emit("AuroraRestoreErrors", "Count", 1, at, Deployment=deployment, Code=code)


def _emit(name: str, unit: str, value: float, at: datetime, **dimensions: str) -> None:
    # An empty service keeps Powertools from adding the function's name as a dimension of its own.
    metrics = EphemeralMetrics(namespace=NAMESPACE, service="")
    for key, text in dimensions.items():
        metrics.add_dimension(name=key, value=text)
    metrics.add_metric(name=name, unit=unit, value=value)
    with warnings.catch_warnings():
        # Powertools compares with the system clock; the workflow's clock is the one that counts.
        warnings.simplefilter("ignore")
        metrics.set_timestamp(at)
        metrics.flush_metrics()
