"""How services are started, ended, limited and frozen."""
