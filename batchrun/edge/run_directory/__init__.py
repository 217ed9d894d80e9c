"""The run directory. Directories are 0700, files 0600.

`lock` holds it for one process; `places` makes its directories and opens what is appended to; `whole` writes files that are put in their
place when they are whole; `description` is run.json.
"""

from batchrun.edge.run_directory.description import FORMAT, digest_of, is_unbegun, must_hold, not_there, read_description, write_description
from batchrun.edge.run_directory.lock import holder, kept_still, locked, refuse_a_file
from batchrun.edge.run_directory.places import (
    is_there,
    make,
    open_to_append,
    refuse_a_twin,
    refuse_pipes,
    sync_directory,
    workspace_directories,
)
from batchrun.edge.run_directory.whole import as_read, beside, read_summary, told_before, write_summaries, write_summary, write_whole

__all__ = [
    "FORMAT",
    "as_read",
    "beside",
    "digest_of",
    "holder",
    "is_there",
    "is_unbegun",
    "kept_still",
    "locked",
    "make",
    "must_hold",
    "not_there",
    "open_to_append",
    "read_description",
    "read_summary",
    "refuse_a_file",
    "refuse_a_twin",
    "refuse_pipes",
    "sync_directory",
    "told_before",
    "workspace_directories",
    "write_description",
    "write_summaries",
    "write_summary",
    "write_whole",
]
