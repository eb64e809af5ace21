"""Reads what a run left in its destination: the account of it, for pictures and reports."""

from __future__ import annotations

from cbtool import ledger
from cbtool.destination import Destination
from cbtool.plan import read_chunks
from cbtool.report.account import Account, Priced, account
from cbtool.report.drivers import drivers


def look(destination: Destination, prices: Priced | None = None) -> Account:
    """Return the account of the run on *destination*; MissingInput if there is none."""
    status = ledger.status(destination)
    lines = (destination.read(ledger.PLAN) or b"").splitlines()
    chunks = read_chunks(lines, f"{destination.uri}/{ledger.PLAN}")
    records = ledger.records(destination)
    return account(destination.uri, status.run, chunks, status.done, records, drivers(destination), prices)
