"""Samplers: plans of what to draw."""
