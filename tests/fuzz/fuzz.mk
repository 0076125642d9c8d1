# SPDX-License-Identifier: MIT
# Fuzz targets: clang's libFuzzer with ASan and UBSan, each file of tests/fuzz
# one program. Those of the module's code have `kmod` in their name; its sources
# are compiled for user space under the headers of tests/fuzz/kernel.

CLANG ?= clang
fuzz_src := $(wildcard tests/fuzz/*.c)
fuzz_bin := $(fuzz_src:tests/fuzz/%.c=$(BUILD)/fuzz/%)
fuzz_san := -fsanitize=address,undefined -fno-sanitize-recover=undefined
fuzz_warn := $(warn) -Wno-gnu-variable-sized-type-not-at-end \
	-Wno-missing-field-initializers -Wno-format-nonliteral
fuzz_cflags = -std=gnu17 -D_GNU_SOURCE -MMD -MP -O2 -g -fno-omit-frame-pointer \
	$(if $(CI),-Werror) -fsanitize=fuzzer-no-link $(fuzz_san) \
	-DSIVSHMEM_VERSION='"$(VERSION)"' -DSIVSHMEM_LIBDIR='"$(LIBDIR)"'
fuzz_obj = $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(lib_src) \
	$(filter-out ca-host/cad.c,$(cad_src)) $(wildcard tests/fuzz/wrap/*.c))
comma := ,
fuzz_wrap := $(addprefix -Wl$(comma)--wrap=,crypto_sign_detached crypto_sign_verify_detached \
	crypto_scalarmult sivshmem_now_ms sivshmem_sleep_ms sodium_malloc sodium_free \
	secret_pages secret_pages_free)
fuzz_shim := $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(shim_src))

.PHONY: fuzz fuzz-targets
fuzz-targets: $(fuzz_bin)

$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)
	$(Q)$(CLANG) $(fuzz_cflags) $(fuzz_warn) -Iinclude -c -o $@ $<

# a loop over all holders, whose comparisons say nothing
$(BUILD)/fuzz/obj/ca-host/wake.o: fuzz_cflags += -fno-sanitize-coverage=trace-cmp

# an archive: a target that includes a source file itself leaves its object out
$(BUILD)/fuzz/user.a: $(fuzz_obj)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# the shim's functions have libc's names: they are for the one who asks for them
$(BUILD)/fuzz/shim.a: $(fuzz_shim)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/fuzz/route: $(BUILD)/fuzz/shim.a
fuzz_libs_route = $(BUILD)/fuzz/shim.a

$(filter-out $(BUILD)/fuzz/kmod_%,$(fuzz_bin)): $(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/fuzz/user.a
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(fuzz_cflags) $(fuzz_warn) -Iinclude -fsanitize=fuzzer \
		$(fuzz_wrap) $(fuzz_ldflags_$*) -o $@ $< $(fuzz_libs_$*) $(BUILD)/fuzz/user.a \
		-lsodium -lbsd -lconfig -lseccomp -ljansson -ldl -pthread

# the monitor has its turn when the worker waits for it
fuzz_ldflags_worker := -Wl,--wrap=recv

fuzz: $(fuzz_bin)
	@BUILD=$(abspath $(BUILD)) tests/fuzz/run.sh long

-include $(shell find $(BUILD)/fuzz -name '*.d' 2>/dev/null)

# The module's sources as they are, under the kernel of tests/fuzz/kernel: a
# header there stands for each that they include and the C library has not.
kmod_fuzzed := $(addprefix kmod/,ring.c control.c outbox.c session.c channel.c \
	grant.c object.c unmap.c wake.c owner.c pci.c bell.c)
kmod_headers := $(sort $(shell sed -n 's/^\#include <\(\(linux\|asm\)\/[a-z0-9_\/]*\.h\)>.*/\1/p' \
	kmod/*.c kmod/*.h))
kmod_headers := $(filter-out linux/types.h linux/falloc.h linux/errno.h,$(kmod_headers))
kmod_shim := $(kmod_headers:%=$(BUILD)/fuzz/kernel/%)
# the kernel has no nonnull attributes: memcmp(p, NULL, 0) is fine there
kmod_cflags = -fno-sanitize=nonnull-attribute -I$(BUILD)/fuzz/kernel -Itests/fuzz/kernel -Iinclude -Wno-unused-parameter \
	-Wno-missing-prototypes -Wno-cast-qual -Wno-shadow -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-gnu-variable-sized-type-not-at-end
kmod_obj := $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(kmod_fuzzed) tests/fuzz/kernel/kernel.c)

$(kmod_shim):
	@mkdir -p $(@D)
	$(Q)printf '#include "kernel.h"\n' >$@
$(kmod_obj): $(BUILD)/fuzz/obj/%.o: %.c $(kmod_shim)
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)
	$(Q)$(CLANG) $(fuzz_cflags) -Wall -Wextra $(kmod_cflags) -c -o $@ $<
# they have loops over 8192 holders, 256 buckets and pages, whose comparisons say nothing
$(BUILD)/fuzz/obj/kmod/owner.o $(BUILD)/fuzz/obj/kmod/wake.o $(BUILD)/fuzz/obj/tests/fuzz/kernel/kernel.o: \
	kmod_cflags += -fno-sanitize-coverage=trace-cmp -fsanitize-coverage-ignorelist=tests/fuzz/kernel/loops
$(filter $(BUILD)/fuzz/kmod_%,$(fuzz_bin)): $(BUILD)/fuzz/%: tests/fuzz/%.c $(kmod_obj) $(kmod_shim)
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(fuzz_cflags) -Wall -Wextra $(kmod_cflags) -fsanitize=fuzzer \
		-o $@ $< $(kmod_obj)
