"""batchrun against servers that nobody here wrote.

llama.cpp and LiteLLM are what people put where a provider would stand, nginx and haproxy what they put before it, and llmock is a judge of
clients. Each is a child process on a loopback port; those from PyPI live in environments of their own, built once into pytest's cache.
"""
