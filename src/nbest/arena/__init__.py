"""Judged games between runs, and win-rates from them."""
