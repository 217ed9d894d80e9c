"""The input, from the files that the job names to single rows read by position.

Each module is one step: `inputs` finds the files, `spool` unpacks what cannot be read by position, `lines` cuts, `scan` makes the pass,
`kept` keeps what it made, `former` tells what came and went since, `growth` what came while it is run, `files` reads a line again, and
`source` is what a run holds.
"""

from batchrun.edge.source.former import Former, former
from batchrun.edge.source.inputs import InputFile, named, would_lead_into, would_match
from batchrun.edge.source.scan import Counts, SetAside
from batchrun.edge.source.source import RowChanged, Source

__all__ = ["Counts", "Former", "InputFile", "RowChanged", "SetAside", "Source", "former", "named", "would_lead_into", "would_match"]
