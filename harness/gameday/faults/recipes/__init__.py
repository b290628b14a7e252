"""What the faults of a family share, from before one is in until it is proven gone."""
