"""The proxies in front of connections, and observation of the traffic through them."""
