/* SPDX-License-Identifier: MIT */
/* Certificates, chains, key files and bundles: right ones, and each wrong one. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>

#include "../../shim/lib/cert.h"
#include "../../shim/lib/keyfile.h"

#define NOW	1700000000

/* of known_answer */
#define KNOWN_KEY_ID	"c5e21ab1c9f6022d81c3b25e3436cb7f1df77f9652ae3e1310c28e621dd87b4c"
#define KNOWN_SIGNATURE	"51344a35fe30544c12d75c5a30d84e11a42a6b0c86896564b466836231ed949a" \
			"1bedfc08f5727c80aa3b98ba6baab64d8ec38658a25c1ff13e250825bb3ddb0d"

struct pair {
	uint8_t secret[64];
	struct sivp_cert cert;
};

static struct pair root, intermediate, leaf;
static struct sivshmem_cert_context context;
static char dir[] = "/tmp/sivshmem-cert-test.XXXXXX";

static void make(struct pair *p, enum sivp_cert_kind kind, uint8_t seed,
		 const char *subject, const struct pair *issuer)
{
	uint8_t seeds[32];

	memset(p, 0, sizeof(*p));
	memset(seeds, seed, sizeof(seeds));
	crypto_sign_seed_keypair(p->cert.public_key, p->secret, seeds);
	p->cert.kind = kind;
	p->cert.path_len = kind == SIVP_CERT_ROOT;
	p->cert.serial = 0x1122334455667788;
	p->cert.not_before = NOW - 100;
	p->cert.not_after = NOW + 100;
	strcpy(p->cert.subject, subject);
	p->cert.uid = p->cert.gid = SIVP_ANY_ID;
	sivshmem_cert_sign(&p->cert, issuer ? issuer->secret : p->secret);
}

static void make_all(void)
{
	make(&root, SIVP_CERT_ROOT, 1, "root", NULL);
	make(&intermediate, SIVP_CERT_INTERMEDIATE, 2, "host-ca", &root);
	make(&leaf, SIVP_CERT_SERVICE, 3, "ivi/player", &root);
	strcpy(leaf.cert.vm, "ivi");
	strcpy(leaf.cert.host, "ecu1");
	leaf.cert.uid = 1000;
	leaf.cert.gid = 100;
	sivshmem_cert_sign(&leaf.cert, root.secret);
	context = (struct sivshmem_cert_context){
		.now = NOW, .vm = "ivi", .host = "ecu1",
		.check_ids = true, .uid = 1000, .gid = 100,
	};
}

static struct sivp_chain chain_of(const struct pair *a, const struct pair *b)
{
	struct sivp_chain chain = { .count = b ? 2 : 1 };

	chain.cert[0] = a->cert;
	if (b)
		chain.cert[1] = b->cert;
	return chain;
}

static enum sivshmem_cert_error verify(const struct pair *a, const struct pair *b)
{
	struct sivp_chain chain = chain_of(a, b);

	return sivshmem_chain_verify(&chain, SIVP_CERT_SERVICE, &root.cert, &context);
}

static void names(void)
{
	static const char *const good[] = {
		"a", "ivi/player", "A-Z_0.9:x", "trailing/", "a.b", "-", ".",
	};
	static const char *const bad[] = {
		"", "/a", "a b", "a..b", "..", "a\n", "a\"", "\xc3\xa4", "a*", "a\\", "a,b",
	};
	char name[SIVP_NAME_LEN];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(name, 0, sizeof(name));
		strcpy(name, good[i]);
		CHECK(sivshmem_name_valid(name, sizeof(name)));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(name, 0, sizeof(name));
		strcpy(name, bad[i]);
		CHECK(!sivshmem_name_valid(name, sizeof(name)));
	}
	memset(name, 'a', sizeof(name));
	CHECK(!sivshmem_name_valid(name, sizeof(name)));
	name[sizeof(name) - 1] = '\0';
	CHECK(sivshmem_name_valid(name, sizeof(name)));
	name[10] = '\0';
	CHECK(!sivshmem_name_valid(name, sizeof(name)));
}

/* Computed from proto.h by another implementation: Python's hashlib and OpenSSL. */
static void known_answer(void)
{
	char id[65], signature[129];
	uint8_t bytes[32];

	make_all();
	sivshmem_key_id(bytes, root.cert.public_key);
	CHECK(!strcmp(sodium_bin2hex(id, sizeof(id), bytes, 32), KNOWN_KEY_ID));
	CHECK(!memcmp(leaf.cert.issuer, bytes, 32));
	sodium_bin2hex(signature, sizeof(signature), leaf.cert.signature, 64);
	CHECK(!strcmp(signature, KNOWN_SIGNATURE));
}

static void good_chains(void)
{
	make_all();
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_OK);
	make(&leaf, SIVP_CERT_SERVICE, 3, "ivi/player", &intermediate);
	CHECK(verify(&leaf, &intermediate) == SIVSHMEM_CERT_OK);
	/* nothing known: nothing checked */
	context = (struct sivshmem_cert_context){ .now = NOW };
	CHECK(verify(&leaf, &intermediate) == SIVSHMEM_CERT_OK);
}

static void each_flip_is_refused(void)
{
	struct sivp_chain chain, whole;
	struct sivp_cert other;

	make_all();
	make(&leaf, SIVP_CERT_SERVICE, 3, "ivi/player", &intermediate);
	whole = chain_of(&leaf, &intermediate);
	for (size_t bit = 0; bit < 8 * sizeof(chain); bit++) {
		chain = whole;
		((uint8_t *)&chain)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(sivshmem_chain_verify(&chain, SIVP_CERT_SERVICE, &root.cert, &context));
	}
	for (size_t bit = 0; bit < 8 * sizeof(other); bit++) {
		other = root.cert;
		((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(sivshmem_chain_verify(&whole, SIVP_CERT_SERVICE, &other, &context));
	}
}

static void times(void)
{
	make_all();
	context.now = leaf.cert.not_before - 1;
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_NOT_YET_VALID);
	context.now++;
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_OK);
	context.now = leaf.cert.not_after;
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_OK);
	context.now++;
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_EXPIRED);

	/* the issuers' times count too */
	leaf.cert.not_after = root.cert.not_after = 0;
	sivshmem_cert_sign(&leaf.cert, root.secret);
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_BAD_SIGNATURE);
	sivshmem_cert_sign(&root.cert, root.secret);
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_OK);
	sivshmem_cert_sign(&leaf.cert, intermediate.secret);
	CHECK(verify(&leaf, &intermediate) == SIVSHMEM_CERT_EXPIRED);
	context.now = NOW;
	CHECK(verify(&leaf, &intermediate) == SIVSHMEM_CERT_OK);

	leaf.cert.not_after = leaf.cert.not_before - 1;
	CHECK(!sivshmem_cert_well_formed(&leaf.cert));
	leaf.cert.not_after = 0;
	leaf.cert.not_before = -1;
	CHECK(!sivshmem_cert_well_formed(&leaf.cert));
}

static void bindings(void)
{
	make_all();
	context.vm = "cluster";
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_WRONG_VM);
	context.vm = "iv";
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_WRONG_VM);
	context.vm = NULL;
	context.host = "ecu2";
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_WRONG_HOST);
	context.host = NULL;
	context.uid = 0;
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_WRONG_UID);
	context.uid = 1000;
	context.gid = 1000;
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_WRONG_GID);
	context.check_ids = false;
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_OK);
}

static void host_certificates_name_one_host(void)
{
	struct sivp_chain chain;
	struct pair host;

	make_all();
	make(&host, SIVP_CERT_HOST, 4, "ecu1", &root);
	chain = chain_of(&host, NULL);
	CHECK(sivshmem_chain_verify(&chain, SIVP_CERT_HOST, &root.cert, &context) ==
	      SIVSHMEM_CERT_OK);
	context.host = "ecu2";
	CHECK(sivshmem_chain_verify(&chain, SIVP_CERT_HOST, &root.cert, &context) ==
	      SIVSHMEM_CERT_WRONG_HOST);
}

static void other_cas(void)
{
	struct pair stranger;

	make_all();
	make(&stranger, SIVP_CERT_ROOT, 9, "root", NULL);
	sivshmem_cert_sign(&leaf.cert, stranger.secret);
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_UNKNOWN_CA);
	/* names our root, but is signed by another key */
	memcpy(leaf.cert.issuer, root.cert.issuer, 32);
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_BAD_SIGNATURE);
	/* a root that did not sign itself */
	make_all();
	sivshmem_cert_sign(&root.cert, stranger.secret);
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_UNKNOWN_CA);
}

static void kinds(void)
{
	struct sivp_chain chain;
	struct pair service;

	make_all();
	chain = chain_of(&leaf, NULL);
	CHECK(sivshmem_chain_verify(&chain, SIVP_CERT_HOST, &root.cert, &context) ==
	      SIVSHMEM_CERT_WRONG_KIND);
	CHECK(verify(&intermediate, NULL) == SIVSHMEM_CERT_WRONG_KIND);
	CHECK(verify(&root, NULL) == SIVSHMEM_CERT_WRONG_KIND);

	/* a service that plays CA */
	service = leaf;
	make(&leaf, SIVP_CERT_SERVICE, 5, "ivi/evil", &service);
	CHECK(verify(&leaf, &service) == SIVSHMEM_CERT_WRONG_KIND);
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_UNKNOWN_CA);

	/* a root that allows no intermediate */
	make(&leaf, SIVP_CERT_SERVICE, 3, "ivi/player", &intermediate);
	root.cert.path_len = 0;
	sivshmem_cert_sign(&root.cert, root.secret);
	CHECK(verify(&leaf, &intermediate) == SIVSHMEM_CERT_WRONG_KIND);

	/* a service certificate in the root's place */
	make_all();
	chain = chain_of(&leaf, NULL);
	CHECK(sivshmem_chain_verify(&chain, SIVP_CERT_SERVICE, &leaf.cert, &context) ==
	      SIVSHMEM_CERT_WRONG_KIND);
}

static void wrong_intermediates(void)
{
	struct sivp_chain chain;
	struct pair other;

	make_all();
	/* not the issuer */
	CHECK(verify(&leaf, &intermediate) == SIVSHMEM_CERT_UNKNOWN_CA);
	/* the issuer, of another root */
	make(&other, SIVP_CERT_ROOT, 9, "root", NULL);
	make(&leaf, SIVP_CERT_SERVICE, 3, "ivi/player", &intermediate);
	sivshmem_cert_sign(&intermediate.cert, other.secret);
	CHECK(verify(&leaf, &intermediate) == SIVSHMEM_CERT_UNKNOWN_CA);
	/* left out */
	CHECK(verify(&leaf, NULL) == SIVSHMEM_CERT_UNKNOWN_CA);
	/* its bindings hold for what it issued */
	make_all();
	strcpy(intermediate.cert.host, "ecu2");
	sivshmem_cert_sign(&intermediate.cert, root.secret);
	sivshmem_cert_sign(&leaf.cert, intermediate.secret);
	CHECK(verify(&leaf, &intermediate) == SIVSHMEM_CERT_WRONG_HOST);
	/* counts that are none */
	chain = chain_of(&leaf, NULL);
	chain.count = 0;
	CHECK(sivshmem_chain_verify(&chain, SIVP_CERT_SERVICE, &root.cert, &context) ==
	      SIVSHMEM_CERT_MALFORMED);
	chain.count = 3;
	CHECK(sivshmem_chain_verify(&chain, SIVP_CERT_SERVICE, &root.cert, &context) ==
	      SIVSHMEM_CERT_MALFORMED);
}

static void reasons(void)
{
	for (int i = 0; i <= SIVSHMEM_CERT_WRONG_GID; i++)
		CHECK(strlen(sivshmem_cert_reason((enum sivshmem_cert_error)i)) > 4);
	CHECK(!strcmp(sivshmem_cert_reason((enum sivshmem_cert_error)99), "unknown reason"));
	CHECK(!strcmp(sivshmem_cert_reason((enum sivshmem_cert_error)-1), "unknown reason"));
}

/* --- files --- */

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static size_t slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size);

	if (fd >= 0)
		close(fd);
	return n < 0 ? 0 : (size_t)n;
}

static int spill(const char *path, const char *text, size_t length, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ssize_t n = fd < 0 ? -1 : write(fd, text, length);

	if (fd >= 0)
		fchmod(fd, mode);
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)length ? 0 : -1;
}

static void key_files(void)
{
	struct sivshmem_error err;
	uint8_t again[64];
	struct stat st;

	make_all();
	CHECK(!sivshmem_key_write(in_dir("a.key"), leaf.secret, &err));
	CHECK(!stat(in_dir("a.key"), &st) && (st.st_mode & 07777) == 0600);
	CHECK(!sivshmem_key_read(in_dir("a.key"), again, &err));
	CHECK(!memcmp(again, leaf.secret, 64));
	CHECK(sivshmem_key_write(in_dir("a.key"), root.secret, &err) == -EEXIST);
	CHECK(strstr(err.text, "a.key: exists"));

	CHECK(!chmod(in_dir("a.key"), 0640));
	CHECK(sivshmem_key_read(in_dir("a.key"), again, &err) == -EPERM);
	CHECK(strstr(err.text, "chmod 600") && strstr(err.text, "0640"));
	CHECK(sodium_is_zero(again, 64));
	CHECK(!chmod(in_dir("a.key"), 0600));
	CHECK(!symlink(in_dir("a.key"), in_dir("link.key")));
	CHECK(sivshmem_key_read(in_dir("link.key"), again, &err) == -ELOOP);
	CHECK(!mkfifo(in_dir("fifo.key"), 0600));
	CHECK(sivshmem_key_read(in_dir("fifo.key"), again, &err) == -EPERM);
	CHECK(sivshmem_key_read(dir, again, NULL) == -EPERM);
	CHECK(sivshmem_key_read(in_dir("none.key"), again, &err) == -ENOENT);
	CHECK(strstr(err.text, "none.key: cannot open"));
}

static void key_halves_belong_together(void)
{
	struct sivshmem_error err;
	uint8_t again[64];

	make_all();
	memcpy(leaf.secret + 32, root.cert.public_key, 32);
	CHECK(!sivshmem_key_write(in_dir("half.key"), leaf.secret, &err));
	CHECK(sivshmem_key_read(in_dir("half.key"), again, &err) == -EBADMSG);
	CHECK(strstr(err.text, "half.key:2:"));
}

static void chain_files(void)
{
	struct sivp_chain chain, again;
	struct sivshmem_error err;
	struct stat st;

	make_all();
	chain = chain_of(&leaf, NULL);
	CHECK(!sivshmem_chain_write(in_dir("one.cert"), &chain, &err));
	CHECK(!stat(in_dir("one.cert"), &st) && (st.st_mode & 07777) == 0644);
	CHECK(!sivshmem_chain_read(in_dir("one.cert"), &again, &err));
	CHECK(!memcmp(&chain, &again, sizeof(chain)));
	chain = chain_of(&leaf, &intermediate);
	CHECK(!sivshmem_chain_write(in_dir("two.cert"), &chain, &err));
	CHECK(!sivshmem_chain_read(in_dir("two.cert"), &again, &err));
	CHECK(!memcmp(&chain, &again, sizeof(chain)));
	chain.count = 3;
	CHECK(sivshmem_chain_write(in_dir("three.cert"), &chain, &err) == -EINVAL);

	CHECK(!chmod(in_dir("two.cert"), 0664));
	CHECK(sivshmem_chain_read(in_dir("two.cert"), &again, &err) == -EPERM);
	CHECK(strstr(err.text, "chmod 644"));
	/* a key is no certificate */
	CHECK(!sivshmem_key_write(in_dir("b.key"), leaf.secret, &err));
	CHECK(sivshmem_chain_read(in_dir("b.key"), &again, &err) == -EBADMSG);
	CHECK(strstr(err.text, "b.key:1: expected 'sivshmem certificate v1'"));
}

static void truncated_and_longer_files(void)
{
	const char *path = in_dir("cut.cert");
	struct sivp_chain chain, again;
	char text[2048];
	size_t n;

	make_all();
	chain = chain_of(&leaf, &intermediate);
	CHECK(!sivshmem_chain_write(in_dir("whole.cert"), &chain, NULL));
	n = slurp(in_dir("whole.cert"), text, sizeof(text));
	CHECK(n > 600 && n < 1000);
	for (size_t cut = 0; cut < n; cut++) {
		CHECK(!spill(path, text, cut, 0644));
		CHECK(sivshmem_chain_read(path, &again, NULL) == -EBADMSG);
	}
	memset(text + n, 'A', sizeof(text) - n);
	for (size_t more = n + 1; more < sizeof(text); more++) {
		CHECK(!spill(path, text, more, 0644));
		CHECK(sivshmem_chain_read(path, &again, NULL) == -EBADMSG);
	}
	for (size_t i = 0; i < 3; i++) {
		text[n] = "\n A"[i];
		CHECK(!spill(path, text, n + 1, 0644));
		CHECK(sivshmem_chain_read(path, &again, NULL) == -EBADMSG);
	}
}

/* One content has one text: whatever byte changes, it is another certificate or none. */
static void each_flip_in_a_file_is_noticed(void)
{
	const char *path = in_dir("flip.cert");
	struct sivp_chain chain, again;
	char text[2048];
	size_t n;

	make_all();
	chain = chain_of(&leaf, NULL);
	CHECK(!sivshmem_chain_write(in_dir("straight.cert"), &chain, NULL));
	n = slurp(in_dir("straight.cert"), text, sizeof(text));
	for (size_t bit = 0; bit < 8 * n; bit++) {
		text[bit / 8] ^= (char)(1u << bit % 8);
		CHECK(!spill(path, text, n, 0644));
		if (!sivshmem_chain_read(path, &again, NULL))
			CHECK(sivshmem_chain_verify(&again, SIVP_CERT_SERVICE, &root.cert,
						    &context) != SIVSHMEM_CERT_OK);
		text[bit / 8] ^= (char)(1u << bit % 8);
	}
}

static void error_lines(void)
{
	struct sivshmem_error err;
	struct sivp_chain chain;
	const char *path = in_dir("line.cert");
	char text[2048];
	size_t n;

	make_all();
	chain = chain_of(&leaf, NULL);
	CHECK(!sivshmem_chain_write(in_dir("lines.cert"), &chain, &err));
	n = slurp(in_dir("lines.cert"), text, sizeof(text));
	text[strlen("sivshmem certificate v1\n") + 77 + 5] = '!';
	CHECK(!spill(path, text, n, 0644));
	CHECK(sivshmem_chain_read(path, &chain, &err) == -EBADMSG);
	CHECK(strstr(err.text, "line.cert:3: not the base64"));
}

/* --- bundles --- */

static int write_bundle(const char *name, const struct pair *key, const struct pair *cert,
			const struct pair *ca)
{
	struct sivp_chain chain = chain_of(cert, NULL), ca_chain = chain_of(ca, NULL);
	char path[256];
	int rc = mkdir(in_dir(name), 0700);

	snprintf(path, sizeof(path), "%s/%s/" SIVSHMEM_KEY_FILE, dir, name);
	rc |= sivshmem_key_write(path, key->secret, NULL);
	snprintf(path, sizeof(path), "%s/%s/" SIVSHMEM_CERT_FILE, dir, name);
	rc |= sivshmem_chain_write(path, &chain, NULL);
	snprintf(path, sizeof(path), "%s/%s/" SIVSHMEM_ROOT_FILE, dir, name);
	return rc | sivshmem_chain_write(path, &ca_chain, NULL);
}

static void bundles(void)
{
	struct sivshmem_bundle bundle = { 0 };
	struct sivshmem_error err;
	struct pair stranger;

	make_all();
	make(&stranger, SIVP_CERT_ROOT, 9, "root", NULL);
	CHECK(!write_bundle("good", &leaf, &leaf, &root));
	CHECK(!sivshmem_bundle_load(&bundle, in_dir("good"), &err));
	CHECK(!memcmp(bundle.secret, leaf.secret, 64));
	CHECK(!memcmp(&bundle.root, &root.cert, sizeof(root.cert)));
	CHECK(bundle.chain.count == 1);
	sivshmem_bundle_free(&bundle);
	CHECK(!bundle.secret);
	sivshmem_bundle_free(&bundle);

	CHECK(!write_bundle("key", &stranger, &leaf, &root));
	CHECK(sivshmem_bundle_load(&bundle, in_dir("key"), &err) == -EKEYREJECTED);
	CHECK(strstr(err.text, "does not belong") && !bundle.secret);
	CHECK(!write_bundle("ca", &leaf, &leaf, &stranger));
	CHECK(sivshmem_bundle_load(&bundle, in_dir("ca"), &err) == -EKEYREJECTED);
	CHECK(strstr(err.text, "issued by another CA"));
	CHECK(!write_bundle("kind", &root, &root, &root));
	CHECK(sivshmem_bundle_load(&bundle, in_dir("kind"), &err) == -EKEYREJECTED);
	CHECK(sivshmem_bundle_load(&bundle, in_dir("nowhere"), &err) == -ENOENT);
	CHECK(strstr(err.text, "nowhere/service.key"));

	/* times are the host's business: expired long ago or far ahead still loads */
	leaf.cert.not_before = 5;
	leaf.cert.not_after = 6;
	sivshmem_cert_sign(&leaf.cert, root.secret);
	CHECK(!write_bundle("old", &leaf, &leaf, &root));
	CHECK(!sivshmem_bundle_load(&bundle, in_dir("old"), &err));
	sivshmem_bundle_free(&bundle);
}

static int clean_up(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	if (sodium_init() < 0 || !mkdtemp(dir))
		return 1;
	RUN(names);
	RUN(known_answer);
	RUN(good_chains);
	RUN(each_flip_is_refused);
	RUN(times);
	RUN(bindings);
	RUN(host_certificates_name_one_host);
	RUN(other_cas);
	RUN(kinds);
	RUN(wrong_intermediates);
	RUN(reasons);
	RUN(key_files);
	RUN(key_halves_belong_together);
	RUN(chain_files);
	RUN(truncated_and_longer_files);
	RUN(each_flip_in_a_file_is_noticed);
	RUN(error_lines);
	RUN(bundles);
	return clean_up() != 0 || test_failures != 0;
}
