"""Services of the target itself, spoken to over HTTP."""
