"""The command line: argv to verb to render; the only room that prints."""
