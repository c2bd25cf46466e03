"""Restricts every Python process that has this folder on its PYTHONPATH to loopback addresses.

Other connections raise PermissionError and are listed in the file that LOOPBACK_ATTEMPTS names.
"""

import ipaddress
import os
import sys

LOOKUPS = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}
SENDS = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}


def guard(event, arguments):
    """Audit hook: addresses of other machines, and host names that need a lookup, are errors."""
    if event in LOOKUPS:
        host = arguments[LOOKUPS[event]]
    elif event in SENDS and isinstance(arguments[SENDS[event]], tuple):
        host = arguments[SENDS[event]][0]
    else:
        return
    if not is_own(host):
        with open(os.environ["LOOPBACK_ATTEMPTS"], "a") as stream:
            stream.write(f"{event} {host}\n")
        raise PermissionError(f"{event} {host}: only this machine may be contacted")


def is_own(host):
    """Whether a host is this machine, as None and '' are too."""
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if "LOOPBACK_ATTEMPTS" in os.environ:
    sys.addaudithook(guard)
