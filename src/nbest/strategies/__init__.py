"""Strategies: from a prompt to a `Selection`, through the context alone."""
