"""The emulated Amazon RDS (Aurora)."""

from sandbox.rds.service import RdsService
from sandbox.rds.timings import Timings

__all__ = ["RdsService", "Timings"]
