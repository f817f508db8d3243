"""What earlier releases left behind has to be readable for ever: `make` keeps it at a release, `test_upgrades` reads it."""
