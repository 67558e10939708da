"""The three OpenAI APIs that clients speak: requests, replies, streams."""
