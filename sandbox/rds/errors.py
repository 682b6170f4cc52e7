"""RDS's errors, by the name of their shape in botocore's model.

The code on the wire is not the shape's name (``DBInstanceNotFoundFault`` travels as ``DBInstanceNotFound``, while
``DBClusterNotFoundFault`` keeps its own): code and HTTP status are read from the model, never typed by hand.
"""

from __future__ import annotations

from functools import cache

import botocore.session
from botocore.model import ServiceModel

from sandbox.core import AwsError


@cache
def service_model() -> ServiceModel:
    """Botocore's model of RDS."""
    return botocore.session.get_session().get_service_model("rds")


def fault(shape: str, message: str) -> AwsError:
    """Return the modelled error ``shape`` with its wire code and status."""
    metadata = service_model().shape_for(shape).metadata["error"]
    return AwsError(metadata["code"], message, metadata["httpStatusCode"])


def invalid_value(message: str) -> AwsError:
    """Return RDS's (unmodelled) InvalidParameterValue."""
    return AwsError("InvalidParameterValue", message)


def invalid_combination(message: str) -> AwsError:
    """Return RDS's (unmodelled) InvalidParameterCombination."""
    return AwsError("InvalidParameterCombination", message)


def key_not_accessible(key: str) -> AwsError:
    """Return RDS's one text for a key that is missing, disabled or forbidden (AWS Backup troubleshooting)."""
    return fault(
        "KMSKeyNotAccessibleFault",
        f"The source snapshot KMS key [{key}] does not exist, is not enabled or you do not have permissions to access "
        "it.",
    )
