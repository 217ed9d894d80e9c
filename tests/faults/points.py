"""Every point at which a run calls the kernel for its directory: ``python -m tests.faults.points``.

At each the process is killed, the call fails once, and it and all that follow of its kind find the disk full, or fail where they only look.
Whatever happens, the run ends with one line and a code that says that it can go on, and the same command finishes it. Runs are forks of
this process, which has imported all that they need: there are more than a thousand.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.faults import forks
from tests.faults.inject import LOOKS, Ended, Point, budgeted_job, goes_on, made_by, run, small_job, struck_cleanly

OPENING = ("EMFILE", "ENFILE", "EACCES", "EPERM", "EROFS", "ENOTCONN", "ESTALE", "ELOOP")
"""What opening a file can come to: no descriptor left, no permission, a file system that is read-only, unplugged or gone."""
OF_LOOKS = {"fails once": "error=EIO:when={}", "fails from then on": "error=EIO:when={}+"}
WAYS = {"killed": "signal=SIGKILL:when={}", "full from then on": "error=ENOSPC:when={}+", **OF_LOOKS}
WAYS |= {f"{name} {how}": f"error={name}:when={{}}{sign}" for name in OPENING for how, sign in (("once", ""), ("from then on", "+"))}


def struck(
    home: Path, point: Point, way: str, make: Callable[[Path], Path] = small_job, carried_out: Callable[[Path, str], Ended] = run
) -> Ended:
    """Strike one run of the job that *make* makes at one point, and hold that it ends well."""
    make(home)
    ended = carried_out(home, f"{point.call}:{WAYS[way].format(point.number)}")
    if ended.struck:
        struck_cleanly(ended, killed=way == "killed")
    return ended


def _makes_sense(call: str, way: str) -> bool:
    if call in LOOKS:
        return way in OF_LOOKS
    if way == "fails from then on" or (call == "close" and way == "full from then on"):
        return False
    return call == "openat" or not way.startswith("E")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", help="only this call: close")
    parser.add_argument("--budgeted", action="store_true", help="of a job with a budget by the day, and the books that it keeps")
    parser.add_argument("--from", type=int, default=0, dest="first", help="leave so many injections out before the first")
    parser.add_argument("--every", type=int, default=1, help="only every n-th injection")
    wished = parser.parse_args()
    make = budgeted_job if wished.budgeted else small_job
    began, hit, wrong, codes = time.monotonic(), 0, 0, Counter[tuple[str, int]]()
    with tempfile.TemporaryDirectory() as home:
        make(Path(home))
        assert forks.run(Path(home), "").code == 0
        found = made_by(Path(home))
    wanted = [point for point in found if wished.call in {None, point.call}]
    injections = [(point, way) for point in wanted for way in WAYS if _makes_sense(point.call, way)][wished.first :: wished.every]
    print(f"{len(found)} points: {dict(Counter(point.call for point in found))}; {len(injections)} injections", flush=True)
    for point, way in injections:
        with tempfile.TemporaryDirectory() as home:
            try:
                ended = struck(Path(home), point, way, make, forks.run)
                forks.held(goes_on, Path(home))
            except AssertionError as error:
                wrong += 1
                print(f"WRONG: {point.call} {point.number}, {way}: {str(error)[-900:]}", flush=True)
                continue
        hit += ended.struck
        codes[way, ended.code] += 1
    print(
        f"{len(injections)} injections, {hit} met, {wrong} wrong; all others went on to the last row; codes: "
        f"{ {f'{way}: {code}': count for (way, code), count in sorted(codes.items())} }; {time.monotonic() - began:.0f} s"
    )
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
