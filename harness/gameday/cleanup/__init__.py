"""What carries the labels of a run is found and removed, whoever is left to do it."""
