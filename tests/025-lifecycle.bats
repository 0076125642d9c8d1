#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Certificates over their life: renewed, revoked, of a fleet's hosts, keys under
# passphrases; and a daemon whose key changes while its services go on.

load helpers

setup() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-life.XXXXXX")
	cd "$D" || return
	policy() {
		cat <<-'P'
		version = 1;
		services = ( { name = "t/maker"; vm = "host"; }, { name = "t/peer"; vm = "host"; } );
		channels = ( { name = "main"; quota = "1M"; members = (
		      { service = "t/maker"; rights = "rw,create"; },
		      { service = "t/peer"; rights = "rw"; } ); } );
		P
	}
	policy | ca_scratch "$D"
	printf 'transport unix:%s/run/local.sock\nmap /* main\n' "$D" >map
	echo 'correct horse' >pass
	echo 'other words' >other
	chmod 600 pass other
}
teardown() { stop_cad "$D"; rm -rf "$D"; }

ca() { sivshmem-ca --dir "$D/ca" "$@"; }
serial() { ca show "$1" --json | jq -r '.chain[0].serial'; }
state() { ca show "$1" --json | jq -r '.state'; }
prog() { # prog BUNDLE COMMAND...
	SIVSHMEM_MAP=$D/map SIVSHMEM_IDENTITY=$D/$1 LD_PRELOAD=$BUILD/libsivshmem-shim.so \
		timeout 40 "$BUILD/tools/shmtool" "${@:2}" 3>&-
}
said() { grep -q "$1" "$D/cad.log"; }

@test "life: renew gives a new certificate in one step, to the same key or a new one" {
	ca issue t/maker --out id --vm host --uid 65534 >/dev/null
	local old key
	old=$(serial id) key=$(cat id/service.key)
	run_x ca renew id --days 30
	has "renewed t/maker in id"
	has "was $old"
	[ "$(serial id)" != "$old" ]
	[ "$(cat id/service.key)" = "$key" ]
	# what it was bound to it is bound to
	run_x ca show id
	has "65534"
	[ "$(id -u)" -ne 0 ] || [ "$(stat -c %u id/service.cert)" = 65534 ]
	run_x ca renew id --new-key
	[ "$(cat id/service.key)" != "$key" ]
	[ "$(stat -c %a id/service.key)" = 600 ]
	run_x ca show id
	has "verified    yes"
	[ "$(find . -maxdepth 1 -name 'id*' | wc -l)" -eq 1 ]
	# where it is, however it is called; but a new one can't take the place of "."
	cd id
	run_x ca renew .
	run_x ca renew ../id/
	run_x 3 ca renew . --new-key
	has ".: cannot put the new one there"
	cd ..
	[ "$(find id -mindepth 1 | wc -l)" -eq 3 ]
	run_x ca list
	[ "$(grep -c t/maker <<<"$output")" -eq 5 ]
}

@test "life: renew refuses what is not this CA's, and leaves it as it was" {
	sivshmem-ca --dir other-ca init --host testhost >/dev/null
	sivshmem-ca --dir other-ca issue t/maker --out foreign >/dev/null
	local before
	before=$(cat foreign/*)
	run_x 1 ca renew foreign
	has "foreign: is of another CA; renew it there"
	[ "$(cat foreign/*)" = "$before" ]
	run_x 3 ca renew nowhere
	has "nowhere"
	run_x 2 ca renew
	run_x 2 ca renew id --days 0
	has "--days is 1 to"
	# its owner wrote another service's name into it
	ca issue t/maker --out id >/dev/null
	ca issue t/peer --out peer >/dev/null
	sivshmem-ca --dir other-ca issue t/peer --out forged >/dev/null
	cp forged/service.cert id/
	run_x 1 ca renew id
	has "id: is of another CA"
	cp "ca/issued/$(serial peer).cert" ca/issued/"$(serial forged)".cert
	run_x 1 ca renew id
	has "is not the certificate that this CA issued"
	# a certificate that this CA did issue: everybody has it, its service alone the key
	ca issue t/maker --out mine >/dev/null
	cp peer/service.cert mine/
	before=$(cat mine/* ; ls ca/issued)
	for how in "" --new-key --revoke; do
		run_x 1 ca renew mine $how --run-dir none
		has "mine/service.key: does not belong to service.cert"
		[ "$(cat mine/*; ls ca/issued)" = "$before" ]
		[ ! -e ca/revoked.list ]
	done
	mv mine/service.key key
	run_x 3 ca renew mine
	has "mine/service.key: is not there, and who renews must have the key; copy it back"
	# nor a key whose public half was written over it
	python3 - key peer/service.key mine/service.key <<-'P'
	import base64, sys
	def secret(name): return base64.b64decode("".join(open(name).read().split("\n")[1:]))
	both = base64.b64encode(secret(sys.argv[1])[:32] + secret(sys.argv[2])[32:]).decode()
	open(sys.argv[3], "w").write(f"sivshmem secret key v1\n{both[:76]}\n{both[76:]}\n")
	P
	chmod 600 mine/service.key
	run_x 1 ca renew mine --new-key
	has "mine/service.key:2: not an Ed25519 secret key"
	# and a revoked one does not come back with the same key
	run_x ca revoke "$(serial peer)" --run-dir none
	run_x 1 ca renew peer
	has "peer: was revoked; give it a new key by --new-key"
	run_x ca renew peer --new-key
}

# meddle ACT VICTIM COMMAND...: at a moment of ACT somebody who owns the place of
# the bundle puts VICTIM where the command has just made something
meddle() {
	cat >meddle.c <<-'C'
	#include <dlfcn.h>
	#include <fcntl.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <sys/stat.h>
	#include <unistd.h>
	static int act(const char *name) { return !strcmp(getenv("MEDDLE"), name); }
	static void swap(int dir, const char *name)
	{
		char away[4096];

		snprintf(away, sizeof(away), "%s.away", name);
		if (renameat(dir, name, dir, away) || symlinkat(getenv("VICTIM"), dir, name))
			abort();
		puts("meddled");
	}
	char *mkdtemp(char *pattern)
	{
		char *(*real)(char *) = dlsym(RTLD_NEXT, "mkdtemp"), *made = real(pattern);

		if (made && act("mkdtemp"))
			swap(AT_FDCWD, made);
		return made;
	}
	int mkdir(const char *path, mode_t mode)
	{
		int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir");
		int rc = real(path, mode);

		/* within the new directory only root can */
		if (!rc && act("mkdir") && !strchr(path, '/'))
			swap(AT_FDCWD, path);
		return rc;
	}
	int link(const char *from, const char *to)
	{
		int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "link");
		int rc = real(from, to);

		/* the bundle is the user's: what is in it can be any file that he can link */
		if (act("link") && !access("id/service.cert.new", F_OK) &&
		    (unlink("id/service.cert.new") || real(getenv("VICTIM"), "id/service.cert.new")))
			abort();
		return rc;
	}
	int renameat2(int a, const char *from, int b, const char *to, unsigned int flags)
	{
		int (*real)(int, const char *, int, const char *, unsigned int) =
			dlsym(RTLD_NEXT, "renameat2");
		int rc = real(a, from, b, to, flags);

		if (!rc && act("renameat2"))
			swap(a, from);
		return rc;
	}
	C
	[ -e meddle.so ] || gcc -shared -fPIC -D_GNU_SOURCE -o meddle.so meddle.c -ldl
	MEDDLE=$1 VICTIM=$2 LD_PRELOAD=${SIVSHMEM_SANITIZED:+$(gcc -print-file-name=libasan.so):}$D/meddle.so \
		sivshmem-ca --dir "$D/ca" "${@:3}"
}
# all of a directory: names, owners, modes, content
facts() { find "$1" -printf '%p %u %m %n\n' | sort; find "$1" -type f -exec sha256sum {} + | sort; }

@test "life: who owns the place of a bundle gets nothing else of root's" {
	requires root
	local before
	mkdir -m 755 etc
	echo secret >etc/shadow
	chmod 600 etc/shadow
	before=$(facts etc)
	run_x 1 meddle mkdtemp "$D/etc" issue t/maker --out id --vm host --uid 65534
	has "meddled"
	has "id: somebody has put something else in the place of the new directory"
	[ "$(facts etc)" = "$before" ]
	[ -z "$(ls ca/issued)" ]
	# the files of a CA have the names of those that are taken back
	cp ca/*.cert ca/*.key ca/policy.conf etc/
	before=$(facts etc)
	run_x 1 meddle mkdtemp "$D/etc" intermediate ecu7 --out ecu7
	has "meddled"
	has "ecu7: somebody has put something else"
	[ "$(facts etc)" = "$before" ]
	run_x meddle mkdir "$D/etc" intermediate ecu7 --out ecu8
	[ "$(facts etc)" = "$before" ]
	ca issue t/maker --out id --vm host --uid 65534 >/dev/null
	run_x 1 meddle mkdtemp "$D/etc" renew id --new-key
	has "meddled"
	has "id: somebody has put something else"
	[ "$(facts etc)" = "$before" ]
	run_x 1 meddle mkdtemp "$D/etc" renew id
	has "meddled"
	has "id: somebody has put something else"
	[ "$(facts etc)" = "$before" ]
	run_x meddle link "$D/etc/shadow" renew id
	[ "$(facts etc)" = "$before" ]
	[ "$(stat -c '%u %a' id/service.cert)" = '65534 644' ]
}

@test "life: renew reads no key for who could not read it himself" {
	requires root
	ca issue t/maker --out id --vm host --uid 65534 >/dev/null
	ca issue t/peer --out peer --vm host --uid 65533 >/dev/null
	cp peer/service.cert id/
	ln -f peer/service.key id/service.key
	run_x 1 ca renew id --new-key
	has "id/service.key: owned by uid 65533, its directory by uid 65534; chown it"
	ln -sf "$D/peer/service.key" id/service.key
	run_x 3 ca renew id --new-key
	has "it is a symbolic link"
	chown 65533 id
	chmod 770 id
	ln -f peer/service.key id/service.key
	run_x 1 ca renew id --new-key
	has "id/service.key: a file that has other names, too"
	# root's directory, in which nobody else writes, can have a key of its service
	chown 0 peer
	rm id/service.key
	run_x ca renew peer
}

@test "life: the bundle that goes is the one that was exchanged" {
	ca issue t/maker --out id >/dev/null
	ca issue t/peer --out peer >/dev/null
	local before
	before=$(facts peer)
	run_x meddle renameat2 "$D/peer" renew id --new-key
	has "meddled"
	[ "$(facts peer)" = "$before" ]
	[ "$(state id)" = valid ]
}

@test "life: renew --revoke shuts the old certificate out of a running daemon" {
	ca issue t/maker --out id >/dev/null
	cp -r id stolen
	start_cad "$D"
	run_x prog stolen open /a rwcx , truncate 100
	run_x ca renew id --new-key --revoke --run-dir "$D/run"
	has "revoked"
	wait_for 5 said 'revocation list: epoch 1, 1 serials'
	run_x prog stolen fails EACCES open /a rw
	# whoever has the old key may have the old memory mapped yet
	run_x prog id fails ENOENT open /a rw , open /a rwcx , unlink /a
	run_x ca list
	has "revoked"
	run_x ca show id
	has "verified    yes"
	run_x 1 ca show stolen
	has "verified    it is revoked (against $D/ca/revoked.list)"
	run_x 1 ca show stolen --json
	[ "$(jq -r '"\(.verified) \(.state)"' <<<"$output")" = "false revoked" ]
}

@test "life: who cannot see whether a daemon runs is told so, and not that none does" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	chmod 755 "$D"
	start_cad "$D"
	run_x 3 setpriv --reuid 4242 --regid 4242 --clear-groups \
		sivshmem-ca --dir "$D/ca" reload --run-dir "$D/run"
	has "cannot tell whether a daemon runs: $D/run/sivshmem-cad.pid: Permission denied; run "
	run_x ca reload --run-dir "$D/run"
	has "told the daemon"
	stop_cad "$D"
	run_x ca reload --run-dir "$D/run"
	has "no sivshmem-cad serves"
}

@test "life: nothing is revoked on a list that the daemon refuses" {
	ca issue t/maker --out id >/dev/null
	ca issue t/peer --out peer >/dev/null
	ca issue t/peer --out third >/dev/null
	start_cad "$D"
	run_x ca revoke "$(serial id)" --run-dir "$D/run"
	cp ca/revoked.list first
	run_x ca revoke "$(serial peer)" --run-dir "$D/run"
	wait_for 5 said 'revocation list: epoch 2, 2 serials'
	rm ca/revoked.list
	run_x 1 ca revoke "$(serial third)" --run-dir "$D/run"
	has "ca/revoked.list: epoch 0, but the daemon has believed epoch 2: the list is lost"
	has "restore the newest"
	[ ! -e ca/revoked.list ]
	run_x 1 ca renew id
	has "the list is lost"
	run_x 1 ca list
	has "t/maker"
	has "the list is lost"
	cp first ca/revoked.list
	run_x 1 ca revoke "$(serial third)" --run-dir "$D/run"
	has "epoch 1, but the daemon has believed epoch 2: the list is an old one"
	cmp first ca/revoked.list
	echo much >ca/revoked.epoch
	run_x 1 ca revoke "$(serial third)" --run-dir "$D/run"
	has "ca/revoked.epoch: not a number; restore it"
	# it is lost for good, as the manual has it
	stop_cad "$D"
	rm ca/revoked.epoch ca/revoked.list
	run_x ca revoke "$(serial id)" "$(serial peer)" --run-dir "$D/run"
	start_cad "$D"
	[ "$(cat ca/revoked.epoch)" = 1 ]
	run_x prog id fails EACCES open /a rwcx
	run_x prog third fails ENOENT open /a rw
}

@test "life: the host's key changes, and programs go on" {
	ca issue t/maker --out id >/dev/null
	ca issue t/peer --out peer >/dev/null
	start_cad "$D"
	prog id open /a rwcx , truncate 100 , map rw , write 0 one , wait 8 two 20 , \
		open /b rwcx , truncate 100 >"$D/out" 2>&1 &
	local pid=$! before
	before=$(serial ca/host.cert)
	wait_for 10 prog peer open /a rw
	run_x ca rotate-host --run-dir "$D/run"
	has "host 'testhost' has a new key"
	wait_for 5 said 'host certificate: serial'
	[ "$(serial ca/host.cert)" != "$before" ]
	# a new session by the new key, with memory of an old one; and the old one opens more
	run_x prog peer open /a rw , map rw , read 0 3 , write 8 two
	has "read one"
	wait $pid
	run_x prog peer open /b rw
	# the old key is of no use to anybody who has kept it: the log says where each begins
	run_x ca audit verify --audit "$D/audit.jsonl"
	has "whole"
	grep -q '"event":"host-key"' "$D/audit.jsonl"
	sivshmem-ca --dir "$D/ca" status --run-dir "$D/run" >/dev/null
}

@test "life: a host key that does not fit its certificate is not taken" {
	ca issue t/maker --out id >/dev/null
	start_cad "$D"
	cp ca/host.key old.key
	run_x ca rotate-host --run-dir "$D/none"
	has "reads"
	cp old.key ca/host.key
	run_x ca reload --run-dir "$D/run"
	wait_for 5 said "host.key: does not belong to host.cert; the host's certificate stays what it was"
	run_x prog id open /a rwcx , unlink /a
}

@test "life: a fleet: the root at home, an intermediate on each host" {
	run_x ca intermediate ecu7 --out ecu7
	has "intermediate of host 'ecu7' in ecu7"
	[ ! -e ecu7/root.key ]
	[ "$(stat -c %a ecu7 ecu7/issued ecu7/host.key | tr '\n' ' ')" = '700 700 600 ' ]
	run_x 1 ca intermediate ecu7 --out ecu7
	has "ecu7: exists and is not overwritten"
	run_x 3 ca intermediate ecu7 --out none/ecu7
	has "none/ecu7: cannot create it"
	policy >ecu7/policy.conf
	run_x sivshmem-ca --dir ecu7 issue t/maker --out id
	run_x sivshmem-ca --dir ecu7 show id
	has "intermediate/ecu7"
	has "verified    yes"
	# it can not make another, nor a bundle for another host
	run_x 1 sivshmem-ca --dir ecu7 intermediate ecu8 --out ecu8
	has "only a root makes them"
	[ ! -e ecu8 ]
	mv ca home
	mv ecu7 ca
	start_cad "$D"
	run_x prog id open /a rwcx , truncate 100
	# revoked by the host itself
	run_x ca revoke "$(serial id)" --run-dir "$D/run"
	wait_for 5 said 'revocation list: epoch 1, 1 serials'
	run_x prog id fails EACCES open /a rw
	# and by the root: its list comes by a file
	run_x ca issue t/peer --out peer
	run_x prog peer open /b rw || true
	run_x sivshmem-ca --dir home revoke "$(ca show ca/intermediate.cert --json | jq -r '.chain[0].serial')" --run-dir "$D/none"
	run_x ca revoke --from home/revoked.list --run-dir "$D/run"
	has "epoch 2, 2 serials"
	wait_for 5 said 'revocation list: epoch 2, 2 serials'
	run_x prog peer fails EACCES open /c rw
	has "refused"
	# nor what the host signed by a certificate of that intermediate
	run_x 1 ca audit verify --audit "$D/audit.jsonl"
	has "$(ca show ca/intermediate.cert --json | jq -r '.chain[0].serial') is revoked"
	has "NOT whole: 1 faults"
}

@test "life: an intermediate of one host is nothing on another" {
	ca intermediate ecu7 --out ecu7 >/dev/null
	policy >ecu7/policy.conf
	sivshmem-ca --dir ecu7 issue t/maker --out id >/dev/null
	start_cad "$D"
	run_x prog id fails EACCES open /a rwcx
	audit "$D" '.event == "auth"' | grep -q '"result":"refused"'
}

@test "life: keys under a passphrase" {
	run_x ca --passphrase-file none passphrase root --new pass
	has "ca/root.key: sealed under the new passphrase"
	grep -q 'sivshmem sealed key v1' ca/root.key
	[ "$(stat -c %a ca/root.key)" = 600 ]
	run_x 3 ca issue t/maker --out id </dev/null
	has "--passphrase-file"
	[ ! -e id ]
	run_x 1 ca --passphrase-file other issue t/maker --out id
	has "root.key: wrong passphrase, or the file was altered"
	run_x ca --passphrase-file pass issue t/maker --out id
	run_x ca --passphrase-file pass revoke "$(serial id)" --run-dir "$D/none"
	chmod 644 pass
	run_x 1 ca --passphrase-file pass issue t/maker --out id2
	has "pass: a passphrase that group or others can reach; chmod 600 it"
	chmod 600 pass
	run_x ca --passphrase-file pass passphrase root --new other
	run_x ca --passphrase-file other issue t/maker --out id3
	run_x ca --passphrase-file other passphrase root --remove
	run_x ca issue t/maker --out id4
	run_x 2 ca passphrase service
}

@test "life: the daemon with a host key under a passphrase, over a rotation" {
	ca issue t/maker --out id >/dev/null
	ca passphrase host --new pass >/dev/null
	run timeout 10 sivshmem-cad --ca-dir ca --run-dir "$D/run" --audit "$D/audit.jsonl"
	[ "$status" -eq 3 ]
	has "ca/host.key: sealed under a passphrase; give sivshmem-cad --passphrase-file FILE"
	run timeout 10 sivshmem-cad --ca-dir ca --run-dir "$D/run" --audit "$D/audit.jsonl" \
		--passphrase-file "$D/other"
	[ "$status" -eq 3 ]
	has "wrong passphrase"
	start_cad "$D" --passphrase-file "$D/pass"
	run_x prog id open /a rwcx , truncate 100
	run_x ca --passphrase-file pass rotate-host --run-dir "$D/run"
	grep -q 'sivshmem sealed key v1' ca/host.key
	wait_for 10 said 'host certificate: serial'
	run_x prog id open /a rw
	# neither key nor passphrase is in the monitor or a worker
	run_x python3 - "$D" "$(cat "$D/cad.mypid")" <<'P'
import glob, re, sys
d, pid = sys.argv[1:]
parents = {}
for path in glob.glob("/proc/[0-9]*/stat"):
    try:
        text = open(path).read()
    except OSError:
        continue
    parents[int(path.split("/")[2])] = int(text.rsplit(")", 1)[1].split()[1])
family = [int(pid)] + [p for p, q in parents.items() if q == int(pid)]
found = []
for p in family:
    for line in open(f"/proc/{p}/maps"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
        if not m or "vsyscall" in line or "vvar" in line:
            continue
        lo, hi = (int(x, 16) for x in m.groups())
        if hi - lo > 64 << 20:
            continue
        with open(f"/proc/{p}/mem", "rb") as f:
            try:
                f.seek(lo)
                if b"correct horse" in f.read(hi - lo):
                    found.append(p)
            except OSError:
                pass
print("processes", len(family), "with the passphrase", len(found))
P
	has "with the passphrase 0"
}
