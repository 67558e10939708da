"""Logs, metrics, traces and records of a gateway."""
