"""What a row costs: batchrun beside a naive loop, a bare client and its peers. `python -m tests.benchmarks.speed` measures it.

What stops it from less: seven tenths of a row's time are the interpreter's, and no part of it is large. `python -m tests.benchmarks.speed
steps` counts its steps. With 64 in flight (event loop and engine take fewer steps where more answers come at a time):

| part | steps | share | what it does |
|---|---|---|---|
| limits | 2,150 | 27 % | what the row is expected to cost, paid before its call and settled after, by lane, workspace and pool |
| scheduling | 1,160 | 14 % | whose turn it is, and what a result leads to |
| wire | 990 | 12 % | head and body written, the answer taken from its connection and searched for the key |
| ledger | 790 | 10 % | the line of the start, of the entry and of the end, sealed, and what each will be read as |
| answer read | 590 | 7 % | parsed, and its choices and tokens taken out |
| row read | 580 | 7 % | its line read again from the input, held against its digest, parsed |
| event loop | 560 | 7 % | and Python's own code that fills values in, which is 240 of them: with uvloop they are some 280 |
| request made | 500 | 6 % | body, idempotency key, the bound of what it can cost |
| engine | 490 | 6 % | turns |
| following | 270 | 3 % | statement, course and next opening kept up to date, so that neither the end nor a resume reads the ledger |

That is of four workspaces that share an account's quota. Where a workspace has its pool to itself, nothing is counted twice. A turn costs
some 2,500 steps besides, however few rows it has: with 4 in flight, three of them a turn, a row takes 8,900. What a call cost takes 410
more where its price is known, and a budget by the month another 1,040.

Model Studio answers with a dozen headers and a packed body in a chunk. To such an answer the wire takes 80 steps more, for chunks and for
what is packed, and all else as many as to a plain one: headers are gathered without a step, and read together.

The kernel has a seventh of a row's time: of 10,000 rows each is one `sendto` and one `recvfrom`, and sixteen share an `epoll_wait`, four a
`write` and ten a `pread` (the naive loop has a `write`, and maps and unmaps memory, for each). uvloop takes the place of the event loop's
part alone, which is why it saves no more than that. A thousand connections take 210 to 290 µs of CPU each to open, of which the kernel's
`connect` is 28, and aiohttp's connector with asyncio's transports nearly all the rest: some 6,500 steps. The first thousand calls may go
within a fifth of a second, as the ramp of `core/limits/ramp.py` has it, where the quota is known; they take longer, for their connections
cost as much as all else of a row, and answers come meanwhile.

The naive loop on batchrun's wire takes a third to a half of what it takes on aiohttp: what lies between that and batchrun is what else it
does. On aiohttp it takes two thirds of the processor's own instructions that batchrun does on asyncio's loop (480,000 a row against some
690,000, as callgrind counts them), and more time all the same: the kernel has two to three times as much of it, and maps two pages of
memory anew for each answer.

On uvloop a row costs some eight tenths of what the naive loop's does with 64 and 256 in flight, half with 1,000. What lies between that and
a half with fewer is the interpreter: a seventh of a row's time is the kernel's, a seventh that of C code (JSON, hashes, the parser of
answers, memory), and neither grows less by another client or loop. More than half of all steps would have to go, and they are everywhere:
no function takes more than one in twenty-five. One that took none for wire and event loop, 1,270 of 7,790 there, would leave five sixths.
"""
