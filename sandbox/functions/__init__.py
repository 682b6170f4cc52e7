"""Lambda functions for the sandbox: the very zip that was uploaded, run as on AWS, under awslambdaric."""

from __future__ import annotations

from sandbox.functions.runner import FunctionRunner, Invocation

__all__ = ["FunctionRunner", "Invocation"]
