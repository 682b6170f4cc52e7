"""Aurora Restore Pipeline: restores an Aurora cluster from a snapshot, one Lambda function per workflow step."""

from typing import Final

__version__: Final = "0.1.0"
