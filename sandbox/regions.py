"""Which regions AWS has, as the SDK knows them."""

from __future__ import annotations

import difflib
import functools

import botocore.session


@functools.cache
def regions() -> frozenset[str]:
    """All regions of all partitions."""
    session = botocore.session.get_session()
    partitions = session.get_available_partitions()
    return frozenset(name for partition in partitions for name in session.get_available_regions("ec2", partition))


def require_region(region: str) -> None:
    """Refuse what is no region of AWS's; raises ValueError that names the nearest."""
    if region not in regions():
        nearest = difflib.get_close_matches(region, regions(), 1)
        raise ValueError(f"there is no region {region!r}" + (f"; is it {nearest[0]!r}?" if nearest else ""))
