"""Runs one case by name, or lists them all. The environment names the namespaces; see Tests/Namespace/run."""

import sys

import datagrams
import dialling
import half_close
import policy
import resets
import stalls

CASES = {case.__name__: case for module in (datagrams, dialling, half_close, policy, resets, stalls) for case in module.CASES}


def main(arguments):
    if arguments == ["--list"]:
        print("\n".join(CASES))
        return 0
    if len(arguments) != 1 or arguments[0] not in CASES:
        print(f"no such case: {arguments}", file=sys.stderr)
        return 64
    CASES[arguments[0]]()
    return 0


sys.exit(main(sys.argv[1:]))
