"""Services as processes of this host."""
