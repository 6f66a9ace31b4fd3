"""TAXII resources as schemas for the OpenAPI document; no request ever passes through these models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lightship.web.message import TAXII

Stamp = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$")]
Uuid4 = Annotated[
    str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
]
Count = Annotated[int, Field(ge=0)]


class _Resource(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=False)


class Discovery(_Resource):
    """Section 4.1.1."""

    title: str
    description: str | None = None
    contact: str | None = None
    default: str | None = None
    api_roots: Annotated[list[str], Field(min_length=1)] | None = None


class ApiRoot(_Resource):
    """Section 4.2.1."""

    title: str
    description: str | None = None
    versions: Annotated[list[Literal["application/taxii+json;version=2.1"]], Field(min_length=1)] = Field(
        examples=[[TAXII]]
    )
    max_content_length: Annotated[int, Field(gt=0)]


class Collection(_Resource):
    """Section 5.2.1."""

    id: Uuid4
    title: str
    description: str | None = None
    alias: str | None = None
    can_read: bool
    can_write: bool
    media_types: Annotated[list[str], Field(min_length=1)]


class Collections(_Resource):
    """Section 5.1.1."""

    collections: Annotated[list[Collection], Field(min_length=1)] | None = None


class Envelope(_Resource):
    """Section 3.7. Clients with the profile `empty-list` get an empty list on empty pages."""

    more: bool | None = None
    next: str | None = None
    objects: list[dict[str, Any]] | None = None


class ManifestRecord(_Resource):
    """An entry of a manifest, section 5.3.1."""

    id: str
    date_added: Stamp
    version: str
    media_type: str | None = None


class Manifest(_Resource):
    """Section 5.3.1, with `next` as in the envelope."""

    more: bool | None = None
    next: str | None = None
    objects: list[ManifestRecord] | None = None


class Versions(_Resource):
    """Section 5.8.1, with `next` as in the envelope."""

    more: bool | None = None
    next: str | None = None
    versions: list[str] | None = None


class StatusDetail(_Resource):
    """An item of a post, section 4.3.1."""

    id: str
    version: str
    message: str | None = None


class Status(_Resource):
    """Section 4.3.1; always complete when it is answered."""

    id: Uuid4
    status: Literal["complete", "pending"]
    request_timestamp: Stamp
    total_count: Count
    success_count: Count
    successes: Annotated[list[StatusDetail], Field(min_length=1)] | None = None
    failure_count: Count
    failures: Annotated[list[StatusDetail], Field(min_length=1)] | None = None
    pending_count: Count
    pendings: Annotated[list[StatusDetail], Field(min_length=1)] | None = None


class Error(_Resource):
    """Section 3.6.1."""

    title: str
    description: str | None = None
    error_id: str | None = None
    error_code: str | None = None
    http_status: str | None = None
    external_details: str | None = None
    details: dict[str, str] | None = None
