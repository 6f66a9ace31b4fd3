"""A hub whose access log keeps nothing: only to measure what the access log costs. Never for use.

Run as `python -m benchmarks.without_log HUB_DIR PORT`. The same application, store, rules and server as
`lightship serve --plain`; only the port `Access` is replaced.
"""
