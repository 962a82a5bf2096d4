"""Who acts in tests."""

from app.core.domain.audit import Actor

ADA = Actor("cli:ada")
