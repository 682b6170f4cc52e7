"""An embedded AWS for trying and testing the module on one machine; never part of the Lambda package."""

from typing import Final

DEFAULT_MAX_SERVERS: Final = 12
"""Database servers that may run at once: each takes memory, whoever runs the sandbox."""
