#!/usr/bin/env python3
"""Applies a filter for fail2ban to a log, as fail2ban does, and prints the address of each line that matches.

fail2ban itself is not installed for this: its package starts a service that changes the firewall.

failregex.py FILTER LOG
"""

import configparser
import re
import sys

# What <ADDR> stands for in failregex (jail.conf(5)): an address without brackets.
ADDRESS = r"(?P<addr>(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4})"


def main() -> None:
    settings = configparser.RawConfigParser()
    with open(sys.argv[1], encoding="utf-8") as file:
        settings.read_file(file)
    lines = settings["Definition"]["failregex"].split("\n")
    patterns = [re.compile(line.strip().replace("<ADDR>", ADDRESS)) for line in lines]
    with open(sys.argv[2], encoding="utf-8") as file:
        for line in file:
            for pattern in patterns:
                found = pattern.search(line.rstrip("\n"))
                if found:
                    print(found["addr"])
                    break


main()
