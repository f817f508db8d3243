"""Notifications of what is wrong: what is due, its words, the channels, and what each channel got already.

Belongs here: the state of alerts, messages, channels and their saved state. Does not: what is wrong (`health`), and when to look
(`orchestration`).
"""
