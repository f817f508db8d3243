"""Telling people what is wrong: what is due, in which words, by which way, and what was told already.

Belongs here: the state of alerts, messages, channels and their memory. Does not: what is wrong (`health`), and when to look
(`orchestration`).
"""
