"""Capabilities that the core needs, one Protocol a module; each docstring is the contract."""
