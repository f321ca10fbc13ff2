"""How threads of OpenMP wait for each other, with which torch computes on a processor.

Between two parallel regions the threads of GNU OpenMP, that of torch on Linux, spin for about a millisecond before
they sleep. Beside any other program that takes away the core of the thread that is waited for, and where two cores
share the units of one, away from its work: steps of the detector were 1.5 times slower for it with priority over all
other programs, and six times on a busy machine.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_SPINS = "GOMP_SPINCOUNT"
_FEW = "1000"  # some microseconds: regions that follow at once need no sleep
_CHOSEN = (_SPINS, "OMP_WAIT_POLICY")


def spin_briefly(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting threads sleep after some microseconds, unless the user's environment says how they wait.

    It is read when torch is loaded, by this process and by those that it starts: without effect after that, and on
    systems with another OpenMP.

    Parameters
    ----------
    environment : mutable mapping of str to str
        Variables of the environment, changed in place.
    """
    if not any(name in environment for name in _CHOSEN):
        environment[_SPINS] = _FEW
