"""OpenAI's three APIs, as clients of the gateway use them: requests, replies, streams."""
