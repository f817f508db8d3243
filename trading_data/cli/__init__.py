"""The command line, a module a command.

Belongs here: options, printing, exit codes. Does not: anything worth calling from Python.
"""
