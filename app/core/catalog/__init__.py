"""How providers sign: data and pure functions over (request, secrets, now)."""
