"""Evaluation: everything here reads records; only `verdicts` asks a model, a judge, and records what it says."""
