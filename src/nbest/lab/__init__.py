"""The offline laboratory: a task family with exact labels and a tiny multilingual model trained on it."""
