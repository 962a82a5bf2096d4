"""Nouns: frozen records, enums and pure functions. Time and randomness come in as arguments."""
