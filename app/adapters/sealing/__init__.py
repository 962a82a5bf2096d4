"""Keeping secrets of others unreadable."""
