"""The kernel, the Docker engine and the files of this host; nothing here knows about runs."""
