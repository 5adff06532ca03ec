"""How hard the property tests try: the same few examples for every change, thousands in a soak."""

from __future__ import annotations

import os

from hypothesis import settings

SEEDS = os.environ.get("JOINTCREDIT_SEEDS")

# Speed is measured in benchmarks/, never asserted here, so examples have no deadline. Without a
# soak they are derandomised: a test that turns red does so because of the change at hand.
settings.register_profile("change", deadline=None, database=None, derandomize=True)
settings.register_profile("soak", deadline=None, print_blob=True, max_examples=int(SEEDS or 1))
settings.load_profile("soak" if SEEDS else "change")
