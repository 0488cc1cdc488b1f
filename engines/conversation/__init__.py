"""Conversations of several turns: memory, prompt, and the text of the answer."""
