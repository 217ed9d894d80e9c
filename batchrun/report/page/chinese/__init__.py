"""What the ledger holds in English words of batchrun's own, in Chinese: why rows failed and what to do, why lines are no rows.

`translating` turns a text into Chinese; `failures` and `lines` are its tables. What the provider said stays as the provider said it.
"""

from batchrun.report.page.chinese.translating import chinese, worded

__all__ = ["chinese", "worded"]
