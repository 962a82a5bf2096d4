"""Where the core meets the technologies: an adapter module carries the name of its port or of its technology."""
