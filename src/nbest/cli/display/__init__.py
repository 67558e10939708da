"""What the command line prints: tables and colours on a terminal, plain lines elsewhere, JSON for scripts."""
