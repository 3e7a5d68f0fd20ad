"""`python -m app.bench`."""

import sys

from app.bench import main

if __name__ == "__main__":
    sys.exit(main())
