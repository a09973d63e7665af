#!/usr/bin/env python
"""Django's command line."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
    if sys.argv[1:2] == ["wecom_sandbox"]:  # needs none of our settings, so a stranger's clone can start it
        from wecom.management.commands.wecom_sandbox import become

        become(sys.argv[2:])
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
