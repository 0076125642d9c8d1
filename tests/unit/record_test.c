/* SPDX-License-Identifier: MIT */
/* Sealed records: in order, each once, unaltered, of the kind that is expected. */
#include <errno.h>
#include <string.h>
#include <sodium.h>

#include "../../shim/lib/handshake.h"
#include "test.h"

struct ends {
	struct sivshmem_keys client, host;
};

static void keyed(struct ends *x)
{
	memset(x, 0, sizeof(*x));
	randombytes_buf(x->client.send, sizeof(x->client.send));
	randombytes_buf(x->client.receive, sizeof(x->client.receive));
	memcpy(x->host.receive, x->client.send, sizeof(x->host.receive));
	memcpy(x->host.send, x->client.receive, sizeof(x->host.send));
}

#define PLAIN	sizeof(struct sivp_request)
#define RECORD	(sizeof(struct sivp_hdr) + PLAIN + SIVP_TAG_LEN)

static int take(struct sivshmem_keys *keys, const uint8_t record[RECORD])
{
	struct sivp_request request;

	return sivshmem_record_open(keys, SIVP_REQUEST, record, RECORD, &request,
				    sizeof(request));
}

static void records_in_order_only(void)
{
	struct sivp_request request = { .op = SIVP_OP_OPEN };
	uint8_t record[3][RECORD];
	struct sivshmem_keys keys;
	struct ends x;

	keyed(&x);
	for (uint32_t i = 0; i < 3; i++) {
		request.oflag = i;
		CHECK(sivshmem_record_seal(&x.client, SIVP_REQUEST, &request,
					   sizeof(request), record[i]) == RECORD);
	}
	keys = x.host;
	CHECK(!take(&keys, record[0]) && !take(&keys, record[1]) && !take(&keys, record[2]));
	keys = x.host;
	CHECK(take(&keys, record[1]) == -EPROTO);			/* reordered */
	keys = x.host;
	CHECK(!take(&keys, record[0]) && take(&keys, record[0]) == -EPROTO);	/* replayed */
	keys = x.host;
	CHECK(!take(&keys, record[0]) && take(&keys, record[2]) == -EPROTO);	/* dropped */
}

static void records_are_not_altered(void)
{
	struct sivp_request request = { .op = SIVP_OP_OPEN };
	uint8_t record[RECORD + 1] = { 0 };
	struct sivshmem_keys keys;
	struct sivp_result result;
	struct ends x;

	keyed(&x);
	sivshmem_record_seal(&x.client, SIVP_REQUEST, &request, sizeof(request),
			     record);
	for (size_t bit = 0; bit < 8 * RECORD; bit++) {
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		keys = x.host;
		CHECK(take(&keys, record) == -EPROTO && keys.received == 0);
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n <= RECORD + 1; n++) {
		keys = x.host;
		CHECK((n == RECORD) == !sivshmem_record_open(&keys, SIVP_REQUEST, record, n,
							     &request, sizeof(request)));
	}
	/* right key and counter, but taken for another kind */
	CHECK(sivshmem_record_open(&x.host, SIVP_RESULT, record, RECORD, &result,
				   sizeof(result)) == -EPROTO);
}

int main(void)
{
	if (sodium_init() < 0)
		return 3;
	RUN(records_in_order_only);
	RUN(records_are_not_altered);
	return test_failures != 0;
}
