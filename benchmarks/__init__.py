"""Measurements, each a module with a docstring and `run() -> list[Result]`. What must hold is in tests/, not here."""
