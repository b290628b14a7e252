"""PostgreSQL and its replicas."""
