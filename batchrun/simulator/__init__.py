"""A stand-in for Model Studio's OpenAI-compatible chat route: ``service`` decides what a call is answered, ``server`` listens."""
