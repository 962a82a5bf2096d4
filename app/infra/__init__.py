"""Composition and process: the only room where names meet technologies."""
