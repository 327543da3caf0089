"""Diagnostics go through absl's logger; programs of our own print them as lines such as "warning: ..."."""

import logging
import sys

from absl import logging as absl_logging


class _Stderr(logging.Handler):
    """Writes to whatever `sys.stderr` is at that time, as progress bars and notebooks replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one line."""
        print(f"{record.levelname.lower()}: {record.getMessage()}", file=sys.stderr)


def print_diagnostics() -> None:
    """Prints our warnings as one line each on standard error, once; for programs, not for libraries."""
    logger = absl_logging.get_absl_logger()
    if not any(isinstance(handler, _Stderr) for handler in logger.handlers):
        logger.addHandler(_Stderr())
    logger.propagate = False


def hush_orbax() -> None:
    """Drops what orbax writes to the same logger: every save, and tracebacks of what it raises as well."""
    logger = absl_logging.get_absl_logger()
    if _not_orbax not in logger.filters:
        logger.addFilter(_not_orbax)


def _not_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname
