"""Ask for a user's slate: `python recommend.py USER [ITEM …]`. See examples/README.md."""

import os
import sys

from trunkshow.client import Client, Rung
from trunkshow.errors import InvalidArgument, TrunkshowError


def main() -> int:
    """Ask, and print the slate."""
    user, items = (sys.argv[1:] or ["somebody"])[0], sys.argv[2:]
    with Client(os.environ.get("TRUNKSHOW_TARGET", "127.0.0.1:7450"), deadline_ms=200) as client:
        try:
            client.connect(timeout_s=2)
            slate = client.recommend(user, items=items, items_per_carousel=5)
        except InvalidArgument as error:
            print(f"the request is wrong in {error.field}: {error}", file=sys.stderr)
            return 2
        except TrunkshowError as error:
            print(f"no slate: {error}", file=sys.stderr)
            return 1
    for carousel in slate.carousels:
        print(f"\n{carousel.title}  ({carousel.source}, {carousel.rung.name})")
        for item in carousel.items:
            print(f"  {item.item_id:>12}  {item.reason}")
    receipt = slate.receipt
    print(f"\n{receipt.rung.name} from snapshot {receipt.snapshot_version} in {receipt.elapsed_ms:.1f} ms")
    if receipt.rung > Rung.SNAPSHOT:
        print("a fallback, because:", ", ".join(reason.name for reason in receipt.reasons))
    return 0


if __name__ == "__main__":
    sys.exit(main())
