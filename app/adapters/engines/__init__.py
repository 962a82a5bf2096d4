"""Who runs jobs."""
