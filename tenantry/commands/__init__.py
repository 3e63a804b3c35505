"""The commands of `tenantry/cli.py`: a module for each, whose `run` carries out the command.

The command line imports the module of a command only when the command is called, so that no command
waits for the libraries of another one.
"""
