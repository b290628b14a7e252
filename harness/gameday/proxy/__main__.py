"""`python -m gameday.proxy` runs the proxy until its stdin ends."""

from gameday.proxy.process import main

if __name__ == "__main__":
    raise SystemExit(main())
