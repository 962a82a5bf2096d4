"""Verbs, one a module: a frozen dataclass whose fields are ports and whose call tells the story."""
