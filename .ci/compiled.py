"""The hook of the compiled build.

hatch-mypyc leaves its extension modules beside the sources, where every later import would find them before those. They are taken away
once the wheel has them; an editable install is of the sources, always.
"""

from __future__ import annotations

from typing import Any

import hatch_mypyc.plugin


class Compiled(hatch_mypyc.plugin.MypycBuildHook):
    """Compiles what `pyproject.toml` lists."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, but for an editable install."""
        if version != "editable":
            super().initialize(version, build_data)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - as hatchling calls it
        """Leave the tree as it was found."""
        self.clean([version])
