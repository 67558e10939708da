"""What was spent: tokens, FLOPs, money."""
