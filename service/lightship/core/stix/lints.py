"""What a publisher may not have meant to share: commercial and personal data in free text.

Warnings with their place, never a refusal: a text that looks like a booking may be none. Looked at are the
texts that people write (names, descriptions, notes), not what indicators are made of: patterns, observables,
hashes and references stay out. What was found is not repeated. Searches take time in proportion to a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from lightship.core.stix.references import SCO

MAX_WARNINGS: Final = 5
"""At most so many for one object."""
MAX_TEXT: Final = 100_000
"""Characters of one text that are looked at."""

MAX_ADDRESSES: Final = 50
"""E-mail addresses of one text that are looked at."""

_TEXTS: Final = (
    *("name", "description", "abstract", "content", "explanation", "objective", "contact_information"),
)

_COMMERCIAL: Final = "commercial data must not flow here"
_PERSONAL: Final = "personal data is not needed here"

# What begins with a set of characters is searched for several times faster than a choice; so do the hints.
_DIGITS = re.compile(r"[0-9](?:[0-9]{2}|[ )-][0-9])")
"""Without this there is no number that would tell anything."""

SHORT: Final = 80
"""Characters up to which a text is first asked whether any search could find something."""
_LOUD = re.compile(
    # six signs in a row that codes are made of; digits with a space between them
    r"[A-Z0-9/@+$dryb-](?:(?<=[A-Z0-9/-])[A-Z0-9/-]{5}|(?<=[0-9]) [0-9]"
    # an address, a telephone number, a price after a currency that ends in d, r or y; words about a birth
    r"|(?<=[@+$])|(?<=[DRYdry])\s?[0-9]|(?<=[Bb])(?:[Oo][Rr][Nn]|[Ii][Rr][Tt][Hh])"
    r"|(?<=[Dd])(?:[Oo][Bb]|\.[Oo]\.[Bb]))"
)
"""Every search that finds something in an ASCII text needs one of these in it."""

# --- commercial -------------------------------------------------------------------------------------

_CONTAINER = re.compile(r"(?<![A-Za-z0-9])([A-Z]{3}[UJZ])[ -]?(\d{6})[ -]?(\d)(?![A-Za-z0-9])", re.ASCII)
_CONTAINER_HINT = re.compile(r"[UJZ][ -]?[0-9]{6}")
_NUMBER = r"(?:\s?(?:numbers?|no\.?|nr\.?|ref(?:erence)?\.?|id|#))?\s?[:#=]?\s?"
_VALUE = r"(?=[A-Z0-9/-]{0,14}\d{3})[A-Z0-9][A-Z0-9/-]{5,19}(?![A-Za-z0-9])"
_LADING = re.compile(rf"(?i:\b(?:bills? of lading|b/l|hbl|mbl|mawb|hawb)){_NUMBER}{_VALUE}", re.ASCII)
_BOOKING = re.compile(rf"(?i:\bbooking){_NUMBER}{_VALUE}", re.ASCII)
_CUSTOMER = re.compile(
    rf"(?i:\b(?:customer|shipper|consignee|purchase order|invoice|account))"
    rf"(?i:\s?(?:numbers?|no\.?|ref(?:erence)?\.?|id|account|#))\s?[:#=]?\s?{_VALUE}",
    re.ASCII,
)
_RATE = re.compile(
    r"(?i:(?:USD|US\$|EUR|JPY|CNY|SGD|[$€¥£])\s?\d[\d,.]{0,14}\s?(?:/|per|a)\s?"
    r"(?:TEU|FEU|container|box|move|lift|day|diem|load|chassis|ton(?:ne)?)\b)"
)
_TARIFF = re.compile(
    r"(?i:\b(?:freight|contract|demurrage|detention|storage|per[ -]diem|terminal handling)"
    r" (?:rates?|charges?|fees?)\b[^.;\n]{0,40}?(?:USD|US\$|EUR|[$€¥£])\s?\d)"
)

# --- personal ---------------------------------------------------------------------------------------

_HOST = re.compile(r"((?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24})(?![\w@-])", re.ASCII)
_WORDS = re.compile(r"[._+-]")
_LOCAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-")
_ROLES = frozenset(
    {
        *("abuse", "admin", "administrator", "alert", "alerts", "billing", "cert", "cirt", "compliance"),
        *("contact", "csirt", "cti", "cyber", "cybersecurity", "desk", "dispatch", "donotreply", "dpo"),
        *("duty", "feedback", "fraud", "git", "help", "helpdesk", "hello", "hostmaster", "incident"),
        *("incidents", "info", "intel", "irt", "legal", "mail", "marketing", "media", "news"),
        *("newsletter", "noc", "noreply", "office", "operations", "ops", "phishing", "postmaster"),
        *("press", "privacy", "psirt", "recruiting", "registrar", "reply", "report", "reports"),
        *("request", "root", "sales", "security", "service", "servicedesk", "soc", "spam", "support"),
        *("team", "threat", "threatintel", "threats", "user", "username", "webmaster"),
    }
)
_EXAMPLES = frozenset({"example.com", "example.org", "example.net"})
_PHONE = re.compile(
    r"(?<![\w.+/=-])(?:"
    r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]\d{2,4}){2,4}"
    r"|\(\d{3}\) ?\d{3}[ -]\d{4}"
    r"|(?:1-)?[2-9]\d\d-[2-9]\d\d-\d{4}"
    r")(?![\w-]|\.\d)",
    re.ASCII,
)
_PHONE_HINT = re.compile(r"[0-9]{3}[ -][0-9]{4}")
_SSN = re.compile(r"(?<![\w.-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-]|\.\d)", re.ASCII)
_SSN_HINT = re.compile(r"[0-9]-[0-9][0-9]-[0-9]{4}")
_BIRTH = re.compile(
    r"(?i:\b(?:born(?: on)?|d\.?o\.?b\.?|date of birth|birth ?date|birthday))\s?[:=]?\s?"
    r"(?:\d{4}-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}"
    r"|\d{1,2} [A-Z][a-z]{2,8} \d{4}|[A-Z][a-z]{2,8} \d{1,2},? \d{4})",
    re.ASCII,
)
_PAPERS = re.compile(
    r"(?i:\b(?:passport|twic|mmc|mariner credential|seaman'?s book|driver'?s? licen[cs]e|national id))"
    r"(?i:\s?(?:card|credential|numbers?|no\.?|#|id)){0,2}\s?[:#=]?\s?(?=[A-Z0-9]{0,4}\d{5})[A-Z0-9]{6,12}"
    r"(?![A-Za-z0-9])",
    re.ASCII,
)

Find = Callable[[str], int]
"""Returns where in a text something begins, -1 if it is not there."""


def warnings_for(value: Mapping[str, Any], stix_type: str) -> tuple[str, ...]:
    """Return sentences about what may be commercial or personal data, at most `MAX_WARNINGS`.

    Args:
        value: a decoded STIX object; its properties may have any form.
        stix_type: its type.
    """
    if stix_type in SCO:
        return ()
    found: list[str] = []
    for name in _TEXTS:
        text = value.get(name)
        if text and isinstance(text, str):
            _look(text, f"/{name}", found)
    references = value.get("external_references")
    if isinstance(references, list):
        for index, one in enumerate(references):
            text = one.get("description") if isinstance(one, dict) else None
            if text and isinstance(text, str):
                _look(text, f"/external_references/{index}/description", found)
    return tuple(found[:MAX_WARNINGS])


def _look(text: str, where: str, found: list[str]) -> None:
    """Add what may be in one text at a JSON pointer."""
    telling = _has_digit(text) and _DIGITS.search(text) is not None
    if not telling and "@" not in text:
        return
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
        telling = _DIGITS.search(text) is not None
    elif len(text) <= SHORT and text.isascii() and _LOUD.search(text) is None:
        return
    lowered = text.lower()
    for what, why, hints, find in _LINTS if telling else _WITHOUT_DIGITS:
        for hint in hints:
            if hint in lowered:
                break
        else:
            continue
        begin = find(text)
        if begin >= 0:
            found.append(f"It may hold {what} (at {where}, character {begin + 1}): {why}.")


def _has_digit(t: str) -> bool:
    """Several times as fast as a search for one in a text that has none."""
    low = "0" in t or "1" in t or "2" in t or "3" in t or "4" in t
    return low or "5" in t or "6" in t or "7" in t or "8" in t or "9" in t


def _matches(pattern: re.Pattern[str], hint: re.Pattern[str] | None = None) -> Find:
    """Search for a pattern, if there is a match of the quicker `hint`."""

    def find(text: str) -> int:
        if hint is not None and hint.search(text) is None:
            return -1
        match = pattern.search(text)
        return -1 if match is None else match.start()

    return find


def _container(text: str) -> int:
    if _CONTAINER_HINT.search(text) is None:
        return -1
    for match in _CONTAINER.finditer(text):
        if _check_digit(match[1] + match[2]) == int(match[3]):
            return match.start()
    return -1


def _check_digit(code: str) -> int:
    """ISO 6346: letters count 10 to 38 without multiples of 11, each place twice the one before."""
    total = 0
    for place, sign in enumerate(code):
        number = int(sign) if sign.isdigit() else _LETTERS[sign]
        total += number << place
    return total % 11 % 10


_LETTERS: Final = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (n for n in range(10, 39) if n % 11), strict=True))


def _phone(text: str) -> int:
    if "+" not in text and _PHONE_HINT.search(text) is None:
        return -1
    match = _PHONE.search(text)
    return -1 if match is None else match.start()


def _person(text: str) -> int:
    at = -1
    for _ in range(MAX_ADDRESSES):
        at = text.find("@", at + 1)
        if at < 0:
            break
        begin = at
        while begin > 0 and at - begin < 64 and text[begin - 1] in _LOCAL:
            begin -= 1
        host = _HOST.match(text, at + 1)
        # What stands behind a slash or a colon is a part of a URL.
        if begin == at or host is None or text[begin - 1 : begin] in {"/", ":", "@"}:
            continue
        if _is_persons(text[begin:at].lower(), host[1].lower()):
            return begin
    return -1


def _is_persons(name: str, host: str) -> bool:
    if host in _EXAMPLES or host.endswith((".example", ".test", ".invalid", ".local")):
        return False
    return _ROLES.isdisjoint(_WORDS.split(name))


_ANY: Final = ("",)
_MONEY: Final = ("$", "usd", "eur", "€", "jpy", "cny", "sgd", "¥", "£")
_PERSON_LINT: Final = ("a person's e-mail address", _PERSONAL, ("@",), _person)

_LINTS: Final[tuple[tuple[str, str, tuple[str, ...], Find], ...]] = (
    ("a container number", _COMMERCIAL, _ANY, _container),
    ("a bill of lading", _COMMERCIAL, ("lading", "b/l", "hbl", "mbl", "awb"), _matches(_LADING)),
    ("a booking", _COMMERCIAL, ("booking",), _matches(_BOOKING)),
    (
        "a customer's reference",
        _COMMERCIAL,
        ("customer", "shipper", "consignee", "purchase order", "invoice", "account"),
        _matches(_CUSTOMER),
    ),
    ("a rate", _COMMERCIAL, _MONEY, _matches(_RATE)),
    ("a rate", _COMMERCIAL, ("rate", "charge", "fee"), _matches(_TARIFF)),
    _PERSON_LINT,
    ("a telephone number", _PERSONAL, _ANY, _phone),
    ("a social security number", _PERSONAL, _ANY, _matches(_SSN, _SSN_HINT)),
    ("a date of birth", _PERSONAL, ("born", "birth", "dob", "d.o.b"), _matches(_BIRTH)),
    (
        "the number of a passport, TWIC or other identity paper",
        _PERSONAL,
        ("passport", "twic", "mmc", "mariner", "seaman", "licen", "national id"),
        _matches(_PAPERS),
    ),
)
"""What it is, why it should not be there, words of which one has to be in the text, how it is found."""

_WITHOUT_DIGITS: Final = (_PERSON_LINT,)
