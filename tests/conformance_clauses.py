"""Every MUST and SHOULD of TAXII 2.1 (OASIS Standard, 10 June 2021), by section, in our own words.

`CLAUSES` is the whole: what the tests of `tests/conformance/` are measured against. A test names the clauses
that it checks with `@clause("5.4-empty-envelope")`; an unknown key fails at import. Clauses that bind
clients only, or features that this hub does not have, stand here with the reason. Level `TEXT` marks
sentences without a key word (the informative overview, normative tables): tested too, not counted.
It never quotes the standard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

Level = Literal["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "TEXT"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One requirement.

    `why_not` is empty when a test has to cover it; `reading` says how a sentence is understood where it
    leaves room or meets another one.
    """

    key: str
    level: Level
    text: str
    why_not: str = ""
    reading: str = ""

    @property
    def section(self) -> str:
        """The section number, e.g. `3.4.1`."""
        return self.key.partition("-")[0]

    @property
    def strength(self) -> Literal["MUST", "SHOULD", "TEXT"]:
        """The level without its NOT."""
        if self.level == "TEXT":
            return "TEXT"
        return "MUST" if self.level.startswith("MUST") else "SHOULD"


SECTIONS: dict[str, str] = {
    "1.6": "Overview (informative)",
    "2": "Data types",
    "3.1": "Endpoints",
    "3.2": "HTTP headers",
    "3.3": "Sorting",
    "3.4": "Filtering",
    "3.4.1": "Supported fields for match",
    "3.5": "Pagination",
    "3.6.1": "Error message",
    "3.7": "Envelope resource",
    "3.8": "Property names",
    "3.9": "DNS SRV names",
    "4.1": "Server discovery",
    "4.1.1": "Discovery resource",
    "4.2": "Get API root information",
    "4.2.1": "API root resource",
    "4.3": "Get status",
    "4.3.1": "Status resource",
    "5.1": "Get collections",
    "5.1.1": "Collections resource",
    "5.2": "Get a collection",
    "5.2.1": "Collection resource",
    "5.3": "Get object manifests",
    "5.3.1": "Manifest resource",
    "5.4": "Get objects",
    "5.5": "Add objects",
    "5.6": "Get an object",
    "5.7": "Delete an object",
    "5.8": "Get object versions",
    "5.8.1": "Versions resource",
    "7.1.1": "Custom properties: requirements",
    "8.1.1": "TAXII 2.1 server",
    "8.1.2": "TAXII 2.1 collections server",
    "8.2.1": "Server core requirements",
    "8.2.2": "HTTPS and authentication server requirements",
    "8.3.1": "Client certificate verification (optional feature)",
    "8.4": "TAXII clients",
    "8.5": "Mandatory client features",
    "B": "Appendix B, security considerations of the media type",
}

_CLIENT = "binds the client"
_DNS = "binds whoever writes the DNS record; the hub serves no DNS"

CLAUSES: tuple[Clause, ...] = (
    # --- 1.6 ---------------------------------------------------------------------------------
    Clause("1.6-utf8-json", "TEXT", "resources are JSON in UTF-8"),
    Clause("1.6-bare-media-type", "TEXT", "the media type without a version asks for the latest version"),
    Clause("1.6-401", "TEXT", "a request without acceptable credentials gets 401, whatever its method"),
    Clause("1.6-challenge", "TEXT", "a 401 carries WWW-Authenticate with the schemes that the hub takes"),
    # --- 2 -----------------------------------------------------------------------------------
    Clause("2-boolean", "MUST", "a boolean is the JSON literal true or false"),
    Clause("2-identifier", "MUST", "an identifier is a random (version 4) UUID"),
    Clause("2-integer", "MUST", "an integer fits in 54 bits with its sign"),
    Clause("2-list-type", "MUST", "all values of a list are of the type that the list is declared with"),
    Clause("2-list-one", "MUST", "a list has at least one value"),
    Clause("2-list-not-empty", "MUST NOT", "an empty list does not stand in for a property left out"),
    Clause("2-list-required", "MUST", "a required list is there and holds at least one value"),
    Clause("2-timestamp-rfc3339", "MUST", "a timestamp is RFC 3339, date, T, time"),
    Clause("2-timestamp-micros", "MUST", "a timestamp has microseconds: six fractional digits"),
    Clause("2-timestamp-utc", "MUST", "a timestamp is in UTC"),
    Clause("2-timestamp-z", "MUST", "a timestamp says so with Z"),
    # --- 3.1 ---------------------------------------------------------------------------------
    Clause("3.1-slash", "MUST", "the path of a request ends in a slash", _CLIENT),
    Clause("3.1-body", "MUST", "a success that may have a body has the one defined for its endpoint"),
    Clause("3.1-accept", "MUST", "a request has a media range in Accept", _CLIENT),
    Clause("3.1-accept-taxii", "MUST", "one media range of a request is TAXII's", _CLIENT),
    Clause("3.1-accept-values", "MUST", "requests use the defined media types", _CLIENT),
    Clause("3.1-accept-version", "SHOULD", "requests name the version", _CLIENT),
    Clause("3.1-content-type", "MUST", "each response names the media type with its version in Content-Type"),
    Clause("3.1-highest", "SHOULD", "without a version in Accept the answer is the highest one supported"),
    Clause("3.1-no-406", "MUST NOT", "a media type defined for the endpoint never ends in 406"),
    Clause("3.1-no-415", "MUST NOT", "a Content-Type defined for the endpoint never ends in 415"),
    Clause("3.1-post-headers", "MUST", "a POST has valid Accept and Content-Type headers", _CLIENT),
    Clause("3.1-filter", "MUST", "endpoints that support filters apply section 3.4"),
    Clause("3.1-methods", "TEXT", "each URL has the methods of the normative tables"),
    # --- 3.2 ---------------------------------------------------------------------------------
    Clause("3.2-user-agent", "SHOULD", "requests name their software in User-Agent", _CLIENT),
    Clause("3.2-first-timestamp", "MUST", "X-TAXII-Date-Added-First is a timestamp"),
    Clause(
        "3.2-first",
        "MUST",
        "X-TAXII-Date-Added-First is on each success of manifest, objects, object, versions",
        reading="a page without entries has no such entry, and no such header",
    ),
    Clause("3.2-last-timestamp", "MUST", "X-TAXII-Date-Added-Last is a timestamp"),
    Clause(
        "3.2-last",
        "MUST",
        "X-TAXII-Date-Added-Last is on each success of manifest, objects, object, versions",
        reading="a page without entries has no such entry, and no such header",
    ),
    # --- 3.3 ---------------------------------------------------------------------------------
    Clause("3.3-ascending", "MUST", "objects and manifest entries come in the order they were added"),
    Clause("3.3-collections", "MUST", "collections come in the same order every time"),
    # --- 3.4 ---------------------------------------------------------------------------------
    Clause("3.4-malformed", "MUST", "a malformed query parameter is answered 400"),
    Clause("3.4-added-after-once", "MUST NOT", "added_after does not stand in a request twice"),
    Clause("3.4-added-after-one", "MUST", "added_after holds one timestamp"),
    Clause("3.4-oldest-first", "MUST", "without added_after the oldest matches come first"),
    Clause("3.4-limit-positive", "MUST", "limit is an integer above zero"),
    Clause("3.4-limit-kept", "MUST NOT", "a response never has more objects than limit"),
    Clause("3.4-limit-all", "MUST", "what fits within both limits is returned whole"),
    Clause("3.4-limit-more", "MUST", "more is true when a limit cut the response"),
    Clause("3.4-match-fields", "MUST", "each endpoint supports its list of match fields"),
    Clause("3.4-match-once", "MUST NOT", "a match field does not stand in a request twice"),
    Clause("3.4-match-or", "TEXT", "values of a field are alternatives, fields narrow each other"),
    # --- 3.4.1 -------------------------------------------------------------------------------
    Clause("3.4.1-spec-only", "MUST NOT", "match[spec_version] lets no other specification version through"),
    Clause(
        "3.4.1-spec-default", "MUST", "without it each object comes in its latest specification version only"
    ),
    Clause("3.4.1-type", "MUST NOT", "a type of STIX 2.1 in match[type] is never an error"),
    Clause(
        "3.4.1-version-default", "MUST", "without match[version] each object comes in its latest version only"
    ),
    Clause("3.4.1-version-created", "MUST", "the version of an object without modified is its created time"),
    Clause("3.4.1-version-repeat", "MUST NOT", "no value of match[version] stands in a request twice"),
    Clause("3.4.1-version-keyword-repeat", "MUST NOT", "nor does a key word of it"),
    Clause("3.4.1-version-all-alone", "MUST NOT", "all goes with no other value of match[version]"),
    Clause("3.4.1-version-value", "MUST", "a value of match[version] is a STIX timestamp"),
    Clause(
        "3.4.1-version-other-formats",
        "MUST",
        "match[version] is ignored for formats without versions",
        "collections hold STIX only",
    ),
    # --- 3.5 ---------------------------------------------------------------------------------
    Clause("3.5-more", "MUST", "more is true whenever further matches were held back"),
    # --- 3.6.1 -------------------------------------------------------------------------------
    Clause("3.6.1-title", "TEXT", "an error has a title for people"),
    Clause("3.6.1-http-status", "MUST", "http_status in an error equals the status of the response"),
    # --- 3.7 ---------------------------------------------------------------------------------
    Clause("3.7-root", "MUST", "STIX content is answered as an envelope"),
    Clause("3.7-objects", "MUST", "what stands in objects is a STIX object"),
    # --- 3.8 ---------------------------------------------------------------------------------
    Clause("3.8-names", "MUST", "property names and literals are spelled as in the standard"),
    Clause("3.8-names-json", "MUST", "a property's name is its JSON key, such as api_roots"),
    Clause("3.8-required", "MUST", "required properties are there"),
    # --- 3.9 ---------------------------------------------------------------------------------
    Clause("3.9-service", "MUST", "an SRV record names the service taxii2", _DNS),
    Clause("3.9-protocol", "MUST", "an SRV record names the protocol tcp", _DNS),
    # --- 4 -----------------------------------------------------------------------------------
    Clause("4.1-failures", "TEXT", "discovery answers 401 and 406 as its table says"),
    Clause("4.1.1-default", "MUST", "the default API root is one of api_roots"),
    Clause("4.1.1-https", "MUST", "an API root URL is absolute https, or relative"),
    Clause("4.1.1-relative", "MUST", "a relative one begins with one slash"),
    Clause("4.1.1-not-parent", "MUST NOT", "none begins with two slashes or two dots"),
    Clause("4.1.1-no-query", "MUST NOT", "none has a query"),
    Clause("4.2-unique", "MUST", "each API root has a URL of its own"),
    Clause("4.2.1-versions-media", "MUST", "versions holds media types of TAXII"),
    Clause("4.2.1-versions-parameter", "MUST", "each with its version parameter"),
    Clause("4.2.1-versions-21", "MUST", "TAXII 2.1 is among them"),
    Clause("4.2.1-max-positive", "MUST", "max_content_length is above zero"),
    Clause("4.2.1-max-kept", "MUST NOT", "a shorter body is never answered 413"),
    Clause("4.3-kept", "SHOULD", "a status can be asked for during 24 hours after the work is done"),
    Clause("4.3-client-stops", "SHOULD", "a complete status is not asked for again", _CLIENT),
    Clause("4.3-gone", "MUST", "a status id that is not available is answered 404"),
    Clause("4.3.1-status", "MUST", "status is complete or pending"),
    Clause("4.3.1-total", "MUST", "total_count is an integer of at least zero"),
    Clause("4.3.1-success", "MUST", "success_count is an integer of at least zero"),
    Clause("4.3.1-failure", "MUST", "failure_count is an integer of at least zero"),
    Clause("4.3.1-pending", "MUST", "pending_count is an integer of at least zero"),
    Clause("4.3.1-id", "MUST", "the id of an entry is the STIX id"),
    Clause("4.3.1-version-modified", "MUST", "the version of an entry is modified"),
    Clause("4.3.1-version-created", "MUST", "or created, where the object has no modified"),
    Clause("4.3.1-version-own", "SHOULD", "or else one value that the server uses everywhere"),
    # --- 5 -----------------------------------------------------------------------------------
    Clause("5.1-auth", "MUST", "failed authentication: 401 or 404"),
    Clause(
        "5.1.1-omit",
        "MUST",
        "no collections: the key is left out, the answer is an empty object",
        reading="an agreement has at least one collection, so only the rendering is tested",
    ),
    Clause("5.2-auth", "MUST", "failed authentication: 401 or 404"),
    Clause("5.2.1-alias", "MUST", "an alias is unique within its API root"),
    Clause("5.2.1-media-types", "MUST", "media_types lists all that the collection can store"),
    Clause("5.3-auth", "MUST", "failed authentication: 401 or 404"),
    Clause("5.3-auth-again", "MUST", "failed authentication: 401 or 404 (said twice in the section)"),
    Clause("5.3-can-read", "MUST", "without can_read: 403 or 404"),
    Clause("5.3-filters-objects", "TEXT", "filters look at the object that an entry stands for"),
    Clause("5.3.1-omit", "MUST", "no entries: the key is left out"),
    Clause("5.3.1-id", "MUST", "the id of an entry is the STIX id"),
    Clause("5.3.1-version-created", "MUST", "without modified the version is created"),
    Clause("5.3.1-version-own", "SHOULD", "without either it is one value that the server uses everywhere"),
    Clause("5.3.1-media-type", "MUST", "media_type is one of the collection's media_types"),
    Clause("5.4-auth", "MUST", "failed authentication: 401 or 404"),
    Clause("5.4-can-read", "MUST", "without can_read: 403 or 404"),
    Clause("5.4-empty", "MUST", "nothing found: an empty envelope"),
    Clause("5.5-auth", "MUST", "failed authentication: 401 or 404"),
    Clause("5.5-can-write", "MUST", "without can_write: 403 or 404"),
    Clause("5.5-duplicate", "MUST NOT", "an exact duplicate is no error"),
    Clause("5.5-client-polls", "SHOULD", "a pending status is asked for until complete", _CLIENT),
    Clause("5.5-client-envelope", "MUST", "STIX content is sent in an envelope", _CLIENT),
    Clause("5.5-202", "TEXT", "an accepted POST is answered 202 with a status"),
    Clause("5.5-failures", "TEXT", "400, 406, 413, 415 and 422 as the table says"),
    Clause("5.6-id", "MUST", "the id in the path is the STIX id"),
    Clause("5.6-auth", "MUST", "failed authentication: 401 or 404"),
    Clause("5.6-can-read", "MUST", "without can_read: 403 or 404"),
    Clause("5.6-empty", "MUST", "no version matches: an empty envelope"),
    Clause("5.7-id", "MUST", "the id in the path is the STIX id"),
    Clause(
        "5.7-gone",
        "MUST",
        "what was deleted is answered 404 afterwards",
        reading="one version of an object that has others: an empty envelope, as section 5.6 asks for",
    ),
    Clause("5.7-not-listed", "MUST NOT", "nor does it stand in manifest or contents any more"),
    Clause("5.7-auth", "MUST", "failed authentication: 401 or 404"),
    Clause("5.7-rights", "MUST", "no right 404, only one of both rights 403"),
    Clause("5.8-created", "MUST", "the version of an object without modified is its created time"),
    Clause("5.8-auth", "MUST", "failed authentication: 401 or 404"),
    Clause("5.8-can-read", "MUST", "without can_read: 403 or 404"),
    Clause("5.8.1-omit", "MUST", "no versions: the key is left out"),
    # --- 7 -----------------------------------------------------------------------------------
    Clause("7.1.1-ascii", "MUST", "names of custom properties are ASCII"),
    Clause("7.1.1-letters", "MUST", "of small letters, digits and underscores only"),
    Clause("7.1.1-prefix", "SHOULD", "they begin with x_ and a name of their source"),
    Clause("7.1.1-min", "MUST", "they have three characters at least"),
    Clause("7.1.1-max", "MUST", "and 250 at most"),
    Clause("7.1.1-x", "MUST", "x_ is used where future versions are to be respected"),
    Clause("7.1.1-needed", "SHOULD", "they are used only where no defined property serves"),
    # --- 8 -----------------------------------------------------------------------------------
    Clause("8.1.1-server", "MUST", "a TAXII 2.1 server is a collections server"),
    Clause("8.1.2-sections", "MUST", "sections 3, 4 and 5 are supported whole"),
    Clause("8.1.2-required", "MUST", "required properties of sections 4 and 5 are there"),
    Clause("8.1.2-features", "MUST", "the mandatory features of 8.2 are supported"),
    Clause("8.1.2-optional", "MUST", "an optional feature obeys its requirements"),
    Clause("8.2.1-taxii2", "MUST", "discovery is at /taxii2/"),
    Clause("8.2.1-root", "MUST", "that path is at the root of the server"),
    Clause("8.2.1-api-root", "MUST", "there is at least one API root"),
    Clause("8.2.1-valid", "MUST", "what the hub answers is valid TAXII"),
    Clause("8.2.1-types", "MUST", "properties have their types and obey their requirements"),
    Clause("8.2.1-user-agent", "SHOULD NOT", "a request is not refused for lack of a User-Agent"),
    Clause("8.2.2-https", "MUST", "requests are taken over HTTPS"),
    Clause("8.2.2-tls12", "MUST", "TLS 1.2 is taken"),
    Clause("8.2.2-tls13", "SHOULD", "TLS 1.3 is taken"),
    Clause("8.2.2-0rtt", "MUST NOT", "early data of TLS 1.3 is never used"),
    Clause("8.2.2-suites", "SHOULD NOT", "no TLS 1.2 suite of HTTP/2's block list is taken"),
    Clause("8.2.2-basic", "SHOULD", "HTTP Basic authentication is offered"),
    Clause("8.3.1-follow", "MUST", "client certificates follow the section's requirements"),
    Clause("8.3.1-pkix", "SHOULD", "client certificates are verified by PKIX by default"),
    Clause("8.4-collections-client", "MUST", "a TAXII client is a collections client", _CLIENT),
    Clause("8.4-user-agent", "SHOULD", "it names itself in User-Agent", _CLIENT),
    Clause("8.4-srv", "SHOULD", "it can look up the SRV record", _CLIENT),
    Clause("8.4-parse", "MUST", "it parses all properties of sections 4 and 5", _CLIENT),
    Clause("8.4-features", "MUST", "it has the mandatory client features", _CLIENT),
    Clause("8.5-features", "MUST", "the mandatory client features bind every client", _CLIENT),
    Clause("8.5-https", "MUST", "it starts with HTTPS", _CLIENT),
    Clause("8.5-tls12", "MUST", "it supports TLS 1.2", _CLIENT),
    Clause("8.5-tls13", "SHOULD", "it uses TLS 1.3 or higher", _CLIENT),
    Clause("8.5-suites", "SHOULD NOT", "it uses no TLS 1.2 suite of HTTP/2's block list", _CLIENT),
    Clause("8.5-basic", "MUST", "it implements HTTP Basic", _CLIENT),
    Clause("8.5-pkix", "SHOULD", "it verifies the server's certificate by PKIX by default", _CLIENT),
    Clause("8.5-dnssec", "SHOULD", "with DANE it implements DNSSEC", _CLIENT),
    # --- appendix B --------------------------------------------------------------------------
    Clause("B-next-untrusted", "MUST NOT", "next is not believed because the server once gave it out"),
    Clause("B-next-checked", "MUST", "next is judged anew against the query and the rights of who sends it"),
    Clause("B-errors-silent", "TEXT", "errors do not tell what exists to those who must not know"),
)

BY_KEY: dict[str, Clause] = {one.key: one for one in CLAUSES}

Test = TypeVar("Test", bound=Callable[..., object])


def clause(*keys: str) -> Callable[[Test], Test]:
    """Say which clauses a test checks; an unknown one, or one that is not applicable, fails at import."""
    for key in keys:
        if BY_KEY[key].why_not:
            raise ValueError(f"{key} is listed as not applicable: {BY_KEY[key].why_not}")

    def mark(test: Test) -> Test:
        return test

    return mark
