"""The protocols of stores that want a login, as bytes in and bytes out; nothing here waits."""
