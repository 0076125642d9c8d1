#!/usr/bin/python3 -IS
# SPDX-License-Identifier: MIT
"""Boot QEMU guests on the host's own root (read-only) and run commands in them.

  vm start NAME --dir DIR [--kernel 6.1] [--module KO [--no-load]] [--files DIR]
           [--mem MB] [--bound S] [--owner PID] [-- QEMU ARGUMENTS...]
  vm exec NAME --dir DIR [--user UID[:GID]] [--env K=V]... [--timeout S] -- COMMAND...
  vm wait|reboot|kill|stop|log NAME --dir DIR
  vm stop-all --dir DIR
  vm accel                                   # kvm or tcg: what guests will use
"""
import os
import signal
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
KERNELS = os.path.abspath(os.environ.get("SIVSHMEM_KERNELS") or os.path.join(TOP, "build/kernels"))
HEAD = struct.Struct("<IIc3x")              # as in keeper.py
BOOT = int(os.environ.get("SIVSHMEM_BOOT", "90"))  # s: several guests may boot on one slow core
DEFAULTS = {"dir": "", "kernel": os.environ.get("KERNEL") or "6.1", "module": "", "no-load": False,
            "files": "", "mem": "1024", "bound": "900", "owner": "", "user": "", "env": [],
            "timeout": "60"}


def die(text, code=3):
    sys.stderr.write(f"vm: {text}\n")
    sys.exit(code)


def usage(text):
    die(f"{text}\n{__doc__}", 2)


def options(words):
    """Options before "--", by hand: argparse costs more than an exec."""
    opt, i = dict(DEFAULTS, env=[]), 0
    while i < len(words):
        name, eq, value = words[i].partition("=")
        name = name[2:] if name.startswith("--") else usage(f"what is '{words[i]}'?")
        if name == "no-load":
            opt[name] = True
        elif name in opt:
            if not eq:
                i += 1
                value = words[i] if i < len(words) else usage(f"--{name} wants a value")
            if name == "env":
                opt["env"].append(value)
            else:
                opt[name] = value
        else:
            usage(f"no such option: '--{name}'")
        i += 1
    for name in ("mem", "bound", "timeout"):
        try:
            opt[name] = float(opt[name])
        except ValueError:
            usage(f"--{name} wants a number, got '{opt[name]}'")
    return opt


def kernel_env(kernel):
    import shlex
    import subprocess
    p = subprocess.run([f"{TOP}/tests/kernels.sh", "--env", kernel], stdout=subprocess.PIPE, text=True)
    if p.returncode:
        die(f"kernel {kernel} is not here; run tests/kernels.sh {kernel}")
    return dict(w.split("=", 1) for w in shlex.split(p.stdout))


def initrd(out, kernel, *more):
    import subprocess
    if subprocess.run([f"{HERE}/mkinitrd.sh", out, kernel, *more], stdin=subprocess.DEVNULL).returncode:
        die("cannot make the guest's initramfs")


def kvm_boots(kernel):
    import subprocess
    image = os.path.join(KERNELS, f"probe.{os.getpid()}")
    initrd(image, kernel)
    try:
        out = subprocess.run(
            ["timeout", "-s", "KILL", "8", "qemu-system-x86_64", "-accel", "kvm", "-machine", "q35",
             "-cpu", "host", "-smp", "2", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot",
             "-serial", "stdio", "-kernel", kernel_env(kernel)["KIMAGE"], "-initrd", image,
             "-append", "console=ttyS0 quiet sivshmem.probe"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    finally:
        os.unlink(image)
    return b"sivshmem-vm: kernel" in out


def accel(kernel):
    """kvm only if a kernel boots under it: /dev/kvm may exist and be useless."""
    import fcntl
    want = os.environ.get("ACCEL")
    if want in ("kvm", "tcg"):
        return want
    if want:
        die(f"ACCEL must be kvm or tcg, got '{want}'", 2)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    with open("/proc/sys/kernel/random/boot_id") as f:
        boot = f.read().strip()
    cache = os.path.join(KERNELS, "accel")
    os.makedirs(KERNELS, exist_ok=True)
    with open(cache, "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        known = f.read().split()
        if len(known) == 2 and known[0] == boot:
            return known[1]
        got = "kvm" if kvm_boots(kernel) else "tcg"
        f.truncate(0)
        f.write(f"{boot} {got}\n")
        return got


def stat(pid):
    """The parent and the command line of a process."""
    with open(f"/proc/{pid}/stat") as f:
        parent = int(f.read().rpartition(")")[2].split()[1])
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return parent, f.read()


def owner_pid(given):
    """Whose end ends the guest: the Bats run, or the script that called us;
    not a subshell of it, nor a timeout(1) in between."""
    given = given or os.environ.get("SIVSHMEM_VM_OWNER") or os.environ.get("BATS_ROOT_PID")
    if given:
        return 0 if given == "none" else int(given)
    pid = os.getppid()
    while pid > 1:
        parent, line = stat(pid)
        if parent <= 1 or not (os.path.basename(line.split(b"\0")[0]) == b"timeout" or
                               stat(parent)[1] == line):
            break
        pid = parent
    return pid


def tail(path, n=25):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-n:])
    except OSError:
        return ""


class Vm:
    def __init__(self, name, opt):
        self.name, self.opt, self.dir = name, opt, os.path.abspath(opt["dir"])

    def path(self, ext):
        return os.path.join(self.dir, f"{self.name}.{ext}")

    def logs(self):
        return tail(self.path("qemu-log")) + tail(self.path("log"))

    def qemu(self):
        k = kernel_env(self.opt["kernel"])
        how = accel(self.opt["kernel"])
        return ["qemu-system-x86_64", "-name", self.name, "-machine", "q35", "-smp", "2",
                "-accel", "kvm" if how == "kvm" else "tcg,thread=multi",
                "-cpu", "host" if how == "kvm" else "max,la57=off",
                "-m", f"{self.opt['mem']:.0f}", "-no-user-config", "-nodefaults", "-display", "none",
                "-pidfile", self.path("pid"), "-serial", f"file:{self.path('log')}",
                "-qmp", f"unix:{self.path('qmp')},server=on,wait=off",
                "-kernel", k["KIMAGE"], "-initrd", self.path("initrd"),
                "-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on "
                f"tsc=reliable sivshmem.name={self.name}"
                + (" sivshmem.noload" if self.opt["no-load"] else ""),
                "-virtfs", "local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap",
                "-device", "virtio-serial-pci"]

    def start(self, more):
        import subprocess
        if len(self.path("sock")) > 100:
            die(f"the path of {self.dir} is too long for a socket's name; use a shorter one", 2)
        if self.connect():
            die(f"{self.name} is running already")
        for ext in ("sock", "pid"):
            if os.path.exists(self.path(ext)):
                os.unlink(self.path(ext))
        given = []
        for name in ("module", "files"):
            if self.opt[name]:
                if not os.path.exists(self.opt[name]):
                    die(f"--{name} {self.opt[name]}: no such file", 2)
                given += [f"--{name}", self.opt[name]]
        initrd(self.path("initrd"), self.opt["kernel"], *given)
        owner = owner_pid(self.opt["owner"])
        qemu = self.qemu() + more
        with open(self.path("qemu-log"), "w") as log:
            keeper = subprocess.Popen(
                [f"{HERE}/keeper.py", self.dir, self.name, str(owner), f"{self.opt['bound']:.0f}"] + qemu,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 10
        while keeper.poll() is None and time.monotonic() < end:
            s = self.connect()          # the socket is there before it listens
            if s:
                s.close()
                break
            time.sleep(0.005)
        try:
            self.ask(b"w", BOOT)
        except BaseException:
            self.stop(b"k")
            raise

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(self.path("sock"))
        except OSError:
            return None
        return s

    def ask(self, kind, seconds):
        """Send one order; return when it is done."""
        s = self.connect() or die(f"{self.name} is not running:\n{self.logs()}")
        s.settimeout(seconds)
        s.sendall(HEAD.pack(0, 0, kind))
        try:
            trouble = next(frames(s), (b"", b"QEMU ended"))[1].decode()
        except TimeoutError:
            trouble = f"no answer in {seconds} s"
        if trouble:
            die(f"{self.name}: {trouble}:\n{self.logs()}")

    def stop(self, how):
        """quit by QMP, or SIGKILL at once; gone when this returns."""
        try:
            with open(self.path("keeper")) as f:
                keeper = int(f.read())
            if os.fsencode(self.name) not in stat(keeper)[1].split(b"\0"):
                return
            done = os.pidfd_open(keeper)
        except (OSError, ValueError):
            return
        import select
        s = self.connect()
        if how == b"q" and s:
            s.sendall(HEAD.pack(0, 0, b"q"))
            if select.select([done], [], [], 5)[0]:
                return
        os.kill(keeper, signal.SIGTERM)
        if not select.select([done], [], [], 15)[0]:
            os.kill(keeper, signal.SIGKILL)

    def execute(self, argv):
        if not argv:
            usage("exec wants a command after --")
        for number in (signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        user, limit = self.opt["user"], self.opt["timeout"]
        if user and ":" not in user:
            user = f"{user}:{user}"
        words = [f"{limit * 1000:.0f}", user, str(len(self.opt["env"]))] + self.opt["env"] + argv
        data = b"".join(os.fsencode(w) + b"\0" for w in words)
        s = self.connect() or die(f"{self.name} is not running", 125)
        s.settimeout(limit + 30)
        s.sendall(HEAD.pack(len(data), 0, b"r") + data)
        try:
            for kind, data in frames(s):
                if kind == b"x":
                    return struct.unpack("<i", data)[0]
                if kind == b"l":
                    die(f"{self.name}: {data.decode()} during: {' '.join(argv)}", 125)
                put(1 if kind == b"o" else 2, data)
        except TimeoutError:
            die(f"{self.name} does not answer: {' '.join(argv)}", 125)
        die(f"{self.name} went away during: {' '.join(argv)}", 125)


def put(fd, data):
    while data:
        data = data[os.write(fd, data):]


def frames(s):
    buf = b""
    while True:
        while len(buf) >= HEAD.size:
            n, _, kind = HEAD.unpack_from(buf)
            if len(buf) < HEAD.size + n:
                break
            yield kind, buf[HEAD.size:HEAD.size + n]
            buf = buf[HEAD.size + n:]
        data = s.recv(65536)
        if not data:
            return
        buf += data


def main():
    argv, rest = sys.argv[1:], []
    if "--" in argv:
        argv, rest = argv[:argv.index("--")], argv[argv.index("--") + 1:]
    if not argv or argv[0] in ("help", "--help", "-h"):
        usage("what to do?") if not argv else print(__doc__)
        return 0
    verb, argv = argv[0], argv[1:]
    name = argv.pop(0) if argv and not argv[0].startswith("--") else ""
    opt = options(argv)
    if verb == "accel":
        print(accel(opt["kernel"]))
        return 0
    if not opt["dir"] or (verb != "stop-all" and not name):
        usage("NAME and --dir are needed")
    v = Vm(name, opt)
    if verb == "start":
        v.start(rest)
    elif verb == "exec":
        return v.execute(rest)
    elif verb == "wait":
        v.ask(b"w", BOOT)
    elif verb == "reboot":
        v.ask(b"R", BOOT)
    elif verb in ("kill", "stop"):
        v.stop(b"k" if verb == "kill" else b"q")
    elif verb == "stop-all":
        for f in sorted(os.listdir(v.dir)) if os.path.isdir(v.dir) else []:
            if f.endswith(".keeper"):
                Vm(f[:-7], opt).stop(b"q")
    elif verb == "log":
        with open(v.path("log"), "rb") as f:
            put(1, f.read())
    else:
        usage(f"no such command: '{verb}'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
