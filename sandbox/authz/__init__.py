"""IAM, enforced: every call of a role is authorized as AWS authorizes it, by policies of all kinds."""

from sandbox.authz.authorizer import Authorizer
from sandbox.authz.decisions import AccessDenied, AuthorizationNotModelled, Decision
from sandbox.authz.evaluator import Evaluator, EvaluatorUnavailable

__all__ = [
    "AccessDenied",
    "AuthorizationNotModelled",
    "Authorizer",
    "Decision",
    "Evaluator",
    "EvaluatorUnavailable",
]
