"""Serve the scenes of a static STAC catalogue through the API of Descartes Labs and EarthOne, until Ctrl-C.

.venv/bin/python tests/serve.py resources/sample/catalog.json --latency 0.25

Paste its output into the shell that runs the client.
"""

import argparse
import signal
from pathlib import Path

from loopback.server import Platform


def seed_and_rate(text: str) -> tuple[int, float]:
    """Parse such as 7:0.1."""
    seed, rate = text.split(":")
    return int(seed), float(rate)


def main() -> None:
    """Serve until interrupted or terminated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path, help="catalog.json of a static STAC catalogue")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that a response takes")
    parser.add_argument(
        "--faults", type=seed_and_rate, metavar="SEED:RATE", help="make a share of requests fail, such as 7:0.1"
    )
    options = parser.parse_args()
    if not options.catalogue.is_file():
        parser.error(f"{options.catalogue}: no such file; `make run` makes the sample's catalogue")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with Platform(options.catalogue, options.port, options.latency) as platform:
        if options.faults:
            platform.faults.inject(*options.faults)
        print("unset HTTP_PROXY http_proxy CLIENT_ID CLIENT_SECRET")
        print(*(f"export {name}={value}" for name, value in platform.settings.items()), sep="\n", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
