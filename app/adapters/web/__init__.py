"""HTTP towards us."""
