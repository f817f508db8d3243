"""The load path broken on purpose: a list of mutants, and the program that runs the tests that guard each (`scripts/mutants`)."""
