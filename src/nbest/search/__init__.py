"""Searches over steps: pure state machines that never see a model."""
