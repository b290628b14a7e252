"""Protocols and plain types that faults, technologies and runtimes share; nothing here acts."""
