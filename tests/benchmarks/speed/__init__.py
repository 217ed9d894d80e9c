"""What a row costs: batchrun beside a naive loop, a bare client and its peers. `python -m tests.benchmarks.speed` measures it.

What stops it from less: nine tenths of a row's time is the interpreter's, and no part of it is large. `python -m tests.benchmarks.speed
steps` counts its steps. With 64 in flight (event loop and engine take fewer steps where more answers come at a time):

| part | steps | share | what it does |
|---|---|---|---|
| limits | 2,110 | 25 % | what the row is expected to cost, paid before its call and settled after, by lane, workspace and pool |
| wire | 1,160 | 14 % | head and body written, the answer taken from its connection and searched for the key |
| scheduling | 1,010 | 12 % | whose turn it is, and what a result leads to |
| ledger | 900 | 11 % | the line of the start, of the entry and of the end, sealed, and what each will be read as |
| answer read | 670 | 8 % | parsed, and its choices and tokens taken out |
| event loop | 640 | 8 % | uvloop's takes 310 |
| row read | 580 | 7 % | its line read again from the input, held against its digest, parsed |
| request made | 520 | 6 % | body, idempotency key, the bound of what it can cost |
| engine | 510 | 6 % | turns |
| following | 370 | 4 % | statement, course and next opening kept up to date, so that neither the end nor a resume reads the ledger |

That is of four workspaces that share an account's quota. Where a workspace has its pool to itself, nothing is counted twice.

Model Studio answers with a dozen headers and a packed body in a chunk. To such an answer the wire takes 170 steps more, its parser
telling of each header, and all else as many as to a plain one. A head read by one regular expression took 300 fewer, and two to four
times as long.

The kernel has a tenth of a row's time: of 10,000 rows each is one `sendto` and one `recvfrom`, and sixteen share an `epoll_wait`, four a
`write` and ten a `pread` (the naive loop has a `write`, and maps and unmaps memory, for each). uvloop takes the place of the event loop's
part alone, which is why it saves no more than that. A thousand connections take 210 to 290 µs of CPU each to open, of which the kernel's
`connect` is 28, and aiohttp's connector with asyncio's transports nearly all the rest: some 6,500 steps. The first thousand calls may go
within a fifth of a second, as the ramp of `core/limits/ramp.py` has it, where the quota is known; they take longer, for their connections
cost as much as all else of a row, and answers come meanwhile.

The naive loop on batchrun's wire takes a third to a half of what it takes on aiohttp: what lies between that and batchrun is what else it
does. On aiohttp it takes two thirds of the processor's own instructions that batchrun does on asyncio's loop (480,000 a row against some
750,000, as callgrind counts them), and more time all the same: the kernel has two to three times as much of it, and maps two pages of
memory anew for each answer.

With 64 in flight on uvloop a row costs about 0.7 of what the naive loop's does, and no other client would make that a half: wire and event
loop are 1,470 of 8,070 steps there, and nine tenths of the time are the interpreter's. One that took none of them would leave five sixths
of it. A quarter of all steps would have to go, and they are everywhere: no function takes more than one in thirty.
"""
