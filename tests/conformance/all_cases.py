"""All cases: a format joins the suite here."""

from __future__ import annotations

from tests.conformance.cases import FIXED_CASES, READS_CASES, SET_CASES, TEXT_CASES
from tests.conformance.clouds import CLOUD_CASES

CASES = [*TEXT_CASES, *READS_CASES, *SET_CASES, *FIXED_CASES, *CLOUD_CASES]
