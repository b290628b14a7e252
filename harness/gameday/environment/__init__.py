"""Where the services of a target run: in containers or as processes of this host."""
