"""Search the access log in the words that people know: a credential's name as well as its id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lightship.core.audit import AccessEvent, AuditQuery
from lightship.core.ports import Access, Registry


def search(access: Access, registry: Registry, query: AuditQuery) -> Iterator[AccessEvent]:
    """Yield matching events, oldest first; `query.principal` as in `named`."""
    return access.search(named(registry, query))


def named(registry: Registry, query: AuditQuery) -> AuditQuery:
    """Return the query with a credential's id for its name.

    `query.principal` may be whatever a credential goes by (`uslax-splunk`, `uslax/splunk`, its id or pin), or
    what stands in events without one: `steward`, or the pin of a client that only its member's roster names.
    """
    return replace(query, principal=_principal(registry, query.principal))


def _principal(registry: Registry, text: str) -> str:
    if not text:
        return ""
    return next((one.id for one in registry.credentials() if one.goes_by(text)), text)
