"""Transcripts of whole runs with known coins: what must not change without a new revision.

``tests/vectors/transcripts.json`` holds, for every case, a hash over the payloads of each lane.
A difference means that this build and the last no longer understand each other, or compute
something else: then ``Spec.revision`` goes up, and the file is written anew by

    JOINTCREDIT_WRITE_VECTORS=1 python -m pytest tests/protocols/test_vectors.py
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from protocols.catalog import spec_of
from tests.protocols.case import Case, Run, simulate
from tests.protocols.cases import CASES

FILE = Path(__file__).parents[1] / "vectors" / "transcripts.json"
# What SEAL encodes goes through floating point, which another processor may round otherwise.
ROUNDED = frozenset({"weights", "scores"})


def transcript(run: Run) -> dict[str, str]:
    """For each lane, "sender > receiver: lane", SHA-256 over the payloads behind their lengths."""
    lanes: dict[str, hashlib._Hash] = {}
    names = run.plan.names
    outcome = simulate(run, coins=1).run()
    for frame in sorted(outcome.frames, key=lambda f: (f.sender, f.receiver, f.lane, f.sequence)):
        if frame.lane in ROUNDED:
            continue
        lane = f"{names[frame.sender]} > {names[frame.receiver]}: {frame.lane}"
        digest = lanes.setdefault(lane, hashlib.sha256())
        digest.update(len(frame.payload).to_bytes(8, "big") + frame.payload)
    return {lane: digest.hexdigest() for lane, digest in lanes.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_transcripts_are_those_of_the_last_release(case: Case) -> None:
    run = case.make(0)
    made = {"revision": spec_of(run.plan).revision, "lanes": transcript(run)}
    known = json.loads(FILE.read_text()) if FILE.exists() else {"cases": {}}
    if os.environ.get("JOINTCREDIT_WRITE_VECTORS"):
        known["provenance"] = "made by this test from tests/protocols' cases, coins 1"
        known["cases"][case.name] = made
        FILE.write_text(json.dumps(known, indent=1) + "\n")
    assert known["cases"][case.name] == made


def test_every_recorded_case_still_exists() -> None:
    assert set(json.loads(FILE.read_text())["cases"]) == {case.name for case in CASES}
