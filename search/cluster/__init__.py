"""Where trials run: this process, this machine's Ray, or a cluster."""
