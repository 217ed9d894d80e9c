"""Chance without dice: every draw about a call follows from the seed, the workspace, the body and how often that body came before."""

from __future__ import annotations

import math
from hashlib import blake2b, sha256

from batchrun.core.classes import value


@value
class Draw:
    """All that chance decides about one call."""

    sha: bytes
    """Of the body alone."""
    root: bytes
    """64 bytes that the draws are taken from."""

    @property
    def request_id(self) -> str:
        """A version 4 UUID."""
        text = self.root[:16].hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[self.root[8] % 4]}{text[17:20]}-{text[20:]}"

    @property
    def call_id(self) -> str:
        """The id of a tool call."""
        return f"call_{self.root[48:60].hex()}"

    def fraction(self, purpose: bytes) -> float:
        """A number in [0, 1), another for each purpose."""
        return int.from_bytes(blake2b(self.root, digest_size=7, person=purpose[:16]).digest(), "big") / 2**56

    def pick(self, choices: int) -> int:
        """Which of so many phrasings an answer uses."""
        return int.from_bytes(self.root[16:24], "big") % choices

    def lognormal(self, median: float, sigma: float) -> float:
        """A waiting time with that median (Box and Muller's transform)."""
        if median == 0:
            return 0.0
        radius = (int.from_bytes(self.root[24:31], "big") + 1) / (2**56 + 1)
        angle = int.from_bytes(self.root[32:39], "big") / 2**56
        normal = math.sqrt(-2 * math.log(radius)) * math.cos(2 * math.pi * angle)
        return median * math.exp(sigma * normal)


class Dice:
    """Remembers how often each workspace sent each body, so that a retry draws anew and yet the same in every run."""

    def __init__(self, seed: int) -> None:
        self._seed = str(seed).encode()
        self._seen: dict[int, int] = {}

    def draw(self, workspace: str, body: bytes) -> Draw:
        """The draw for the next time that *workspace* sends *body*."""
        sha = sha256(body).digest()
        root = blake2b(b"\0".join((self._seed, workspace.encode("utf-8", "replace"), sha)))
        before = int.from_bytes(root.digest()[:8], "big")
        times = self._seen.get(before, 0) + 1
        self._seen[before] = times
        root.update(times.to_bytes(8, "big"))
        return Draw(sha, root.digest())
