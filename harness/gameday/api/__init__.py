"""What faults, technologies and runtimes agree on: protocols and plain types, no code that acts."""
