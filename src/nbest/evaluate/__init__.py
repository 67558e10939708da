"""Evaluation: everything here reads records; nothing asks a model."""
