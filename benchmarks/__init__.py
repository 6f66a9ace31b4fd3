"""Benchmarks: Lightship beside its peers and a floor, over HTTP, in one run. Never part of the product.

`python -m benchmarks` measures and writes; nothing in `tests/` is timed. Each figure comes from the run that
prints it; what could not be measured is named with the reason and has no figure.
"""
