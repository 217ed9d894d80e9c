"""A file system in memory whose power can be cut: ``python -m tests.faults.power_fs MOUNTPOINT``. It needs fuse3, and mfusepy.

A file's content is safe once it was synced, and a name once its directory was. Setting the attribute ``user.cut`` of the root to a seed
cuts the power: of each file what was appended since is gone, or some of it is there, or it is zeros; of each name that was not synced
chance says whether it is as before.
"""

from __future__ import annotations

import errno
import os
import random
import stat
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import mfusepy


@dataclass(eq=False)
class File:
    """A file: what is read of it, and what the disk has."""

    mode: int
    content: bytearray = field(default_factory=bytearray)
    stable: bytes = b""

    def sync(self) -> None:
        self.stable = bytes(self.content)

    def cut(self, dice: random.Random) -> None:
        appended = self.content[len(self.stable) :] if self.content.startswith(self.stable) else b""
        kept = appended[: dice.choice([0, 0, len(appended), dice.randint(0, len(appended))])]
        if dice.random() < 0.2:
            kept = bytes(len(kept))
        self.content = bytearray(self.stable + kept)
        self.sync()


@dataclass(eq=False)
class Directory:
    """A directory: the names in it, and those that the disk has."""

    mode: int
    names: dict[str, File | Directory] = field(default_factory=dict)
    stable: dict[str, File | Directory] = field(default_factory=dict)

    def sync(self) -> None:
        self.stable = dict(self.names)

    def cut(self, dice: random.Random) -> None:
        for name in {**self.names, **self.stable}:
            before, after = self.stable.get(name), self.names.get(name)
            chosen = before if before is after or dice.random() < 0.5 else after
            self.names.pop(name, None)
            if chosen is not None:
                self.names[name] = chosen
        self.sync()
        for node in self.names.values():
            node.cut(dice)


class PowerFS(mfusepy.Operations):  # type: ignore[misc]
    """What the kernel asks."""

    use_ns = True

    def __init__(self) -> None:
        self.root = Directory(0o700)
        self.handles: dict[int, File] = {}
        self.syncs = 0

    def node(self, path: str) -> File | Directory:
        node: File | Directory = self.root
        for name in path.strip("/").split("/"):
            if name:
                if not isinstance(node, Directory) or name not in node.names:
                    raise mfusepy.FuseOSError(errno.ENOENT)
                node = node.names[name]
        return node

    def parent(self, path: str) -> tuple[Directory, str]:
        above, _, name = path.rpartition("/")
        node = self.node(above)
        assert isinstance(node, Directory)
        return node, name

    def file(self, path: str, fh: int | None) -> File:
        node: File | Directory | None = self.handles.get(fh) if fh is not None else self.node(path)
        if not isinstance(node, File):
            raise mfusepy.FuseOSError(errno.EIO)
        return node

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        node: File | Directory = self.handles[fh] if fh is not None and fh in self.handles else self.node(path)
        kind, size = (stat.S_IFREG, len(node.content)) if isinstance(node, File) else (stat.S_IFDIR, 0)
        now = time.time_ns()
        return {"st_mode": kind | node.mode, "st_size": size, "st_nlink": 1, "st_mtime": now, "st_ctime": now, "st_atime": now}

    def readdir(self, path: str, fh: int) -> list[str]:
        node = self.node(path)
        return [".", "..", *(node.names if isinstance(node, Directory) else ())]

    def mkdir(self, path: str, mode: int) -> int:
        above, name = self.parent(path)
        above.names[name] = Directory(mode & 0o777)
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        above, name = self.parent(path)
        above.names[name] = File(mode & 0o777)
        return self.open(path, 0)

    def open(self, path: str, flags: int) -> int:
        handle = max(self.handles, default=0) + 1
        node = self.node(path)
        assert isinstance(node, File)
        self.handles[handle] = node
        return handle

    def release(self, path: str, fh: int) -> int:
        self.handles.pop(fh, None)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self.file(path, fh).content[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        content = self.file(path, fh).content
        content[offset : offset + len(data)] = data
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        content = self.file(path, fh if fh in self.handles else None).content
        content[:] = content[:length].ljust(length, b"\0")
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self.file(path, fh).sync()
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        node = self.node(path)
        assert isinstance(node, Directory)
        node.sync()
        return 0

    def rename(self, old: str, new: str) -> int:
        above, name = self.parent(old)
        other, target = self.parent(new)
        other.names[target] = above.names.pop(name)
        return 0

    def unlink(self, path: str) -> int:
        above, name = self.parent(path)
        del above.names[name]
        return 0

    rmdir = unlink

    def chmod(self, path: str, mode: int) -> int:
        self.node(path).mode = mode & 0o777
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        return 0

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        if name != "user.cut":
            raise mfusepy.FuseOSError(errno.ENOTSUP)
        self.handles.clear()
        self.root.cut(random.Random(int(value)))
        return 0


def main() -> None:
    os.umask(0)
    settings = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}
    mfusepy.FUSE(PowerFS(), sys.argv[1], foreground=True, nothreads=True, **settings)


if __name__ == "__main__":
    main()
