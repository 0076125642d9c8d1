/* SPDX-License-Identifier: MIT */
/* The revocation list: what is written is read, and nothing else is. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>

#include "../../ca-host/crl.h"

static char dir[] = "/tmp/sivshmem-crl-test.XXXXXX";
static char path[64], other_path[64];
static uint8_t secret[64], other_secret[64];
static struct sivp_cert root, other;
static char good[1024];
static size_t good_length;

static bool put(const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool done = fd >= 0 && write(fd, text, length) == (ssize_t)length;

	close(fd);
	return done;
}

static int get(const struct sivp_cert *signer, struct crl *crl)
{
	struct sivshmem_error err = { 0 };
	int rc = crl_read(path, signer, NULL, crl, &err);

	/* who is refused is told which file */
	if (rc && !strstr(err.text, path))
		return 1;
	return rc;
}

static void written_is_read(void)
{
	const uint64_t serials[] = { 7, 0x01a209b54e12e2a3, 3, UINT64_MAX, 7 };
	struct crl crl = { .epoch = 9 }, back;
	struct sivshmem_error err;
	int fd;

	for (size_t i = 0; i < 5; i++)
		CHECK(crl_add(&crl, serials[i]) == (i < 4));
	CHECK(!crl_write(path, &crl, secret, &err));
	CHECK(!get(&root, &back));
	CHECK(back.epoch == 9 && back.count == 4);
	for (size_t i = 0; i < 5; i++)
		CHECK(crl_has(&back, serials[i]));
	CHECK(!crl_has(&back, 0) && !crl_has(&back, 8) && !crl_has(&back, UINT64_MAX - 1));
	crl_free(&back);
	crl_free(&crl);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	good_length = (size_t)read(fd, good, sizeof(good));
	close(fd);
	CHECK(good_length > 100 && good_length < sizeof(good));
}

static void none_is_empty(void)
{
	struct sivshmem_error err;
	struct crl crl;

	CHECK(!crl_read(other_path, &root, NULL, &crl, &err));
	CHECK(!crl.epoch && !crl.count && !crl_has(&crl, 0));
}

static void another_signer_is_refused(void)
{
	struct sivshmem_error err;
	struct crl crl;

	CHECK(put(good, good_length));
	CHECK(get(&other, &crl) == -EKEYREJECTED && !crl.count && !crl.epoch);
	/* unless it is the host's intermediate */
	CHECK(!crl_read(path, &other, &root, &crl, &err) && crl.epoch == 9);
	crl_free(&crl);
	CHECK(crl_read(path, &other, &other, &crl, &err) == -EKEYREJECTED);
}

static void altered_is_refused(void)
{
	char bad[sizeof(good) + 1];
	struct crl crl;

	for (size_t i = 0; i < good_length; i++) {
		for (int bit = 0; bit < 8; bit++) {
			memcpy(bad, good, good_length);
			bad[i] ^= (char)(1 << bit);
			CHECK(put(bad, good_length));
			CHECK(get(&root, &crl) < 0 && !crl.count && !crl.epoch);
		}
	}
	for (size_t n = 0; n < good_length; n++) {
		CHECK(put(good, n));
		CHECK(get(&root, &crl) < 0);
	}
	memcpy(bad, good, good_length);
	for (int c = 0; c < 256; c++) {
		bad[good_length] = (char)c;
		CHECK(put(bad, good_length + 1));
		CHECK(get(&root, &crl) < 0);
	}
	CHECK(put(good, good_length));
	CHECK(!get(&root, &crl));
	crl_free(&crl);
}

/* The signer may err: what he signs is parsed all the same. */
static bool signed_is_refused(const char *body)
{
	static const char context[] = "sivshmem revocation list v1";
	char message[600], text[800], base64[89];
	uint8_t signature[64];
	size_t n = strlen(body);
	struct crl crl;
	bool refused;

	memcpy(message, context, sizeof(context));
	memcpy(message + sizeof(context), body, n);
	crypto_sign_detached(signature, NULL, (uint8_t *)message, sizeof(context) + n, secret);
	sodium_bin2base64(base64, sizeof(base64), signature, 64, sodium_base64_VARIANT_ORIGINAL);
	n = (size_t)snprintf(text, sizeof(text), "%ssignature %s\n", body, base64);
	refused = put(text, n) && get(&root, &crl) == -EBADMSG && !crl.count;
	crl_free(&crl);
	return refused;
}

#define HEADER "sivshmem revocation list v1\n"
static void malformed_is_refused(void)
{
	struct crl crl;

	CHECK(signed_is_refused(HEADER));
	CHECK(signed_is_refused(HEADER "epoch 0\n"));
	CHECK(signed_is_refused(HEADER "epoch 01\n"));
	CHECK(signed_is_refused(HEADER "epoch -1\n"));
	CHECK(signed_is_refused(HEADER "epoch 18446744073709551616\n"));
	CHECK(signed_is_refused(HEADER "epoch 1\n000000000000000g\n"));
	CHECK(signed_is_refused(HEADER "epoch 1\n000000000000000A\n"));
	CHECK(signed_is_refused(HEADER "epoch 1\n00000000000000001\n"));
	CHECK(signed_is_refused(HEADER "epoch 1\n0000000000000002\n0000000000000001\n"));
	CHECK(signed_is_refused(HEADER "epoch 1\n0000000000000001\n0000000000000001\n"));
	CHECK(signed_is_refused("sivshmem revocation list v2\nepoch 1\n"));
	/* the counter-proof: this way of signing is the right one */
	CHECK(!signed_is_refused(HEADER "epoch 1\n0000000000000001\n"));
	CHECK(!get(&root, &crl) && crl.count == 1);
	crl_free(&crl);
}

static void a_file_that_others_write_is_refused(void)
{
	struct crl crl;

	CHECK(put(good, good_length));
	CHECK(!chmod(path, 0666));
	CHECK(get(&root, &crl) == -EPERM);
	CHECK(!chmod(path, 0644));
	CHECK(!rename(path, other_path) && !symlink(other_path, path));
	CHECK(get(&root, &crl) == -ELOOP);
	CHECK(!unlink(path) && !mkfifo(path, 0644));
	CHECK(get(&root, &crl) == -EPERM);
}

int main(void)
{
	if (sodium_init() < 0 || !mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/list", dir);
	snprintf(other_path, sizeof(other_path), "%s/other", dir);
	crypto_sign_keypair(root.public_key, secret);
	crypto_sign_keypair(other.public_key, other_secret);
	RUN(written_is_read);
	RUN(none_is_empty);
	RUN(another_signer_is_refused);
	RUN(altered_is_refused);
	RUN(malformed_is_refused);
	RUN(a_file_that_others_write_is_refused);
	unlink(path);
	unlink(other_path);
	rmdir(dir);
	return test_failures != 0;
}
