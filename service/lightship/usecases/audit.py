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

    `query.principal` may be a credential's id, its name (`uslax-splunk`), `member/name` as it was minted, or
    who acts without a credential (`steward`); what is no credential is looked for as it stands.
    """
    return replace(query, principal=_principal(registry, query.principal))


def _principal(registry: Registry, text: str) -> str:
    if not text:
        return ""
    credentials = registry.credentials()
    if any(one.id == text for one in credentials):
        return text
    name = text.replace("/", "-", 1)
    return next((one.id for one in credentials if one.name == name), text)
