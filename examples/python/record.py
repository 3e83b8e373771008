"""Tell what a user did: `python record.py USER ITEM [INTERACTION]`. See examples/README.md."""

import os
import sys

from trunkshow.client import Client, Event
from trunkshow.errors import InvalidArgument, TrunkshowError


def main() -> int:
    """Record one event, and print what became of it."""
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    user, item, interaction = (*sys.argv[1:], "click")[:3]
    event = Event(user, item, interaction)
    with Client(os.environ.get("TRUNKSHOW_TARGET", "127.0.0.1:7450")) as client:
        try:
            client.connect(timeout_s=2)
            answer = client.record(event)
        except InvalidArgument as error:
            print(f"the event is wrong in {error.field}: {error}", file=sys.stderr)
            return 2
        except TrunkshowError as error:
            # It may be in the log all the same: record this very event again, and it counts once.
            print(f"not known to be recorded: {error}", file=sys.stderr)
            return 1
    for refused in answer.refused:
        print(f"refused: {refused.message}", file=sys.stderr)
    print(f"recorded {answer.recorded} as {event.event_id}; the log is at {answer.watermark}")
    return 2 if answer.refused else 0


if __name__ == "__main__":
    sys.exit(main())
