"""The command line, a module a command; `eigenbar.main` puts them together."""
