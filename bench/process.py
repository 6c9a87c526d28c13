"""Servers as child processes, and what mrl-load says of them."""
import contextlib
import json
import os
import re
import signal
import subprocess
import threading


@contextlib.contextmanager
def served(command, cpus=None, log=None):
    """Yields (process, {"grpc": address, "http": address}) once the program prints that it serves."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=log, text=True,
                               preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None)
    try:
        for line in process.stdout:
            if line.startswith("serving "):
                break
        else:
            raise SystemExit(f"{command[0]} ended with {process.wait()} before it served")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process, dict(re.findall(r"(\w+)=(\S+)", line))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def load(program, *flags, cpus=None):
    """The JSON lines of one mrl-load."""
    ran = subprocess.run([program, "--json", *map(str, flags)], check=True, capture_output=True, text=True,
                         preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def memory_bytes(pid, what):
    """What the kernel says of a process: VmRSS, what it holds, or VmHWM, the most it held."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what))


def machine():
    """What stands beside every figure."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "?")
    return {"cpu": model, "cores": os.cpu_count(), "load": [round(one, 2) for one in os.getloadavg()]}
