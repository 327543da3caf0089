"""`python -m iqlearn_jax.cli`, where the script `iqlearn` is not on the path."""

import sys

from iqlearn_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
