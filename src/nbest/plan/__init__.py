"""Compute-optimal inference: what draws say about a prompt, and what is learned from it. Pure: no model is asked."""
