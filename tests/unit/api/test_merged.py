"""Figures of several processes together: what counts is added, what is the same everywhere is taken once."""

from __future__ import annotations

from lightship.api.merged import counted, merge

ONE = """# HELP lightship_requests_total Requests answered.
# TYPE lightship_requests_total counter
lightship_requests_total{method="GET",route="a b",status="2xx"} 3.0
# HELP lightship_request_seconds From header fields to answer.
# TYPE lightship_request_seconds histogram
lightship_request_seconds_bucket{le="0.001",route="a"} 1.0
lightship_request_seconds_bucket{le="+Inf",route="a"} 2.0
lightship_request_seconds_count{route="a"} 2.0
# HELP lightship_ready 1 if the check passed.
# TYPE lightship_ready gauge
lightship_ready{check="disk"} 1.0
# HELP lightship_disk_free_bytes Free bytes.
# TYPE lightship_disk_free_bytes gauge
lightship_disk_free_bytes 1e+09
"""
OTHER = """# HELP lightship_requests_total Requests answered.
# TYPE lightship_requests_total counter
lightship_requests_total{method="GET",route="a b",status="2xx"} 4.0
lightship_requests_total{method="POST",route="a b",status="2xx"} 1.0
# HELP lightship_request_seconds From header fields to answer.
# TYPE lightship_request_seconds histogram
lightship_request_seconds_bucket{le="0.001",route="a"} 5.0
lightship_request_seconds_bucket{le="+Inf",route="a"} 5.0
lightship_request_seconds_count{route="a"} 5.0
# HELP lightship_ready 1 if the check passed.
# TYPE lightship_ready gauge
lightship_ready{check="disk"} 0.0
# HELP lightship_disk_free_bytes Free bytes.
# TYPE lightship_disk_free_bytes gauge
lightship_disk_free_bytes 9e+08
"""


def values(text: str) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


def test_counts_are_added_and_states_are_the_worst_of_all() -> None:
    assert values(merge([ONE, OTHER])) == {
        'lightship_requests_total{method="GET",route="a b",status="2xx"}': 7,
        'lightship_requests_total{method="POST",route="a b",status="2xx"}': 1,
        'lightship_request_seconds_bucket{le="0.001",route="a"}': 6,
        'lightship_request_seconds_bucket{le="+Inf",route="a"}': 7,
        'lightship_request_seconds_count{route="a"}': 7,
        'lightship_ready{check="disk"}': 0,
        "lightship_disk_free_bytes": 9e8,
    }


def test_every_family_is_told_of_once_before_its_samples() -> None:
    lines = merge([ONE, OTHER]).splitlines()
    assert len([line for line in lines if line.startswith("# TYPE")]) == 4
    for family in ("lightship_requests_total", "lightship_ready"):
        kind = next(at for at, line in enumerate(lines) if line.startswith(f"# TYPE {family} "))
        assert lines[kind + 1].startswith(family)


def test_one_process_and_none() -> None:
    assert values(merge([ONE])) == values(ONE)
    assert merge([]) == ""


def test_only_what_never_falls_is_kept_of_a_process_that_has_ended() -> None:
    kept = values(counted(ONE))
    assert {name.partition("{")[0] for name in kept} == {
        "lightship_requests_total",
        "lightship_request_seconds_bucket",
        "lightship_request_seconds_count",
    }
    assert all(kept[name] == values(ONE)[name] for name in kept)
    assert counted("") == merge([""]) == ""
