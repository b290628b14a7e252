"""Chaos experiments as tests, with a verdict that can be trusted."""
