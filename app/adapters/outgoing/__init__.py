"""The one guarded HTTP client, and what is fetched with it."""
