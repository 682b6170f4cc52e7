"""Rules that hold for many operations: names, paging, filters, tags, passwords."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sandbox.core import AwsError, NotEmulated
from sandbox.rds.errors import invalid_combination, invalid_value, service_model

_IDENTIFIER = re.compile(r"[a-z](?:-?[a-z0-9])*")
_UNPRINTABLE_IN_PASSWORD = re.compile(r"[^\x21-\x7e]|[/\"@]")


def check_required(operation: str, params: Mapping[str, Any]) -> None:
    """Refuse a request without its required members."""
    shape = service_model().operation_model(operation).input_shape
    for member in shape.required_members if shape is not None else ():
        if params.get(member) in (None, ""):
            raise AwsError("MissingParameter", f"The request must contain the parameter {member}")


def only(params: Mapping[str, Any], operation: str, understood: Iterable[str]) -> None:
    """Refuse what the sandbox would have to ignore."""
    strange = sorted({name for name, value in params.items() if value is not None} - set(understood))
    if strange:
        raise NotEmulated(f"rds:{operation} with {', '.join(strange)}")


def identifier(value: str, member: str, longest: int = 63) -> str:
    """Return the identifier in lower case, as RDS stores it; refuse what breaks its rules."""
    lowered = value.lower()
    if len(lowered) > longest or not _IDENTIFIER.fullmatch(lowered):
        raise invalid_value(
            f"The parameter {member} is not a valid identifier. Identifiers must begin with a letter; must contain "
            "only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive "
            "hyphens."
        )
    return lowered


def tags(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the request's tags."""
    return tag_map(params.get("Tags"))


def tag_map(tag_list: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Turn a list of tags into a mapping, as RDS accepts it: 50 at most, no ``aws:`` names."""
    result = {tag["Key"]: tag.get("Value") or "" for tag in tag_list or ()}
    if any(key.lower().startswith("aws:") for key in result):
        raise invalid_value("Tag keys beginning with aws: are reserved for system use.")
    if len(result) > 50:
        raise invalid_value("The resource has more than 50 tags.")
    return result


def check_password(engine: str, password: str) -> None:
    """Apply the rules of BC:ModifyDBCluster.MasterUserPassword and the limits page."""
    if not 8 <= len(password) <= (41 if engine == "aurora-mysql" else 128):
        raise invalid_value(
            "The parameter MasterUserPassword is not a valid password because it is shorter than 8 or too long."
        )
    if _UNPRINTABLE_IN_PASSWORD.search(password):
        raise invalid_value(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', "
            "'@', '\"', ' ' may be used."
        )


def check_filters(params: Mapping[str, Any], known: Mapping[str, Callable[[Any], Any]]) -> None:
    """Refuse a filter that the operation does not have."""
    for item in params.get("Filters") or ():
        if item["Name"] not in known:
            raise invalid_value(f"Unrecognized filter name: {item['Name']}")
        if not item.get("Values"):
            raise invalid_combination(f"Filter {item['Name']} has no values.")


def filtered(items: Iterable[Any], params: Mapping[str, Any], known: Mapping[str, Callable[[Any], Any]]) -> list[Any]:
    """Keep what passes all filters; a filter passes when one of its values is (one of) the item's."""
    check_filters(params, known)
    result = list(items)
    for item in params.get("Filters") or ():
        read, values = known[item["Name"]], set(item["Values"])
        result = [one for one in result if values & _as_set(read(one))]
    return result


def _as_set(value: Any) -> set[Any]:
    return set(value) if isinstance(value, tuple | list | set) else {value}


def page(items: Sequence[Mapping[str, Any]], member: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return one page: MaxRecords 20 to 100 (default 100), the marker opaque."""
    size = params.get("MaxRecords") or 100
    if not 20 <= size <= 100:
        raise invalid_value(f"Invalid value {size} for MaxRecords. Must be between 20 and 100")
    begin = 0
    if marker := params.get("Marker"):
        try:
            begin = int(base64.b64decode(marker, validate=True))
        except (ValueError, binascii.Error):
            raise invalid_value("The parameter Marker is invalid.") from None
    answer: dict[str, Any] = {member: list(items[begin : begin + size])}
    if begin + size < len(items):
        answer["Marker"] = base64.b64encode(str(begin + size).encode()).decode()
    return answer
