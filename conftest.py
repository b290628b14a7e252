"""Gives the tests pytester; the plugin itself comes in by its entry point."""

pytest_plugins = ["pytester"]
