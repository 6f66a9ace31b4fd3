"""One fuzz process: `python -m fuzz.worker TARGET LIBFUZZER-OPTION…`, with Lightship instrumented.

Run by `python -m fuzz`. Needs atheris; ends as libFuzzer does, with 77 for a finding.
"""

from __future__ import annotations

import sys

import atheris

from fuzz.mutation import mutate_json


def main(arguments: list[str]) -> None:
    """Fuzz one target until libFuzzer ends the process."""
    name, *options = arguments
    with atheris.instrument_imports(include=["lightship"]):
        from fuzz.targets import TARGETS

        opened = TARGETS[name].opened()
    more = {"custom_mutator": _mutate} if name == "ingest" else {}
    with opened as target:
        # libFuzzer starts itself again for a merge, with the first word as the command
        atheris.Setup([f"{sys.executable} -m fuzz.worker {name}", *options], target, **more)
        atheris.Fuzz()


def _mutate(data: bytes, longest: int, seed: int) -> bytes:
    return mutate_json(data, longest, seed, atheris.Mutate)


if __name__ == "__main__":
    main(sys.argv[1:])
