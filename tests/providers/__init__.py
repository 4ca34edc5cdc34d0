"""Real authorization servers: `make providers`. See README.md."""
