"""Asking a model about texts: readable templates, marked sections, strict verdicts, one repair."""
