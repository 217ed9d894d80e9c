"""The ledger's lines, and what they fold to: doubt, totals, statement, course, charges."""
