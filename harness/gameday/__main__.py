"""`python -m gameday` is the command `gameday`."""

import sys

from gameday.cli import main

sys.exit(main())
