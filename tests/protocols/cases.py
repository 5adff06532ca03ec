"""Every case of every protocol. A new protocol adds a file of its cases, and a line here."""

from __future__ import annotations

from tests.protocols.psi_cases import psi_cases
from tests.protocols.score_cases import score_cases
from tests.protocols.sum_cases import sum_cases

CASES = (*psi_cases(), *sum_cases(), *score_cases())
