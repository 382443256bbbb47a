"""A process that makes no connection, whatever it is asked: the kernel refuses it a socket.

Oxigraph opens the files of a large version while it answers, so a ban on new descriptors would stop its own reading;
a ban on sockets alone does not. The filter is the kernel's own (seccomp, see seccomp(2)); it cannot be taken off again.
"""

import contextlib
import ctypes
import errno
import platform
import resource
import struct
import sys
from collections.abc import Iterator
from typing import Final

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2  # prctl(2)
# Machine -> its name in <linux/audit.h> and its number of socket(2).
_MACHINES: Final = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_LOAD, _IF_EQUAL, _IF_ATLEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # operations of a filter, <linux/bpf_common.h>
_NUMBER, _MACHINE = 0, 4  # places in the data of a call, <linux/seccomp.h>
_X32: Final = 0x40000000  # calls of the x32 interface, which have numbers of their own
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


class Confinement:
    """The state of this process, which from now on makes no connection; sockets that are open keep working.

    Where the kernel has no such filter (systems other than Linux), the process is refused every new descriptor instead,
    and can then not read a version of which a part is still closed.
    """

    def __init__(self) -> None:
        self._filtered = _filter_calls()
        if not self._filtered:
            _limit_descriptors(lifted=False)

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """Let files be opened for as long as a version is opened."""
        if not self._filtered:
            _limit_descriptors(lifted=True)
        try:
            yield
        finally:
            if not self._filtered:
                _limit_descriptors(lifted=False)

    def lift(self) -> None:
        """Let the process open files again, before it ends."""
        _limit_descriptors(lifted=True)


def _filter_calls() -> bool:
    """Return whether the kernel refuses this process and its later threads every new socket."""
    found = _MACHINES.get(platform.machine())
    if not sys.platform.startswith("linux") or found is None:
        return False
    machine, socket_call = found
    steps = b"".join(
        struct.pack("=HBBI", *step)
        for step in (
            (_LOAD, 0, 0, _MACHINE),
            (_IF_EQUAL, 0, 3, machine),  # another interface: refuse
            (_LOAD, 0, 0, _NUMBER),
            (_IF_ATLEAST, 1, 0, _X32),
            (_IF_EQUAL, 0, 1, socket_call),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    program = _Program(len(steps) // 8, steps)
    control = ctypes.CDLL(None, use_errno=True).prctl
    if control(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return not control(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)


def _limit_descriptors(*, lifted: bool) -> None:
    """Set the soft limit of new descriptors, which is for those to come: none, or as many as may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most if lifted else 0, most))
