"""Become a server: the few steps between fork and exec, as a script that imports nothing of ours.

    python -I -S launch.py OWNER_PID DEATH_SIGNAL IDENTITY PROGRAM ARGUMENT…

It is a script, and no `preexec_fn`, because Python code between fork and exec may deadlock in a process that
has threads. The process keeps its number when it becomes the server, so the server is a direct child of its
owner.

IDENTITY is `self`, `UID:GID`, or `namespace`: a user namespace in which our own user goes by another number.
Postgres refuses to run as user 0; in the namespace it sees itself as somebody else, while the kernel still
takes it for us: files keep their owner, and a folder below a 0700 one stays within reach.
"""

import ctypes
import os
import pwd
import signal
import sys

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_NOBODY = 65534


def _nobody() -> int:
    """A user number that the namespace may show; initdb insists that it has a name."""
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return _NOBODY


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _enter_namespace(libc: ctypes.CDLL) -> None:
    uid, gid, shown_as = os.geteuid(), os.getegid(), _nobody()
    _checked(libc.unshare(_CLONE_NEWUSER), "unshare")
    _write("/proc/self/setgroups", "deny")  # the kernel asks for this before an unprivileged gid_map
    _write("/proc/self/uid_map", f"{shown_as} {uid} 1")
    _write("/proc/self/gid_map", f"{shown_as} {gid} 1")


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(owner: int, death_signal: int, identity: str, program: list[str]) -> None:
    """Take the identity, tie this process to its owner, and become the program."""
    os.umask(0o077)
    libc = ctypes.CDLL(None, use_errno=True)
    if identity == "namespace":
        _enter_namespace(libc)
    elif identity != "self":
        uid, gid = identity.split(":")
        _become(int(uid), int(gid))
    if sys.platform == "linux":
        # Last of all: a change of user clears it. It names the thread that forked us (see process.Child).
        _checked(libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "prctl")
    if os.getppid() != owner:  # it died before the kernel knew that we wanted to hear of it
        os.kill(os.getpid(), signal.SIGKILL)
    os.execv(program[0], program)  # noqa: S606 - to become it is the point


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    except OSError as problem:
        sys.exit(f"error: {problem.strerror} ({sys.argv[4]})")
