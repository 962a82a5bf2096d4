"""The built-in connectors, one a module; how to add one stands in CONTRIBUTING.md."""
