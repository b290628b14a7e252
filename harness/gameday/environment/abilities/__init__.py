"""What a fault may ask of a service or an environment that can do it: one protocol a file."""
