"""Run a command that cannot outlive its parent: `python tether.py PARENT_PID COMMAND…`.

The kernel is asked (prctl(2), PR_SET_PDEATHSIG) to kill this process when its parent dies, of whatever cause; then
the command takes this process's place, and the wish stays with it. A shard holds nothing that SIGKILL could
harm. Elsewhere than on Linux the command runs untethered. It is run by path with `-I -S`: that costs a few
milliseconds, and imports nothing of ours. Doing the same in `preexec_fn` would fork a process full of gRPC's threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        # A parent that died before the call would never be noticed by it.
        if os.getppid() != parent:
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - becoming another program, without a shell, is the purpose


if __name__ == "__main__":
    main()
