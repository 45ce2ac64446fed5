"""CPU time of a server with all its processes, and of everybody else on the machine.

The kernel tells the times of a process exactly when it is reaped, but in steps of 10 ms while it
lives, which matters for a server of a hundred small processes: schedstat counts nanoseconds. A
server's time is therefore, over every process below ours: the larger of its own stat and the sum of
its threads' schedstat, and the time of the children it has reaped. The driver is made a subreaper,
so that a process whose parent has died stays below it, as a zombie with its times, until the end.
"""

import ctypes
import os
import pathlib
import resource

TICKS = os.sysconf("SC_CLK_TCK")
PROC = pathlib.Path("/proc")
PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def read_stat(pid):
    """The fields of /proc/PID/stat after the command, which may hold blanks and parentheses."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def threads_seconds(pid):
    """What the threads that live now have run, to the nanosecond."""
    total = 0
    for task in (PROC / str(pid) / "task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError, ValueError):  # the thread has gone, or there is no schedstat
            pass
    return total / 1e9


def process_seconds(pid):
    """One process and the children it has reaped; 0 when it is gone."""
    try:
        fields = read_stat(pid)
        own = (int(fields[11]) + int(fields[12])) / TICKS
        reaped = (int(fields[13]) + int(fields[14])) / TICKS
        return max(own, threads_seconds(pid)) + reaped
    except (OSError, IndexError):
        return 0.0


def children_of_all():
    children = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(read_stat(entry.name)[1]), []).append(int(entry.name))
            except (OSError, IndexError):
                pass
    return children


def descendants(root, without=()):
    """Every process below root, except those of `without` and what is below them."""
    children = children_of_all()
    found, open_ends = [], [root]
    while open_ends:
        for child in children.get(open_ends.pop(), ()):
            if child not in without:
                found.append(child)
                open_ends.append(child)
    return found


def tree_seconds(root, without=()):
    """CPU time of everything below root, live, dead and reaped; root itself is not counted."""
    return sum(process_seconds(pid) for pid in descendants(root, without))


def own_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def machine_seconds():
    """CPU time of the whole machine that was neither idle nor waiting for a disk: user, nice,
    system, interrupts, and what the hypervisor took away."""
    fields = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS
