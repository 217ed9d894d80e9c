"""What a row costs: batchrun beside a naive loop, a bare client and its peers. `python -m tests.benchmarks.speed` measures it."""
