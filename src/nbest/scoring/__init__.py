"""Scorers: how good is each candidate? Higher is better."""
