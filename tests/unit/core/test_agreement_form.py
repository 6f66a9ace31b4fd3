"""The form of an agreement: each mistake is named with its line, and all of a file at once."""

from __future__ import annotations

import json

import pytest

from governance_samples import KEY, TEXT, text_for
from lightship.core.agreement import BadAgreement, fields, lines, parse_toml
from lightship.core.agreement.form import notes
from lightship.core.countries import COUNTRIES
from lightship.core.errors import BadFile
from lightship.core.ids import RESERVED_SLUGS
from lightship.data import extension_schemas

GOOD = text_for()


def put(old: str, new: str) -> str:
    """The sample with one change."""
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def line(text: str, needle: str) -> int:
    return next(number for number, one in enumerate(text.splitlines(), 1) if needle in one)


def problems(text: str) -> tuple[BadFile, ...]:
    with pytest.raises(BadAgreement) as caught:
        parse_toml(text, "agreement.toml")
    return caught.value.problems


def test_the_sample_is_good_and_nothing_is_filled_in() -> None:
    payload = parse_toml(GOOD, "agreement.toml")
    assert payload["not_after"] == "2027-12-31"
    assert payload["authority"] == {"threshold": 1, "keys": {"hub": KEY}}
    assert set(payload["collections"]["indicators"]) == {"id", "title", "ceiling"}
    assert "country" not in payload["members"]["uslax"]


CEILING = 'ceiling = "amber+strict"'
MEMBER = "[members.uslax]\n"
IDENTITY = "identity--11111111-1111-4111-8111-111111111111"
OBJECT = "indicator--11111111-1111-4111-8111-111111111111"

TABLE = [
    # (what is put in place of what, a word on the line that is named, words of the complaint)
    ("unknown key", CEILING, CEILING + "\npublisher = []", "publisher = []", "Did you mean `publishers`"),
    ("unknown key at the top", "parties =", "partys =", "partys", "not a known key"),
    ("unknown table", "[audit]", "[audits]", "[audits]", "Did you mean `audit`"),
    ("unknown key of authority", "threshold = 1", "threshold = 1\nquorum = 1", "quorum", "not a known key"),
    ("unknown key of audit", "auditors =", "auditor =", "auditor =", "Did you mean `auditors`"),
    ("unknown key of a member", 'group = "port', 'grop = "port', "grop", "Did you mean `group`"),
    ("wrong type, text", 'title = "Indicators"', "title = 7", "title = 7", "must be a text"),
    ("wrong type, list", 'publishers = ["uslgb"]', 'publishers = "uslgb"', "publishers", "list of member"),
    ("wrong type, table", "[members.jptyo]\n", "[members]\njptyo = 5\n[members.x]\n", "jptyo = 5", "must be a table"),
    ("a float", CEILING, CEILING + "\nmax_objects = 1.5", "max_objects", "whole"),
    ("a number too large for JSON", CEILING, CEILING + f"\nmax_bytes = {2**60}", "max_bytes", "2^53"),
    ("true for a number", "threshold = 1", "threshold = true", "threshold", "whole number from 1 to 32"),
    ("empty title", 'title = "Indicators"', 'title = " "', 'title = " "', "1 to 200 characters"),
    ("long title", 'title = "Indicators"', f'title = "{"x" * 201}"', "xxx", "1 to 200 characters"),
    ("control characters", 'title = "Indicators"', 'title = "a\\u0007"', "u0007", "control characters"),
    ("title with a dot", 'title = "Indicators"', 'title = "In.dicators"', "In.dic", "must not hold a dot"),
    ("duplicate title", 'title = "Indicators"', 'title = "INCIDENTS"', "INCIDENTS", "same title"),
    ("bad LOCODE", '"USLAX"', '"USL1X"', "USL1X", "UN/LOCODE"),
    ("lower-case LOCODE", '"USLAX"', '"uslax"', 'unlocode = "uslax"', "UN/LOCODE"),
    ("a country that is none", 'unlocode = "USLAX"', 'unlocode = "USLAX"\ncountry = "UK"', "country", "ISO 3166 has no such"),
    ("bad country", 'unlocode = "USLAX"', 'unlocode = "USLAX"\ncountry = "usa"', "country", "ISO 3166"),
    ("bad group", '"port-authority"', '"port"', '"port"', "must be one of"),
    ("bad role", '["publisher", "consumer"]', '["reader"]', "reader", "list of roles"),
    ("no role", '["publisher", "consumer"]', "[]", "roles = []", "at least 1"),
    ("a role twice", '["publisher", "consumer"]', '["auditor", "auditor"]', '"auditor", "', "twice"),
    ("bad identity", IDENTITY, "indicator--11111111-1111-4111-8111-111111111111", "indicator--", "identity--"),
    ("no identity", f'identities = ["{IDENTITY}"]', "", "[members.uslax]", "`identities` of member `uslax` is"),
    ("an identity of two", IDENTITY, IDENTITY.replace("1", "2"), "identities", "also one of"),
    ("bad admin key", MEMBER, MEMBER + 'admin_key = "x"\n', "admin_key", "public key"),
    ("no collection id", 'id = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa2"', "", "[collections.ind", "is missing"),
    ("id is no UUIDv4", "4aaa-8aaa-aaaaaaaaaaa2", "1aaa-8aaa-aaaaaaaaaaa2", "aaa2", "UUIDv4"),
    ("an id twice", "4aaa-8aaa-aaaaaaaaaaa2", "4aaa-8aaa-aaaaaaaaaaa1", "aaaaaaaaaaa1", "same id"),
    ("bad ceiling", CEILING, 'ceiling = "purple"', "purple", "must be one of clear, green"),
    ("no ceiling", CEILING, "", "[collections.indicators]", "`ceiling` of collection `indicators` is missing"),
    ("unknown member in audience", '["uslax"]\n\n[coll', '["uslax", "x"]\n\n[coll', '"x"', "not a member"),
    ("unknown publisher", '["uslgb"]', '["nobody"]', "nobody", "`nobody`, which is not a member"),
    ("empty audience", 'audience = ["uslax"]', "audience = []", "audience = []", "at least 1"),
    ("unknown party", '["uslax", "uslgb"]', '["uslax", "sgsin"]', "sgsin", "not a member"),
    ("unknown auditor", 'auditors = ["uslax"]', 'auditors = ["x"]', "auditors", "not a member"),
    ("auditor reads content", 'audience = ["uslax"]', 'audience = ["uslax", "jptyo"]', "jptyo", "auditor only"),
    ("bad date", "2027-12-31", '"2027-02-30"', "not_after", "must be a date"),
    ("time without offset", "2027-12-31", "2027-12-31T10:00:00", "not_after", "offset"),
    ("a time of day", "2027-12-31", "10:00:00", "not_after", "cannot be used"),
    ("ends before it begins", "2027-12-31", "2019-12-31", "not_after", "ends before it begins"),
    ("reserved id", '"la-lb-mou"', '"taxii2"', "taxii2", "reserved"),
    ("bad id", '"la-lb-mou"', '"LA LB"', "LA LB", "lower-case letters"),
    ("reserved member", "[members.jptyo]", "[members.hub]", "[members.hub]", "cannot name a member"),
    ("bad member name", "[members.jptyo]", "[members.JP]", "[members.JP]", "cannot name a member"),
    ("collection like an id", "[collections.warnings]", "[collections.aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa9]",
     "[collections.aaaaaaaa", "looks like an id"),
    ("no authority", "[authority]\nthreshold = 1\nkeys.hub", "[audit2]\nkeys.hub", "", "who signs it"),
    ("no key", f'keys.hub = "{KEY}"', "", "[authority]", "names no key"),
    ("bad key", KEY, "ed25519:AAAA", "keys.hub", "public key"),
    ("no threshold", "threshold = 1\n", "", "[authority]", "`threshold` of `authority` is missing"),
    ("threshold nobody reaches", "threshold = 1", "threshold = 2", "threshold", "only 1 key"),
    ("key of nobody", "keys.hub", "keys.sgsin", "keys.sgsin", "neither `hub` nor a member"),
    ("hub's key missing", "keys.hub", "keys.uslax", "keys.uslax", "hub's key is missing"),
    ("one key for two", f'keys.hub = "{KEY}"', f'keys.hub = "{KEY}"\nkeys.uslax = "{KEY}"', "keys.hub", "two"),
    ("audit kept too short", "= 1095", "= 700", "retention_days", "730"),
    ("quorum without witnesses", "parties =", "quorum = 1\nparties =", "quorum", "cannot be reached"),
    ("bad tokens", CEILING, CEILING + '\ntokens = "all"', "tokens", "steward, member"),
    ("bad unmarked", CEILING, CEILING + '\nunmarked = "no"', "unmarked", "refuse, clear"),
    ("unmarked above the ceiling", CEILING, CEILING + '\nunmarked = "red"', "unmarked", "above its ceiling"),
    ("bad authors", CEILING, CEILING + '\nauthors = "me"', "authors", "not-others, own, any"),
    ("bad author list", CEILING, CEILING + '\nauthors = ["me"]', "authors", "identity ids"),
    ("bad validation", CEILING, CEILING + '\nvalidation = "none"', "validation", "strict, lenient"),
    ("bad custom_objects", CEILING, CEILING + '\ncustom_objects = "no"', "custom", "true or false"),
    ("bad max_future", CEILING, CEILING + '\nmax_future = "soon"', "max_future", "10 minutes"),
    ("max_future too far", CEILING, CEILING + '\nmax_future = "31 days"', "max_future", "30 days"),
    ("max_objects 0", CEILING, CEILING + "\nmax_objects = 0", "max_objects", "from 1 to"),
    ("max_bytes negative", CEILING, CEILING + "\nmax_bytes = -1", "max_bytes", "from 1 to"),
    ("retention too long", CEILING, CEILING + "\nretention_days = 99999", "retention_days", "36500"),
    ("bad red", CEILING, CEILING + '\nred = "all"', "red", "named, audience"),
    ("RED to an audience by role", '\naudience = ["uslax"]', "", "red =", "does not say whom TLP:RED is for"),
    ("RED to all", 'audience = ["uslax"]', 'audience = "all"', "red =", "listed by name"),
    ("too many members", '["uslgb"]', str([f"m{n}" for n in range(1001)]), "m999", "at most 1000 are taken"),
    ("bad ssi", CEILING, CEILING + '\nssi = "allow"', "ssi", "refuse, named"),
    ("nothing to withdraw", CEILING, CEILING + "\nwithdraw = []", "withdraw", "at least 1"),
    ("withdraw no list", CEILING, CEILING + f'\nwithdraw = "{OBJECT}"', "withdraw", "list of object ids"),
    ("withdraw no id", CEILING, CEILING + '\nwithdraw = ["indicator"]', "withdraw", "<type>--<uuid>"),
    ("withdraw twice", CEILING, CEILING + f'\nwithdraw = ["{OBJECT}", "{OBJECT}"]', "withdraw", "twice"),
    ("the digest of the rules", "parties =", 'rules = "00"\nparties =', "rules", "not a known key"),
]  # fmt: skip
# ruff: noqa: E501  # a table reads best with one row a line


@pytest.mark.parametrize(
    ("old", "new", "where", "words"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, where: str, words: str) -> None:
    text = put(old, new)
    found = problems(text)
    assert any(words in str(one) for one in found), [str(one) for one in found]
    named = next(one for one in found if words in str(one))
    assert named.path == "agreement.toml"
    lines_with = [n for n, one in enumerate(text.splitlines(), 1) if where and where in one]
    assert not where or named.line in lines_with, (named.line, lines_with, str(named))
    assert named.title


@pytest.mark.parametrize("slug", sorted(RESERVED_SLUGS))
def test_no_agreement_takes_a_path_of_the_hub(slug: str) -> None:
    assert "reserved" in str(problems(put('"la-lb-mou"', f'"{slug}"'))[0])


@pytest.mark.parametrize("what", ["members", "collections"])
def test_an_agreement_without_members_or_collections(what: str) -> None:
    head = GOOD.split("[members.uslax]")[0]
    assert any(f"no {what}" in str(one) for one in problems(head))


def test_a_threshold_above_one_is_refused_in_plain_words() -> None:
    other = KEY[:-3] + "Y8="
    text = put("threshold = 1", "threshold = 2").replace("keys.hub", f'keys.uslax = "{other}"\nkeys.hub')
    found = problems(text)
    assert [one.title for one in found] == ["A threshold above 1 cannot be applied yet"]
    assert "several parties" in str(found[0])


def test_every_mistake_of_a_file_is_reported_in_the_order_of_its_lines() -> None:
    text = put('"USLAX"', '"USL1X"').replace('"Port of Long Beach"', "7").replace('"green"', '"grün"')
    found = problems(text + "colour = 1\n")
    assert [one.line for one in found] == [
        line(text, "USL1X"),
        line(text, "name = 7"),
        line(text, "grün"),
        len(text.splitlines()) + 1,
    ]
    with pytest.raises(BadAgreement) as caught:
        parse_toml(text, "a.toml")
    assert len(str(caught.value).splitlines()) == 3
    assert isinstance(caught.value, BadFile)
    assert caught.value.line == found[0].line


@pytest.mark.parametrize(
    "text", ['id = "a', "id = ", "[a\n", 'id = "a"\nid = "b"\n', "a = 1\n[a]\n", "\x00", "a = 2027-13-01"]
)
def test_a_file_that_is_not_toml_names_the_line(text: str) -> None:
    with pytest.raises(BadFile) as caught:
        parse_toml(text, "a.toml")
    assert caught.value.line >= 1
    assert "TOML" in caught.value.title


def test_a_file_that_is_too_large_is_not_read() -> None:
    with pytest.raises(BadFile, match="too large"):
        parse_toml("#" * (1024 * 1024 + 1), "a.toml")


def test_keys_are_never_repeated_in_a_complaint() -> None:
    secret = "MC4CAQAwBQYDK2VwBCIEIJ-not-to-be-shown"
    assert secret not in "".join(map(str, problems(put(KEY, secret))))


def test_lines_are_found_in_every_way_to_write_a_key() -> None:
    text = "\n".join(
        [
            "# [members.comment]",
            'purpose = """',
            "[members.text]",
            "name = 1",
            '"""',
            "parties = [",
            '  "a", # ]',
            "  'b = [',",
            "]",
            "audit = { retention_days = 1, auditors = [] }",
            "authority.keys.hub = 1",
            '[members."us lax"]',
            "  name = '''",
            "x = 1'''",
            "  'roles' = []",
            "[[list]]",
            "y = 1",
            "z = [",
            "  [a],",
            "]",
            "w = 1",
        ]
    )
    found = lines.index(text)
    for path, where in (
        (("purpose",), 2),
        (("parties",), 6),
        (("audit",), 10),
        (("audit", "auditors"), 10),
        (("authority", "keys", "hub"), 11),
        (("members", "us lax"), 12),
        (("members", "us lax", "name"), 13),
        (("members", "us lax", "roles"), 15),
        (("list", "y"), 17),
        (("list", "w"), 21),
        (("unknown",), 0),
    ):
        assert lines.line_of(found, path) == where, path
    assert ("members", "text") not in found
    assert ("members", "comment") not in found


def test_what_is_signed_but_not_acted_on_yet_is_said() -> None:
    def said(text: str) -> set[str]:
        return {".".join(one.path) for one in notes(parse_toml(text, "a.toml"))}

    quiet = put("retention_days = 1095\n", "")
    assert said(quiet) == set()
    assert said(GOOD) == {"audit.retention_days"}
    text = (
        quiet.replace(CEILING, CEILING + '\nretention_days = 7\nmax_age_s = 60\ntokens = "member"')
        .replace(MEMBER, f'{MEMBER}admin_key = "{KEY}"\n')
        .replace("parties =", 'witnesses = ["w"]\nquorum = 1\nparties =')
    )
    assert said(text) == {
        "witnesses",
        "quorum",
        "members.uslax.admin_key",
        *(f"collections.indicators.{key}" for key in ("max_age_s", "tokens")),
    }
    assert said(quiet.replace(CEILING, CEILING + '\ntokens = "steward"')) == set()


def test_a_collection_that_takes_red_for_named_recipients_only_is_said() -> None:
    (note,) = [
        one for one in notes(parse_toml(put('\nred = "audience"', ""), "a.toml")) if "ceiling" in one.path
    ]
    assert note.path == ("collections", "incidents", "ceiling")
    assert "name its recipients" in note.text


@pytest.mark.parametrize("value", ["5", "[1]", "{}", '"x"'])
@pytest.mark.parametrize("what", ["members", "collections", "authority", "authority.keys"])
def test_a_table_that_is_none_is_named(what: str, value: str) -> None:
    head = 'id = "a"\ntitle = "t"\n'
    assert any(what.rpartition(".")[2] in str(one) for one in problems(f"{head}{what} = {value}\n"))


def test_a_text_may_have_several_lines() -> None:
    text = put('"Two ports."', '"""Two\nports."""')
    assert parse_toml(text, "a.toml")["purpose"] == "Two\nports."


@pytest.mark.parametrize(
    "bad", ["identity--1", "identity--", "Identity--11111111-1111-4111-8111-111111111111"]
)
def test_an_identity_is_a_whole_id(bad: str) -> None:
    assert any("identity--<uuid>" in str(one) for one in problems(put(IDENTITY, bad)))


@pytest.mark.parametrize("check", [fields.slug, fields.uuid4, fields.locode, fields.country, fields.public_key,
                                   fields.stix_identity, fields.level, fields.title, fields.moment, fields.span])  # fmt: skip
@pytest.mark.parametrize("value", [None, 7, True, [], {}, ["a"], {"a": 1}])
def test_values_of_another_kind_are_named_and_never_crash(check: fields.Check, value: object) -> None:
    assert check(value)


def test_days_are_whole_days_in_utc() -> None:
    day = 86_400 * 1_000_000
    assert fields.read_moment("1970-01-02", end=False) == day
    assert fields.read_moment("1970-01-02", end=True) == 2 * day
    assert fields.read_moment("1970-01-02T00:00:01Z", end=True) == day + 1_000_000
    for bad in ("19700102", "1970-1-2", "1970-W01-1", "9999-12-31x", 7, None, "1970-01-02T00:00:01"):
        assert fields.read_moment(bad, end=False) is None
    assert fields.read_moment("9999-12-31", end=True) is None


def test_times_with_an_offset_are_signed_in_utc() -> None:
    text = put("not_after = 2027-12-31", "not_after = 2027-12-31T10:00:00+02:00")
    assert parse_toml(text, "a.toml")["not_after"] == "2027-12-31T08:00:00Z"


def test_the_template_of_these_tests_has_one_hole() -> None:
    assert TEXT.count("{key}") == 1


def test_countries_are_those_that_terms_can_name() -> None:
    schema = json.loads(extension_schemas()["sharing-terms-1.0.json"])
    assert set(schema["$defs"]["country"]["enum"]) == COUNTRIES


def test_a_place_in_no_country_is_pointed_out() -> None:
    said = {".".join(one.path): one.text for one in notes(parse_toml(put('"USLAX"', '"UKLON"'), "a.toml"))}
    assert "no country begins so" in said["members.uslax.unlocode"]
