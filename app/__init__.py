"""OpsConnect: webhook middleware."""
