"""The idempotency shield in Redis."""
