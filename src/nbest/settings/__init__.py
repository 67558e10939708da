"""Settings of runs and gateways, from TOML files and flags."""
