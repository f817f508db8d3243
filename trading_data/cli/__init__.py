"""The command line, a module for each group of commands.

Belongs here: options, printing, exit codes. Does not: anything worth calling from Python.
"""
