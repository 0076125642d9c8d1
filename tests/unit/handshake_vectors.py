#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Print handshake_vectors.h: one exchange, computed from doc/PROTOCOL.md alone.

A second implementation: Python's own BLAKE2b, libsodium's primitives by
ctypes, nothing of this project's C.
"""
import ctypes, hashlib, struct, textwrap

na = ctypes.CDLL("libsodium.so.23")
na.sodium_init()


def out(size, function, *args):
    buffer = ctypes.create_string_buffer(size)
    assert function(buffer, *args) == 0
    return buffer.raw


def keypair(seed):
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    na.crypto_sign_seed_keypair(public, secret, bytes([seed]) * 32)
    return public.raw, secret.raw


def sign(secret, context, data):
    data = context + b"\0" + data
    return out(64, na.crypto_sign_detached, None, data, ctypes.c_ulonglong(len(data)), secret)


def seal(key, counter, header, plain):
    return out(len(plain) + 16, na.crypto_aead_xchacha20poly1305_ietf_encrypt, None, plain,
               ctypes.c_ulonglong(len(plain)), header, ctypes.c_ulonglong(len(header)), None,
               struct.pack("<Q", counter) + bytes(16), key)


def h(data, key=b""):
    return hashlib.blake2b(data, digest_size=32, key=key).digest()


def kdf(key, number, context):
    return hashlib.blake2b(b"", digest_size=32, key=key, salt=struct.pack("<Q", number) + bytes(8),
                           person=context + bytes(8)).digest()


def mix(th, message):
    return h(b"sivshmem transcript v1\0" + th + struct.pack("<Q", len(message)) + message)


def header(kind, length):
    return struct.pack("<HHI", kind, 0, length)


def cert(kind, path_len, serial, issuer, subject, vm, host, uid, gid, public):
    body = struct.pack("<4sBBBBQqq32s64s32s32sIIII32s", b"SIVC", 1, kind, path_len, 0, serial,
                       1000, 0, h(issuer[0]), subject, vm, host, uid, gid, 0, 0, public)
    return body + sign(issuer[1], b"sivshmem certificate v1", body)


ANY = 0xFFFFFFFF
root, host, service = keypair(1), keypair(2), keypair(3)
root_cert = cert(1, 1, 1, root, b"root", b"", b"", ANY, ANY, root[0])
host_cert = cert(3, 0, 2, root, b"host-a", b"", b"", ANY, ANY, host[0])
service_cert = cert(4, 0, 3, root, b"app/cam", b"vm1", b"host-a", 1000, ANY, service[0])


def chain(leaf):
    return struct.pack("<II", 1, 0) + leaf + bytes(304)


x_client, x_host = bytes([0x11]) * 32, bytes([0x22]) * 32
hello = header(1, 40) + struct.pack("<HHI", 1, 1, 1) + out(32, na.crypto_scalarmult_base, x_client)
clear = (header(2, 784) + struct.pack("<HHIQ", 1, 0, 1, 77) + bytes([0x33]) * 16
         + out(32, na.crypto_scalarmult_base, x_host))
th = mix(mix(h(b"sivshmem handshake v1\0"), hello), clear)
hk = h(th, out(32, na.crypto_scalarmult, x_host, hello[16:]))

body = struct.pack("<qQQ", 5000, 5, 6) + chain(host_cert)
th = mix(th, body)
sig = sign(host[1], b"sivshmem host auth v1", th)
th = mix(th, sig)
host_message = clear + seal(kdf(hk, 1, b"sivHS_v1"), 0, clear[:8], body + sig)

body = struct.pack("<Q", 0) + chain(service_cert)
th = mix(th, body)
sig = sign(service[1], b"sivshmem service auth v1", th)
th = mix(th, sig)
auth = header(3, 704) + seal(kdf(hk, 2, b"sivHS_v1"), 0, header(3, 704), body + sig)

mk = h(th, hk)
to_client, to_host = kdf(mk, 1, b"sivTR_v1"), kdf(mk, 2, b"sivTR_v1")
binder = h(b"sivshmem binder v1\0" + th)
body = struct.pack("<IIIIQQ32s", 0, 1000, 1001, 42, 77, 123456789, b"vm1") + binder
ready = header(4, 112) + seal(to_client, 0, header(4, 112), body)
record = header(5, 21) + seal(to_host, 0, header(5, 21), b"hello")


def show(script, vectors):
    print(f"/* SPDX-License-Identifier: MIT */\n/* Printed by {script}. */")
    for name, value in vectors:
        lines = textwrap.wrap(value.hex(), 88)
        print(f"static const char vector_{name}[] =\n\t"
              + "\n\t".join(f'"{x}"' for x in lines) + ";")


if __name__ == "__main__":
    show("handshake_vectors.py",
         (("hello", hello), ("host", host_message), ("auth", auth), ("ready", ready),
          ("to_client", to_client), ("to_host", to_host), ("binder", binder),
          ("root_cert", root_cert), ("service_cert", service_cert), ("record", record)))
