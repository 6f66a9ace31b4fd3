"""STIX 2.1 and 2.0: strict JSON and JCS, object checks, patterns, markings."""
