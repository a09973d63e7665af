"""Handlers of /cgi-bin, one file per topic; table.py names them all."""
