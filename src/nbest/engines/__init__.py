"""Engines: where text comes from."""
