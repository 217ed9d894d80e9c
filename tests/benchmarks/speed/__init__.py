"""What a row costs: batchrun beside a naive loop, a bare client and its peers. `python -m tests.benchmarks.speed` measures it.

What stops it from less, sampled over two runs of 40,000 rows with 64 in flight. A tenth of a row's time is the kernel's, for two calls to a
socket. The rest is Python's, and no part of it is large:

| part | share | what it does |
|---|---|---|
| ledger | 18 % | the line of the start, of the entry and of the end, sealed, and what each will be read as |
| limits | 18 % | what the row is expected to cost, paid before its call and settled after, by lane, workspace and pool |
| wire | 13 % | head and body written, the answer taken from its connection and searched for the key |
| row read | 11 % | its line read again from the input, held against its digest, parsed |
| engine | 9 % | turns |
| answer read | 9 % | parsed, and its choices and tokens taken out |
| following | 9 % | statement, course and next opening kept up to date, so that neither the end nor a resume reads the ledger |
| request made | 7 % | body, idempotency key, the bound of what it can cost |
| scheduling | 6 % | whose turn it is, and what a result leads to |
| event loop | 2 % | |

The naive loop on batchrun's wire takes half to two thirds of what it takes on aiohttp: what lies between that and batchrun is what else it
does.
"""
