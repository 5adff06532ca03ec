"""Structured logs: one JSON object a line, from a fixed set of fields that never hold a record."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final

LOGGER: Final = logging.getLogger("jointcredit")
FIELDS: Final = frozenset(
    {
        "job", "party", "peer", "role", "protocol", "state", "code", "rule", "stage", "operator",
        "method", "seconds", "sent", "received", "error", "listen", "version", "count", "socket",
    }
)  # fmt: skip


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.msg if isinstance(record.msg, str) else "log",
            **fields,
        }
        return json.dumps(line, ensure_ascii=True)


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """``event`` is a fixed word; a field outside ``FIELDS`` is a bug, and fails."""
    unknown = fields.keys() - FIELDS
    if unknown:
        raise ValueError(f"log fields {sorted(unknown)} are not in the list")
    LOGGER.log(level, event, extra={"fields": fields})


def start_logging(level: str) -> None:
    """Lines go to standard error; libraries' own messages, which nobody vetted, do not."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(level.upper())
    logging.getLogger().handlers = [logging.NullHandler()]
