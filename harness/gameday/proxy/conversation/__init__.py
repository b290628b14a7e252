"""HTTP/1.1 as it passes: which requests there are, and rules for what becomes of them."""
