"""Which files the access log consists of: one `audit-<year>.db` per UTC year of event."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

_FILE = re.compile(r"audit-(\d{4})\.db")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def audit_files(data_dir: Path) -> list[tuple[int, Path]]:
    """Return (year, file) of every access log file in `data_dir`, oldest first."""
    found = ((_FILE.fullmatch(path.name), path) for path in data_dir.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def year_of_file(path: Path) -> int:
    """Return the year of an access log file."""
    return int(path.stem[-4:])


def year_of(at: int) -> int:
    """Return the UTC year of a time in microseconds."""
    return (_EPOCH + timedelta(microseconds=at)).year
