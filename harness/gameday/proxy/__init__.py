"""A TCP fault proxy in a process of its own that speaks Toxiproxy's HTTP API."""
