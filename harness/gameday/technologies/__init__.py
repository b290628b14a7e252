"""What gameday knows of each technology, one folder each."""
