"""AWS Step Functions for the sandbox: a JSONPath Amazon States Language interpreter on the virtual clock.

docs/design/0001-own-asl-interpreter.md says why it is ours.
"""

from __future__ import annotations

from sandbox.stepfunctions.service import StepFunctionsService

__all__ = ["StepFunctionsService"]
