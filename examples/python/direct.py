"""Ask for users' slates again and again, by the short way: `python direct.py USER [USER …]`. See docs/direct.md."""

import os
import sys
import time

from trunkshow.direct import DirectClient
from trunkshow.errors import TrunkshowError

ROUNDS = 5


def main() -> int:
    """Ask each user a few times, and print which way it went, and how long that took."""
    users = sys.argv[1:] or ["somebody"]
    with DirectClient(os.environ.get("TRUNKSHOW_TARGET", "127.0.0.1:7450"), deadline_ms=200) as client:
        try:
            client.connect(timeout_s=2)
            for _ in range(ROUNDS):
                for user in users:
                    receipt = client.recommend(user).receipt
                    way = "from a shard" if receipt.direct else "through the router"
                    print(f"{user:>12}  {way:18}  {receipt.rung.name:8}  {receipt.elapsed_ms:6.1f} ms")
                time.sleep(0.2)  # a user's home is asked for beside their first request
        except TrunkshowError as error:
            print(f"no slate: {error}", file=sys.stderr)
            return 1
        print(client.ways)
    if not client.ways.direct:
        print("nothing went directly: is the router started with --direct? (TRUNKSHOW_ROUTER_DIRECT=true make up)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
