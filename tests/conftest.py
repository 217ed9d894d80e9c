"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A machine that is busy with something else is no falsifying example.
settings.register_profile("suite", deadline=None, print_blob=True)
settings.load_profile("suite")
