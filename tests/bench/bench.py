#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measure sivshmem: each secure figure beside its baseline, taken in turn.

Boots two VMs that share a channel and, beside it, a raw ivshmem-plain device;
prints a table and writes build/bench.json. Timings under emulation are noisy:
read the ratios, and their quartiles.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
KERNEL = os.environ.get("KERNEL", "6.1")
VM = os.path.join(TOP, "tests/vm/vm")
F = "/run/sivshmem-vm"                      # where the guests find their files
RAW_SIZE = 32 << 20

POLICY = """version = 1;
vms = ( { name = "a"; }, { name = "b"; }, { name = "hostile"; } );
services = ( { name = "bench/a"; vm = "a"; }, { name = "bench/b"; vm = "b"; },
             { name = "bench/host"; vm = "host"; } );
channels = (
  { name = "bench"; quota = "64M"; objects = 512; members = (
      { service = "bench/a"; rights = "rw,create"; },
      { service = "bench/b"; rights = "rw,create"; } ); },
  { name = "local"; quota = "64M"; objects = 512; members = (
      { service = "bench/host"; rights = "rw,create"; } ); }
);
"""


def run(*cmd, **kw):
    p = subprocess.run(cmd, stdout=subprocess.PIPE, text=True,
                       timeout=kw.pop("timeout", 600), **kw)
    if p.returncode:
        raise SystemExit(f"bench: {' '.join(cmd)} ended with {p.returncode}\n{p.stdout}")
    return p.stdout


def spread(values):
    """As print_spread() of region.h: lo..hi is the median's 95 % interval."""
    v, n = sorted(values), len(values)
    half = int(0.98 * n ** 0.5) + 1
    return {"median": statistics.median(v), "p25": v[n // 4], "p75": v[n * 3 // 4],
            "lo": v[max(0, n // 2 - half)], "hi": v[min(n - 1, n // 2 + half)], "n": n}


class Bench:
    def __init__(self, keep):
        self.dir = tempfile.mkdtemp(prefix="sivshmem-bench.")
        self.keep, self.daemon, self.vms, self.results = keep, None, False, {}
        self.bells = None

    def path(self, *p):
        return os.path.join(self.dir, *p)

    def setup(self):
        os.makedirs(self.path("files"))
        os.makedirs(self.path("run"))
        ca = [f"{BUILD}/sivshmem-ca", "--dir", self.path("ca")]
        run(*ca, "init", "--host", "bench")
        with open(self.path("ca/policy.conf"), "w") as f:
            f.write(POLICY)
        run(*ca, "check")
        for s in ("a", "b", "host"):
            run(*ca, "issue", f"bench/{s}", "--out", self.path("files", s))
        with open(self.path("files/shim.conf"), "w") as f:
            f.write("map /bench* bench\n")
        with open(self.path("local.conf"), "w") as f:
            f.write(f"transport unix:{self.path('run/local.sock')}\nmap /bench* local\n")
        for t in ("pingpong", "membw", "openbench", "passthrough", "syncbench", "wakebench"):
            shutil.copy(f"{BUILD}/tools/{t}", self.path("files"))
        shutil.copy(f"{BUILD}/bell-{KERNEL}/bell.ko", self.path("files"))
        for b in ("sivshmem", "libsivshmem-shim.so"):
            shutil.copy(f"{BUILD}/{b}", self.path("files"))
        log = open(self.path("cad.log"), "w")
        self.daemon = subprocess.Popen(
            [f"{BUILD}/sivshmem-cad", "--ca-dir", self.path("ca"),
             "--run-dir", self.path("run"), "--audit", self.path("audit.jsonl")],
            stdout=log, stderr=log)
        for _ in range(100):
            if "ready" in open(self.path("cad.log")).read():
                return
            time.sleep(0.1)
        raise SystemExit("bench: the daemon did not start: " + open(self.path("cad.log")).read())

    def boot(self):
        self.vms = True
        with open(self.path("raw"), "wb") as f:
            f.truncate(RAW_SIZE)
        sockets = {name: self.path(f"bell-{name}") for name in ("a", "b")}
        self.bells = subprocess.Popen([sys.executable, f"{TOP}/tests/bench/bell_server.py",
                                       *sockets.values()], stdout=subprocess.PIPE, text=True)
        if self.bells.stdout.readline() != "ready\n":
            raise SystemExit("bench: the server of the bare doorbells did not start")
        for name in ("a", "b"):
            args = json.loads(run(f"{BUILD}/sivshmem-ca", "--dir", self.path("ca"),
                                  "qemu-args", name, "--run-dir", self.path("run"), "--json"))
            args += ["-object", f"memory-backend-file,id=raw,share=on,size={RAW_SIZE},"
                     f"mem-path={self.path('raw')}",
                     "-device", "pcie-root-port,id=rawport,chassis=200,slot=200,pref64-reserve=1G",
                     "-device", "ivshmem-plain,memdev=raw,bus=rawport",
                     "-chardev", f"socket,id=bell,path={sockets[name]}",
                     "-device", "pcie-root-port,id=bellport,chassis=201,slot=201,pref64-reserve=1G",
                     "-device", "ivshmem-doorbell,chardev=bell,vectors=1,bus=bellport"]
            print(f"bench: booting VM {name} ...", file=sys.stderr, flush=True)
            run(VM, "start", name, "--dir", self.dir, "--kernel", KERNEL,
                "--files", self.path("files"),
                "--module", f"{BUILD}/kmod-{KERNEL}/sivshmem.ko", "--", *args)

    def guest(self, name, *cmd, shim=True, timeout=300, background=False):
        pre = [f"{F}/sivshmem", "run", "--map", f"{F}/shim.conf",
               "--identity", f"{F}/{name}", "--"] if shim else []
        full = [VM, "exec", name, "--dir", self.dir, "--timeout", str(timeout), "--",
                *pre, *cmd]
        if background:
            return subprocess.Popen(full, stdout=subprocess.PIPE, text=True)
        return run(*full, timeout=timeout + 30)

    def host(self, *cmd, shim=True):
        pre = [f"{BUILD}/sivshmem", "run", "--map", self.path("local.conf"),
               "--identity", self.path("files/host"), "--"] if shim else []
        return run(*pre, *cmd)

    def raw_path(self, name):
        """The resource2 of the plain ivshmem device, known by its size."""
        out = self.guest(name, "sh", "-c",
                         "for d in /sys/bus/pci/devices/*; do "
                         '[ "$(cat $d/vendor)$(cat $d/device)" = 0x1af40x1110 ] && '
                         f'[ "$(stat -c %s $d/resource2)" = {RAW_SIZE} ] && '
                         "[ ! -e $d/driver ] && echo 1 > $d/enable && echo $d/resource2; done; true",
                         shim=False).split()
        if len(out) != 1:
            raise SystemExit(f"bench: expected one raw device in {name}, found {out}")
        return out[0]

    def between(self, command, timeout):
        """What command(name) prints in a, while it runs in b too."""
        procs = [self.guest(name, *command(name), background=True, timeout=timeout)
                 for name in ("a", "b")]
        out = procs[0].communicate(timeout=timeout + 100)[0]
        procs[1].communicate(timeout=60)
        if procs[0].returncode or procs[1].returncode:
            raise SystemExit(f"bench: {command('a')[0]} failed")
        return json.loads(out)

    def roundtrip(self, batches, rounds):
        self.results["roundtrip_ns"] = self.between(
            lambda name: (f"{F}/pingpong", name, str(batches), str(rounds), "shm:/bench-pp",
                          "raw:" + self.raw_path(name)), 300)

    def wake(self, batches, rounds):
        for name in ("a", "b"):
            self.guest(name, "insmod", f"{F}/bell.ko", shim=False)
        self.results["wake_ns"] = self.between(
            lambda name: (f"{F}/wakebench", name, str(batches), str(rounds), "shm:/bench-wake",
                          "/dev/bell"), 500)

    def compare(self, tool, name, runs, result, by):
        """Each call that the tool times on this host, without and with the shim in turn."""
        got = {}
        for _ in range(runs):
            for key, shim in (("without", False), ("with", True)):
                out = json.loads(self.host(f"{BUILD}/tools/{tool}", name, shim=shim))
                for call, s in out.items():
                    got.setdefault(call, {}).setdefault(key, []).append(s["median"])
        return {call: {"without": spread(v["without"]), "with": spread(v["with"]),
                       result: spread([by(*p) for p in zip(v["with"], v["without"])])}
                for call, v in got.items()}

    def locks(self, runs):
        self.results["locks_private_ns"] = self.compare(
            "syncbench", "shm:/other-s", runs, "paired_difference", lambda w, o: w - o)

    def locks_in_channel(self):
        self.results["locks_channel_ns"] = json.loads(
            self.guest("a", f"{F}/syncbench", "shm:/bench-sync", "shm:/other-sync"))

    def bandwidth(self, batches):
        out = self.guest("a", f"{F}/membw", str(batches), "shm:/bench-bw",
                         "raw:" + self.raw_path("a"), timeout=900)
        self.results["bandwidth_MBps"] = [json.loads(line) for line in out.splitlines()]

    def opens(self, where, make, timed, drop, runs, count):
        make("make", count)
        first, further = [], []
        for _ in range(runs):
            t = json.loads(timed("time", count))
            first.append(t[0] / 1e6)
            further += [x / 1e6 for x in t[1:]]
        drop("drop", count)
        self.results[f"open_{where}_ms"] = {"first": spread(first), "further": spread(further)}

    def open_all(self, runs):
        def local(verb, n):
            return self.host(f"{BUILD}/tools/openbench", verb, "/bench-o", str(n))

        def guest(name):
            return lambda verb, n: self.guest(name, f"{F}/openbench", verb, "/bench-o", str(n))
        self.opens("local", local, local, local, runs, 20)
        self.opens("vm", guest("a"), guest("b"), guest("a"), runs, 20)

    def floods(self, runs):
        """Opens in b, without and with a guest kernel that does its worst, in turn."""
        self.guest("a", f"{F}/openbench", "make", "/bench-f", "20")
        self.results["open_flooded_ms"] = {}
        for how in ("questions", "handshakes", "garbage", "stall"):
            got = {"first": ([], []), "further": ([], [])}
            for _ in range(runs):
                for flooded in (0, 1):
                    flood = self.flood(how) if flooded else None
                    try:
                        t = json.loads(self.guest("b", f"{F}/openbench", "time", "/bench-f", "20"))
                    finally:
                        if flood:
                            flood.kill()
                            flood.wait()
                    got["first"][flooded].append(t[0] / 1e6)
                    got["further"][flooded].append(statistics.median(t[1:]) / 1e6)
            self.results["open_flooded_ms"][how] = {
                call: {"without": spread(o), "with": spread(w),
                       "paired_ratio": spread([x / y for x, y in zip(w, o)])}
                for call, (o, w) in got.items()}
        self.guest("a", f"{F}/openbench", "drop", "/bench-f", "20")

    def flood(self, how):
        p = subprocess.Popen([sys.executable, f"{TOP}/tests/attack/guest.py", "flood",
                              self.path("run"), "hostile", how], stdout=subprocess.PIPE, text=True)
        if p.stdout.readline() != "flooding\n":
            raise SystemExit(f"bench: the flood of {how} did not begin")
        time.sleep(0.5)
        if p.poll() is not None:
            raise SystemExit(f"bench: the flood of {how} ended with {p.returncode}")
        return p

    def plain_open(self, runs):
        """What the same opens cost without us, on this host."""
        def plain(verb, n):
            return self.host(f"{BUILD}/tools/openbench", verb, "/plain-o", str(n), shim=False)
        self.opens("plain_shm", plain, plain, plain, runs, 20)

    def passthrough(self, runs):
        self.results["passthrough_ns"] = self.compare(
            "passthrough", "/other", runs, "paired_ratio", lambda w, o: w / o)

    def stop(self, ok):
        if self.vms:
            subprocess.run([VM, "stop-all", "--dir", self.dir], check=False)
        if self.bells:
            self.bells.kill()
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait(10)
        if ok and not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f"bench: logs are in {self.dir}", file=sys.stderr)


def show(s, unit=""):
    return (f"{s['median']:>9.4g}{unit}  [{s['p25']:.4g} .. {s['p75']:.4g}]"
            f"  95% {s['lo']:.4g} .. {s['hi']:.4g}  n={s['n']}")


def table(r):
    print("\nmedian [quartiles], 95 % interval of the median; "
          "ratio = secure / baseline of neighbouring batches")
    for key, title, ours, baseline in (
            ("roundtrip_ns", "round trip between two VMs, polling (ns)", "channel", "raw"),
            ("wake_ns", "from sem_post in one VM to the end of sem_wait in the other, and from "
             "ringing a bare doorbell to the end of a sleep (ns)", "semaphore", "doorbell")):
        if key in r:
            t = r[key]
            print(f"\n{title}\n  {ours:<10}{show(t['secure'])}\n  {baseline:<10}{show(t['raw'])}"
                  f"\n  ratio     {show(t['paired_ratio'])}")
    if "locks_private_ns" in r:
        print("\nuncontended, in memory that is no channel: without and with the shim (ns)")
        for call, s in r["locks_private_ns"].items():
            print(f"  {call:<7}without {s['without']['median']:>8.4g}  with "
                  f"{s['with']['median']:>8.4g}  difference {show(s['paired_difference'])}")
    if "locks_channel_ns" in r:
        t = r["locks_channel_ns"]
        print("\nuncontended, in a VM: in a channel, and the C library's own beside it (ns)")
        for call, s in t["paired_ratio"].items():
            print(f"  {call:<7}channel {t['first'][call]['median']:>8.4g}  C library "
                  f"{t['second'][call]['median']:>8.4g}  ratio {show(s)}")
    if "bandwidth_MBps" in r:
        print("\nmemcpy in a VM, in and out (MB/s)")
        for b in r["bandwidth_MBps"]:
            print(f"  {b['block']:>9} B  channel {b['secure']['median']:>8.4g}  raw "
                  f"{b['raw']['median']:>8.4g}  ratio {show(b['paired_ratio'])}")
    for key, title in (("open_local_ms", "shm_open to usable mapping, local mode (ms)"),
                       ("open_vm_ms", "shm_open to usable mapping, in a VM (ms)"),
                       ("open_plain_shm_ms", "the same on plain /dev/shm, no shim (ms)")):
        if key in r:
            print(f"\n{title}\n  first     {show(r[key]['first'])}"
                  f"\n  further   {show(r[key]['further'])}")
    if "open_flooded_ms" in r:
        print("\nshm_open to usable mapping in a VM (ms), while another VM's kernel is quiet, and "
              "while it\nsends without end what is named")
        for how, t in r["open_flooded_ms"].items():
            for call, s in t.items():
                print(f"  {how:<11}{call:<8}quiet {s['without']['median']:>8.4g}  flooded "
                      f"{s['with']['median']:>8.4g}  ratio {show(s['paired_ratio'])}")
    if "passthrough_ns" in r:
        print("\na name that is not mapped: cost of a call (ns), without and with the shim")
        for call, s in r["passthrough_ns"].items():
            print(f"  {call:<10}without {s['without']['median']:>8.4g}  with "
                  f"{s['with']['median']:>8.4g}  ratio {show(s['paired_ratio'])}")


# needs the VMs, what --quick gives it, what it gets otherwise
PARTS = {
    "plain": (False, (3,), (30,), Bench.plain_open),
    "passthrough": (False, (2,), (15,), Bench.passthrough),
    "locks": (False, (2,), (15,), Bench.locks),
    "channel-locks": (True, (), (), Bench.locks_in_channel),
    "open": (True, (3,), (40,), Bench.open_all),
    "floods": (True, (2,), (15,), Bench.floods),
    "roundtrip": (True, (50, 200), (10000, 200), Bench.roundtrip),
    "wake": (True, (5, 100), (201, 100), Bench.wake),
    "bandwidth": (True, (5,), (201,), Bench.bandwidth),
}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--quick", action="store_true", help="fewer runs: does it work?")
    p.add_argument("--keep", action="store_true", help="keep logs")
    p.add_argument("--only", metavar="PART,...", help="of: " + " ".join(PARTS))
    p.add_argument("--json", default=os.path.join(BUILD, "bench.json"))
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    only = a.only.split(",") if a.only else PARTS
    if not set(only) <= set(PARTS):
        p.error(f"--only takes some of {' '.join(PARTS)}, got '{a.only}'")
    b, ok = Bench(a.keep), False
    try:
        b.setup()
        for name in only:
            in_vms, quick, full, part = PARTS[name]
            if in_vms and not b.vms:
                b.boot()
            part(b, *(quick if a.quick else full))
        b.results["kernel"], b.results["accel"] = KERNEL, run(VM, "accel").strip()
        with open(a.json + ".tmp", "w") as f:
            json.dump(b.results, f, indent=1)
        os.rename(a.json + ".tmp", a.json)
        table(b.results)
        print(f"\nwritten to {a.json}")
        ok = True
    finally:
        b.stop(ok)


if __name__ == "__main__":
    main()
