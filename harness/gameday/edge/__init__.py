"""The proxies in front of connections, and what is seen of the traffic that passes them."""
