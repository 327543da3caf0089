"""make site: builds build/site from what is checked in; nothing is trained and nothing is downloaded."""

import argparse
import sys
from pathlib import Path

from iqlearn_jax.errors import InputError
from website.build import build_site


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser("python -m website", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/site"), help="folder to write, made anew")
    try:
        index = build_site(Path(), parser.parse_args().out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(index)
    return 0


if __name__ == "__main__":
    sys.exit(main())
