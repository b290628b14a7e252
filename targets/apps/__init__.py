"""The services of the targets, built on the components of `resilience`."""
