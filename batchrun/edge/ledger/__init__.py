"""The ledger being written: entries and attempts appended, synced behind.

`ledger` is what a run holds: it names calls, makes their lines, and says what may be launched; `files` are the append-only files that the
lines go to, and what a failed write or sync means. What is decided without touching a disk stands below, in `core/ledger`: what a line
says (`entry_writing.py`, `attempts.py`), how many calls are promised ahead (`promises.py`), how much may lie unsynced (`unsynced.py`).

The contract

- When `flush` returns, what was noted is with the kernel, in one write a file: a killed process loses nothing that had been flushed. It
  costs at most the calls that were under way or had just ended, and they are in doubt
  (`test_an_entry_is_in_the_file_when_flush_returns_and_is_private`; `tests/faults/kills.py`: killed at random; `tests/faults/points.py`:
  killed at every call to the kernel).
- All files are synced about once a second, off the event loop, several at a time. A lost machine costs at most what `room` lets pile up:
  two seconds or 16 MiB, whichever is reached first; after that nothing is launched until the disk has caught up
  (`test_launching_waits_while_too_much_lies_unsynced`; `tests/faults/power.py`: what was not synced is dropped).
- A sync that takes its time holds up what is launched, after two seconds or when what was promised is used up, and nothing else: timeouts,
  answers in flight and signals are seen to meanwhile, and memory stays as it is (`tests/faults/test_stalled.py`). A write, or the making of
  a file, that the kernel holds up holds up the whole loop: nothing is lost by it, the calls are given the time back
  (`tests/faults/stalled.py`), and a signal is heeded after it; a second one ends the process all the same (`edge/signals.py`).
- The end of attempts.log goes with it. So calls are promised ahead, by workspace and model, in lines that are synced before the calls are
  sent (`core/ledger/promises.py`): what a lost machine may have sent and no line tells of counts as in doubt, and the bill stays within
  statement and doubt (`tests/core/ledger/test_promises.py`; `tests/faults/power.py`). A killed process loses no line, and an opening that
  ends well says so: a lost machine is told by another boot, or by lines that cannot be read.
- A file's name, and its directory's, are synced before what is written to the file is, by each opening that writes to it: so nothing
  counts as synced that stands under a name which a lost machine could lose, even where a process was killed that had made it. Off the
  event loop too, a directory once for all that is new in it: a thousand workspaces begin without holding up the calls in flight
  (`test_names_are_synced_before_what_is_written_under_them_and_off_the_event_loop`, `tests/faults/test_syncs.py`, `power.py`).
- The first failed write or sync ends the ledger: every later call raises, nothing more is launched, and the run ends with exit code 4, the
  file and the reason. What was under way then is counted and told, and stands in doubt
  (`test_the_first_failed_write_ends_the_ledger_for_every_file`; `tests/faults/disk.py`, `points.py`). Calls that were to be sent after
  that write are not: what a full disk took of their starts is cut off again
  (`test_of_a_write_that_a_full_disk_takes_in_part_no_start_stands_of_a_call_that_is_never_sent`).
- An entry that there is no memory to write fails by itself: nothing of it stands, its call is in doubt, the others that came with it are
  written, and the run ends with exit code 4 (`test_an_entry_that_there_is_no_memory_for_is_told_and_the_others_are_written`; a mistake of
  batchrun's own in one row's settling costs the others as little, and ends with exit code 1). Where memory runs out, or anything else
  interrupts, while lines are handed to the kernel, the ledger ends: what the kernel took stands, none of it is written again or written
  behind, and the rest is in doubt (`test_no_memory_to_write_ends_the_ledger`,
  `test_what_interrupts_a_write_ends_the_ledger_and_no_line_is_written_twice`; `tests/faults/memory.py`: at random, and killed for it).
- A second fsync after a failed one reports success over pages that were dropped (seen on Linux with ext4), so none is ever believed
  (`test_a_failed_sync_ends_the_ledger_and_is_never_tried_again`). The kernel still shows the lost pages to whoever reads: all files are put
  out of its cache, so that the next opening reads what the disk has, and trusts nothing else (`tests/faults/disk.py`: a genuine failure,
  and a control that believes the cache).
- A file that is moved or deleted under the run ends the ledger too, at the next sync: what is written to it would be nowhere
  (`tests/faults/test_run_directory.py`). So does one that somebody else cuts or writes to: two machines may have a run open at once, on a
  file system whose locks hold on each of them alone, and each would pay for what the other has paid for
  (`test_two_processes_that_no_lock_keeps_apart_end_both_at_their_next_sync`).
- The start of a call stands in attempts.log before it is sent, for it is flushed before. The end of an answer, whose entry stands by then,
  is written with the next line, within a second: without it the entry says as much.
- Each line has a seal: one that was changed later is told from one that stands as it was written (`tests/faults/damage.py`).
- Whoever follows the ledger is given what its lines are read as when they are with the kernel, and not before: what could not be written
  counts for nobody (`test_what_is_followed_is_what_is_read_and_never_more_than_what_was_written`). An entry is given with the end of its
  call.

One event loop owns a ledger: nothing here is called from another thread but `Files.sync_all`, which touches descriptors only, and at last
`Ledger.close`, so that a sync that hangs then holds up no signal either.
"""

from batchrun.edge.ledger.files import Files
from batchrun.edge.ledger.ledger import Ledger

__all__ = ["Files", "Ledger"]
