# SPDX-License-Identifier: MIT
# sivshmem: everything a person types. `make help` lists the targets.

BUILD ?= build
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
LIBDIR ?= $(PREFIX)/lib
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2
KERNEL ?= 6.1
KERNELS ?= $(KERNEL) 6.12

VERSION := 0.1.0
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

warn := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wundef -Wcast-qual -Wwrite-strings
hard := -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	-ftrivial-auto-var-init=zero
ifdef SANITIZE
san := -fsanitize=address,undefined -fno-sanitize-recover=undefined
else
hard += -U_FORTIFY_SOURCE $(if $(findstring -O0,$(CFLAGS)),,-D_FORTIFY_SOURCE=3)
endif
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Iinclude -MMD -MP -fPIC $(warn) \
	$(if $(CI),-Werror) $(hard) $(san) -DSIVSHMEM_VERSION='"$(VERSION)"' \
	-DSIVSHMEM_LIBDIR='"$(LIBDIR)"' $(CFLAGS) $(CPPFLAGS)
ALL_LDFLAGS = -Wl,-z,relro,-z,now $(san) $(LDFLAGS)
so_flags = -shared -Wl,-z,defs

lib_src := $(wildcard shim/lib/*.c)
shim_src := $(wildcard shim/*.c)
cli_src := $(wildcard shim/cli/*.c)
ca_src := $(wildcard ca-host/ca.c ca-host/bundle.c ca-host/crl.c ca-host/sealed.c ca-host/signer.c \
	ca-host/audit_chain.c ca-host/audit_verify.c ca-host/cmd_*.c ca-host/policy*.c)
cad_src := $(filter-out ca-host/ca.c ca-host/bundle.c ca-host/signer.c $(wildcard ca-host/cmd_*.c),$(wildcard ca-host/*.c))
unit_src := $(wildcard tests/unit/*_test.c)
tool_src := $(wildcard tests/shim/*.c tests/bench/*.c) tests/attack/upgrade.c \
	$(patsubst %,tests/attack/%.c,hold storm reach garble knead marks) \
	$(wildcard examples/classics/*.c)
obj = $(1:%.c=$(BUILD)/obj/%.o)
unit_bin := $(unit_src:tests/unit/%.c=$(BUILD)/unit/%)
tool_cxx := $(wildcard examples/*/*.cpp examples/*.cpp)
tool_bin := $(addprefix $(BUILD)/tools/,$(basename $(notdir $(tool_src) $(tool_cxx))))

.PHONY: all kmod kmod-sign demo demo-local check check-local check-vm bench lint install \
	uninstall clean help tools unit sanitize debug-kernel check-debug prove
all: $(BUILD)/sivshmem-ca $(BUILD)/sivshmem-cad $(BUILD)/sivshmem \
	$(BUILD)/libsivshmem.so.0 $(BUILD)/libsivshmem-shim.so

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -fvisibility=hidden -c -o $@ $<

$(BUILD)/libsivshmem.a: $(call obj,$(lib_src))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libsivshmem.so.0: $(call obj,$(lib_src)) shim/lib/libsivshmem.map
	$(call say,LD,$@)
	$(Q)$(CC) $(so_flags) $(ALL_LDFLAGS) -Wl,-soname,libsivshmem.so.0 \
		-Wl,--version-script=shim/lib/libsivshmem.map -o $@ $(filter %.o,$^) -lsodium
	$(Q)ln -sf libsivshmem.so.0 $(BUILD)/libsivshmem.so

$(BUILD)/libsivshmem-shim.so: $(call obj,$(shim_src)) $(BUILD)/libsivshmem.a shim/shim.map
	$(call say,LD,$@)
	$(Q)$(CC) $(so_flags) $(ALL_LDFLAGS) -Wl,--version-script=shim/shim.map \
		-Wl,--exclude-libs,ALL -o $@ $(filter %.o %.a,$^) -lsodium -ldl -pthread

$(BUILD)/sivshmem: $(call obj,$(cli_src)) $(BUILD)/libsivshmem.a
	$(call say,LD,$@)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lsodium -lbsd -ljansson -lelf

$(BUILD)/sivshmem-ca: $(call obj,$(ca_src)) $(BUILD)/libsivshmem.a
	$(call say,LD,$@)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lsodium -lbsd -lconfig -ljansson

$(BUILD)/sivshmem-cad: $(call obj,$(cad_src)) $(BUILD)/libsivshmem.a
	$(call say,LD,$@)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lsodium -lbsd -lconfig -lseccomp -ljansson

# The module, for each kernel that the tests use; KDIR=... builds for that one.
ifdef KDIR
kmod:
	$(Q)$(MAKE) -C kmod KDIR=$(KDIR)
kmod-sign: kmod
	$(Q)kmod/sign.sh '$(KDIR)' '$(KEY)' '$(CERT)' kmod/sivshmem.ko
else
kmod: $(KERNELS:%=kmod-%)
kmod-sign: kmod
	$(Q)set -e; for k in $(KERNELS); do \
		env=$$(tests/kernels.sh --env $$k); eval "$$env"; \
		kmod/sign.sh "$$KDIR" '$(KEY)' '$(CERT)' $(BUILD)/kmod-$$k/sivshmem.ko; done
kmod-%:
	$(Q)tests/kernels.sh $*
	$(Q)tests/kmod.sh $* $(BUILD)/kmod-$*
endif

# Tests: each unit program meets every object but the mains.
unit_obj = $(call obj,$(filter-out ca-host/cad.c,$(cad_src)))
$(BUILD)/unit/%: tests/unit/%.c $(unit_obj) $(BUILD)/libsivshmem.a
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(filter %.o,$^) $(filter %.a,$^) \
		-lsodium -lbsd -lconfig -lseccomp -ljansson
$(BUILD)/unit/region_test: $(call obj,shim/region.c)
$(BUILD)/unit/sync_test: $(call obj,shim/region.c $(wildcard shim/sync*.c))
$(BUILD)/unit/map_test: $(call obj,shim/region.c shim/wrap_map.c)
$(BUILD)/unit/syscall_test: $(call obj,shim/region.c shim/wrap_syscall.c)
unit: $(unit_bin)

# Programs that know nothing of sivshmem: POSIX only.
define tool_rule
$(BUILD)/tools/$(basename $(notdir $(1))): $(1)
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)
	$$(Q)$$(CC) -std=gnu17 -D_GNU_SOURCE -MMD -MP $$(warn) -Iinclude $$(CFLAGS) -o $$@ $$< \
		-lrt -lm -pthread
endef
define tool_cxx_rule
$(BUILD)/tools/$(basename $(notdir $(1))): $(1)
	@mkdir -p $$(@D)
	$$(call say,CXX,$$<)
	$$(Q)$$(CXX) -std=gnu++20 -MMD -MP -Wall -Wextra $$(if $$(CI),-Werror) \
		$$(CXXFLAGS) -o $$@ $$< -lrt -pthread
endef
$(foreach t,$(tool_src),$(eval $(call tool_rule,$(t))))
$(foreach t,$(tool_cxx),$(eval $(call tool_cxx_rule,$(t))))
tools: $(tool_bin) $(BUILD)/tools/rogue $(BUILD)/tools/waittool $(BUILD)/tools/membertool
attackers := $(addprefix $(BUILD)/tools/,keys others racer steal)
tools: $(attackers)

# A client that breaks the rules, and one of the native API: they have the library.
$(BUILD)/tools/rogue: tests/attack/rogue.c
$(BUILD)/tools/waittool: tests/native/waittool.c
$(BUILD)/tools/membertool: tests/native/membertool.c
$(attackers): $(BUILD)/tools/%: tests/attack/%.c
$(BUILD)/tools/rogue $(BUILD)/tools/waittool $(BUILD)/tools/membertool $(attackers): $(BUILD)/libsivshmem.a
	@mkdir -p $(@D)
	$(call say,CC,$(filter %.c,$^))
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.c,$^) $(filter %.a,$^) -lsodium

include tests/fuzz/fuzz.mk

demo:
	@tests/deps.sh build kmod vm
	@$(MAKE) --no-print-directory all kmod-$(KERNEL)
	@BUILD=$(abspath $(BUILD)) KERNEL=$(KERNEL) examples/demo.sh
demo-local:
	@tests/deps.sh build python
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(BUILD)) examples/demo-local.sh

check:
	@tests/deps.sh build kmod vm programs test fuzz prove lint
	@$(MAKE) --no-print-directory all kmod unit tools fuzz-targets sanitize
	@BUILD=$(abspath $(BUILD)) KERNELS="$(KERNELS)" tests/run.sh unit vm beside local sanitize lint fuzz
check-local:
	@tests/deps.sh build programs test fuzz prove
	@$(MAKE) --no-print-directory all unit tools fuzz-targets sanitize
	@BUILD=$(abspath $(BUILD)) tests/run.sh unit local sanitize fuzz
# The programs again, with ASan and UBSan; the shim needs their runtime before it.
sanitize:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitize SANITIZE=1 CFLAGS='-O1 -g' all unit tools
check-vm:
	@tests/deps.sh build kmod vm programs test
	@$(MAKE) --no-print-directory all kmod tools
	@BUILD=$(abspath $(BUILD)) KERNELS="$(KERNELS)" tests/run.sh vm
# The module's tests and ten minutes of storm on a kernel that checks everything.
debug-kernel:
	@tests/deps.sh kmod debug
	@DEBUG_KERNELS=$(abspath $(BUILD))/kernels-debug tests/debug/kernel.sh
check-debug: export SIVSHMEM_KERNELS ?= $(abspath $(BUILD))/kernels-debug
check-debug: export SIVSHMEM_BOOT ?= 400
check-debug: export PATIENCE ?= 4
check-debug:
	@tests/deps.sh build kmod vm programs test
	@tests/kernels.sh --env 6.1 >/dev/null 2>&1 || $(MAKE) --no-print-directory debug-kernel
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/debug all tools
	@tests/kmod.sh 6.1 $(BUILD)/debug/kmod-6.1
	@BUILD=$(abspath $(BUILD))/debug tests/run.sh debug
bench:
	@tests/deps.sh build kmod vm programs
	@$(MAKE) --no-print-directory all kmod-$(KERNEL) tools
	@tests/kmod.sh $(KERNEL) $(BUILD)/bell-$(KERNEL) tests/bench/bell
	@BUILD=$(abspath $(BUILD)) KERNEL=$(KERNEL) tests/bench/bench.py $(if $(QUICK),--quick) \
		$(if $(ONLY),--only $(ONLY))
# The protocol's models: what they assert holds, and fails without each check.
prove:
	@tests/deps.sh build prove
	@model/prove.sh
lint:
	@tests/deps.sh build kmod lint
	@BUILD=$(abspath $(BUILD)) tests/lint.sh

dest = $(DESTDIR)$(PREFIX)
src = $(dest)/src/sivshmem-$(VERSION)
man_pages := $(wildcard man/*.[1-8])
install: all
	install -d $(dest)/bin $(dest)/sbin $(DESTDIR)$(LIBDIR) $(dest)/include/sivshmem \
		$(src)/kmod $(src)/include/sivshmem
	install -m 755 $(BUILD)/sivshmem $(dest)/bin
	install -m 755 $(BUILD)/sivshmem-ca $(BUILD)/sivshmem-cad $(dest)/sbin
	install -m 755 $(BUILD)/libsivshmem.so.0 $(BUILD)/libsivshmem-shim.so $(DESTDIR)$(LIBDIR)
	ln -sf libsivshmem.so.0 $(DESTDIR)$(LIBDIR)/libsivshmem.so
	install -m 644 include/sivshmem/*.h $(dest)/include/sivshmem
	install -m 644 kmod/*.[ch] kmod/Kbuild kmod/Makefile $(src)/kmod
	install -m 755 kmod/sign.sh $(src)/kmod
	install -m 644 include/sivshmem/*.h $(src)/include/sivshmem
	sed 's/@VERSION@/$(VERSION)/' kmod/dkms.conf >$(src)/dkms.conf
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' ca-host/sivshmem-cad.service \
		>$(DESTDIR)$(UNITDIR)/sivshmem-cad.service
	for m in $(man_pages); do install -D -m 644 $$m \
		$(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/}; done
	@[ -n "$(DESTDIR)" ] || ldconfig || echo 'make install: run ldconfig as root' >&2
uninstall:
	rm -f $(DESTDIR)$(UNITDIR)/sivshmem-cad.service
	rm -f $(dest)/bin/sivshmem $(dest)/sbin/sivshmem-ca $(dest)/sbin/sivshmem-cad \
		$(DESTDIR)$(LIBDIR)/libsivshmem*.so* \
		$(foreach m,$(man_pages),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(m)))/$(notdir $(m)))
	rm -rf $(dest)/include/sivshmem $(src)
	@[ -n "$(DESTDIR)" ] || ldconfig || echo 'make uninstall: run ldconfig as root' >&2

clean:
	rm -rf $(BUILD)/obj $(BUILD)/unit $(BUILD)/tools $(BUILD)/kmod-* $(BUILD)/run-* \
		$(BUILD)/fuzz $(BUILD)/sanitize $(BUILD)/debug \
		$(BUILD)/sivshmem* $(BUILD)/libsivshmem*
help:
	@echo 'make demo        two VMs, an unmodified Python program, from scratch'
	@echo 'make demo-local  the same between processes of this host, no VM'
	@echo 'make check       build and run every test; check-local without VMs'
	@echo 'make fuzz        fuzz each parser for 10^7 executions, or FUZZ_SECONDS each'
	@echo 'make prove       check the models of the handshake and of members with spin'
	@echo 'make check-debug the tests of the module on a debug kernel, which debug-kernel builds'
	@echo 'make bench       measure, or ONLY=part,... of it; prints a table, writes build/bench.json'
	@echo 'make all kmod    build; KDIR=/lib/modules/.../build for a kernel of yours'
	@echo 'make kmod-sign   sign the modules with KEY= and CERT= of yours: doc/SIGNING.md'
	@echo 'make lint install uninstall clean'
	@echo 'Variables: BUILD PREFIX DESTDIR CFLAGS KERNEL=6.1|6.12 ACCEL=kvm|tcg V=1 SANITIZE=1'

-include $(shell find $(BUILD)/obj $(BUILD)/unit $(BUILD)/tools -name '*.d' 2>/dev/null)
