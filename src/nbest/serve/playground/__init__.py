"""The page to try things in."""
