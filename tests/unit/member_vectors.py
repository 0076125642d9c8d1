#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Print member_vectors.h: two members of an object, and the records that carry
their messages, computed from doc/PROTOCOL.md alone; see handshake_vectors.py."""
import struct

from handshake_vectors import (ANY, binder, cert, h, header, host, host_cert, kdf, keypair, na,
                               out, root, seal, service, service_cert, show, sign, to_client,
                               to_host)

inter, viewer = keypair(7), keypair(5)
inter_cert = cert(2, 0, 7, root, b"fleet", b"", b"host-a", ANY, ANY, inter[0])
viewer_cert = cert(4, 0, 5, inter, b"app/view", b"vm2", b"", ANY, 44, viewer[0])
cam_chain = struct.pack("<II", 1, 0) + service_cert + bytes(304)
viewer_chain = struct.pack("<II", 2, 0) + viewer_cert + inter_cert


def join(role, rights, leaf, secret, bound, ej):
    body = struct.pack("<4sBBHIIQq16s32s64s64s32s32s32s", b"SIVJ", 1, role, 0, rights, 0, 9, 9000,
                       bytes([0x33]) * 16, b"host-a", b"camera", b"frame 0", h(leaf), bound, ej)
    return body + sign(secret, b"sivshmem join v1", h(body))


def attest(rights, member, session, roster, ids, vm, joined):
    body = struct.pack("<4sB3sIIQQqQIIII32s32s", b"SIVA", 1, b"", rights, member, session, roster,
                       5001, 123456789, *ids, 0, vm, h(joined))
    return body + sign(host[1], b"sivshmem attest v1", h(body))


x_cam, x_view = bytes([0x44]) * 32, bytes([0x55]) * 32
ej_cam, ej_view = (out(32, na.crypto_scalarmult_base, x) for x in (x_cam, x_view))
cam_join = join(1, 15, service_cert, service[1], binder, ej_cam)
view_join = join(3, 1, viewer_cert, viewer[1], bytes([0x66]) * 32, ej_view)
cam_attest = attest(15, 1, 77, 1, (1000, 1001, 42), b"vm1", cam_join)
view_attest = attest(1, 2, 78, 2, (33, 44, 55), b"vm2", view_join)
cam_member = cam_chain + cam_join + cam_attest
view_member = viewer_chain + view_join + view_attest
cam_mh, view_mh = (h(b"sivshmem member v1\0" + h(leaf) + j + a) for leaf, j, a in (
    (service_cert, cam_join, cam_attest), (viewer_cert, view_join, view_attest)))
pk = h(b"sivshmem pair v1\0" + min(cam_mh, view_mh) + max(cam_mh, view_mh),
       out(32, na.crypto_scalarmult, x_cam, ej_view))


def confirm(number, to, roster, own, other):
    return struct.pack("<IIQ", number, to, roster) + h(b"sivshmem confirm v1\0" + own + other,
                                                      kdf(pk, 1, b"sivPC_v1"))


cam_confirm = confirm(1, 2, 2, cam_mh, view_mh)
view_confirm = confirm(2, 1, 2, view_mh, cam_mh)


def record(kind, key, counter, plain):
    head = header(kind, len(plain) + 16)
    return head + seal(key, counter, head, plain)


def request(op, grant=0, size=0, oflag=0, rights=0, mode=0, channel=b"", name=b""):
    return struct.pack("<IIIIQQII64s64s64s", op, oflag, rights, mode, grant, size, 0, 0, channel,
                       name, b"")


def result(op, grant=0, number=0, generation=0, size=0, rights=0, created=0, creator=b""):
    return struct.pack("<IIQQQQII64s", op, 0, grant, number, generation, size, rights, created,
                       creator)


requests = [record(5, to_host, n, plain) for n, plain in enumerate((
    request(1, oflag=1, rights=3, mode=0o600, channel=b"camera", name=b"frame 0"),
    request(16, grant=12) + cam_join,
    request(17, grant=12, size=1),
    request(18, grant=12) + cam_confirm,
    request(19, grant=12)))]
slot = struct.pack("<IIQ", 2, 1, 3) + view_confirm + view_member
# READY was the host's record 0
results = [record(6, to_client, n + 1, plain) for n, plain in enumerate((
    result(1, 12, 3, 9, 4096, 15, 1, b"app/cam"),
    result(16) + cam_attest,
    result(17) + struct.pack("<QQII", 3, 0, 1, 0) + slot,
    result(18),
    result(19)))]

if __name__ == "__main__":
    show("member_vectors.py",
         (("host_cert", host_cert), ("inter_cert", inter_cert), ("viewer_cert", viewer_cert),
          ("cam_join", cam_join), ("view_join", view_join), ("cam_attest", cam_attest),
          ("view_attest", view_attest), ("cam_member", cam_member),
          ("view_member", view_member), ("cam_mh", cam_mh), ("view_mh", view_mh), ("pk", pk),
          ("app_key", kdf(pk, 2, b"sivPC_v1")), ("cam_confirm", cam_confirm),
          ("view_confirm", view_confirm), ("to_host", to_host), ("to_client", to_client))
         + tuple((f"request_{n}", r) for n, r in enumerate(requests))
         + tuple((f"result_{n}", r) for n, r in enumerate(results)))
