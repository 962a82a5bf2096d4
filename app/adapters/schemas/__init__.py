"""Payload schemas: JSON Schema, bounded in what judging by it can cost."""
