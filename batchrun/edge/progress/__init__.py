"""Progress on stderr, drawn by a timer: `showing` says what is to be seen of a run, as `bars` where it is a terminal."""

from batchrun.edge.progress.showing import LINE_EVERY, ReadingBar, note, show

__all__ = ["LINE_EVERY", "ReadingBar", "note", "show"]
