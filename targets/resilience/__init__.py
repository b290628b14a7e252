"""The reference components: what a service does to outlive the failure of what it needs."""
