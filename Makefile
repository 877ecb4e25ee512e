# wirecache. `make help` lists the targets; V=1 shows the commands.
#
# FASTPATH=0          leave the kernel half out: needs no libbpf, libxdp, clang or bpftool
# SANITIZE=address    (or undefined, thread, or several with commas) for user-space code
# BUILD=dir           where everything goes; use another one per variant to keep several at once
FASTPATH ?= 1
SANITIZE ?=
BUILD ?= build
$(if $(BUILD),,$(error BUILD is empty))
PREFIX ?= /usr/local
CC = gcc
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
BPFTOOL ?= $(shell PATH="$$PATH:/usr/sbin:/sbin" command -v bpftool)
PYTHON ?= /usr/bin/python3

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-8s %s\n' $(1) $(2))
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# ---- what there is -------------------------------------------------------------------------------------------

srcs := $(sort $(shell find user -name '*.c'))
ctl_srcs := $(filter user/ctl/%,$(srcs))
srcs := $(filter-out $(ctl_srcs),$(srcs))
ifeq ($(FASTPATH),0)
srcs := $(filter-out user/fastpath/%,$(srcs)) $(wildcard user/fastpath/none.c)
ctl_srcs :=
else
srcs := $(filter-out user/fastpath/none.c,$(srcs))
bpf_objs := $(patsubst bpf/%.c,$(BUILD)/%.o,$(wildcard bpf/*.bpf.c))
skel := $(bpf_objs:.bpf.o=.skel.h)
endif

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
objs := $(call obj,$(srcs))
ctl_objs := $(call obj,$(ctl_srcs))
lib := $(BUILD)/libwirecache.a # everything but main, for the tests and wirecachectl
main_obj := $(BUILD)/user/main.o

unit_srcs := $(sort $(wildcard tests/unit/test_*.c))
bpf_test_srcs := $(if $(skel),$(sort $(wildcard tests/bpf/test_*.c)))
# What tests share: an archive, so that each gets what it uses.
helper_srcs := $(sort $(filter-out $(unit_srcs) $(wildcard tests/bpf/test_*.c),\
	$(wildcard tests/lib/*.c tests/unit/*.c $(if $(skel),tests/bpf/*.c))))
helper_lib := $(BUILD)/libtests.a
unit_tests := $(unit_srcs:%.c=$(BUILD)/%)
bpf_tests := $(bpf_test_srcs:%.c=$(BUILD)/%)
helper_objs := $(call obj,$(helper_srcs))
test_objs := $(call obj,$(unit_srcs) $(bpf_test_srcs)) $(helper_objs)
# C programs and BPF objects that end-to-end tests use.
e2e_srcs := $(wildcard tests/e2e/*.c)
e2e_bpf_srcs := $(filter %.bpf.c,$(e2e_srcs))
bench_progs := $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*.c))
e2e_progs := $(patsubst tests/e2e/%.c,$(BUILD)/tests/%,$(filter-out %.bpf.c,$(e2e_srcs))) $(bench_progs)
e2e_bpf := $(if $(skel),$(patsubst tests/e2e/%.c,$(BUILD)/tests/%.o,$(e2e_bpf_srcs)))
tcp_progs := $(BUILD)/tests/impair $(BUILD)/tests/oracle
SECONDS ?= 600

# ---- how to build it -----------------------------------------------------------------------------------------

sanitize_flags := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
CPPFLAGS += -D_GNU_SOURCE= -DWC_FASTPATH=$(FASTPATH) -Iinclude -Iuser -I$(BUILD)
CFLAGS ?= -O2 -g
all_cflags = -std=gnu11 -Wall -Wextra -Werror -pthread $(CPPFLAGS) $(CFLAGS) $(sanitize_flags)
# --as-needed: a sanitizer brings its own malloc, and jemalloc must then stay out.
all_ldflags = -pthread -Wl,--as-needed $(LDFLAGS) $(sanitize_flags)
libs := -ljemalloc -lm $(if $(skel),-lxdp -lbpf -lelf -lz)

bpf_arch := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))
# Debian keeps asm/ in a directory per architecture, which clang -target bpf does not search.
# Headers are read as words for their checksums, hence -fno-strict-aliasing.
bpf_flags := -target bpf -g -O2 -fno-strict-aliasing -mcpu=v3 -D__TARGET_ARCH_$(bpf_arch) -Wall -Wextra -Werror \
	-Ivmlinux -Iinclude -Ibpf -idirafter /usr/include/$(shell uname -m)-linux-gnu

dirs := $(sort $(BUILD) $(BUILD)/bench $(BUILD)/tests $(patsubst %/,%,$(dir $(objs) $(ctl_objs) $(test_objs))))

all: $(BUILD)/wirecache $(if $(ctl_objs),$(BUILD)/wirecachectl) ## Build the server (FASTPATH=0: without the kernel half)

$(BUILD)/wirecache: $(main_obj) $(lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(all_ldflags) -o $@ $^ $(libs)

$(BUILD)/wirecachectl: $(ctl_objs) $(lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(all_ldflags) -o $@ $^ $(libs)

$(lib): $(filter-out $(main_obj),$(objs)) $(BUILD)/.members
$(helper_lib): $(helper_objs) $(BUILD)/.members
$(lib) $(helper_lib):
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(BUILD)/%.o: %.c $(BUILD)/.flags | $(dirs) $(skel)
	$(call say,CC,$<)
	$(Q)$(CC) $(all_cflags) -Itests/lib -MMD -MP -c -o $@ $<

# Stamps, rewritten only when what they hold changes. Flags: everything is rebuilt, so objects of two variants never
# mix. Members: a source that was removed or renamed leaves the library.
$(BUILD)/.flags: stamp = $(CC) $(all_cflags)
$(BUILD)/.bpf-flags: stamp = $(CLANG) $(bpf_flags)
$(BUILD)/.members: stamp = $(objs) $(helper_objs)
$(BUILD)/.flags $(BUILD)/.bpf-flags $(BUILD)/.members: FORCE | $(BUILD)
	@echo '$(stamp)' | cmp -s - $@ || echo '$(stamp)' >$@

$(dirs):
	$(Q)mkdir -p $@

# ---- kernel half ---------------------------------------------------------------------------------------------

# llvm-strip takes DWARF away and keeps BTF.
define build_bpf
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(bpf_flags) -MMD -MP -MF $(@:.o=.d) -MT $@ -c -o $@ $<
	$(Q)$(LLVM_STRIP) -g $@
endef

# bpf/x.bpf.c: x.bpf.o, and x.skel.h with struct x_bpf.
$(bpf_objs): $(BUILD)/%.bpf.o: bpf/%.bpf.c $(BUILD)/.bpf-flags | $(dirs)
	$(build_bpf)

$(e2e_bpf): $(BUILD)/tests/%.bpf.o: tests/e2e/%.bpf.c $(BUILD)/.bpf-flags | $(dirs)
	$(build_bpf)

$(skel): $(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

# ---- tests ---------------------------------------------------------------------------------------------------

$(unit_tests) $(bpf_tests): $(BUILD)/%: $(BUILD)/%.o $(helper_lib) $(lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(all_ldflags) -o $@ $^ -lcmocka $(libs)

$(BUILD)/tests/%: tests/e2e/%.c $(BUILD)/.flags | $(dirs)
	$(call say,CC,$<)
	$(Q)$(CC) $(all_cflags) -MMD -MP -o $@ $<

$(BUILD)/tests/impair: tests/tcp/impair.c
$(BUILD)/tests/oracle: $(addprefix tests/tcp/,oracle.c client.c script.c history.c)
$(tcp_progs): $(wildcard tests/tcp/*.h) $(BUILD)/.flags | $(dirs)
	$(call say,CC,$@)
	$(Q)$(CC) $(all_cflags) -o $@ $(filter %.c,$^)

$(BUILD)/bench/%: bench/%.c $(BUILD)/.flags | $(dirs)
	$(call say,CC,$<)
	$(Q)$(CC) $(all_cflags) -MMD -MP -o $@ $<

# Runs each test program, all of them even when one fails.
run_each = @failed=0; for t in $(1); do echo "== $$t"; $$t || failed=1; done; exit $$failed

tests: $(unit_tests) $(bpf_tests) $(e2e_progs) $(e2e_bpf) $(tcp_progs) ## Build the tests without running them

check: ## All tests: unit, BPF programs, end to end (root for the last two)
	$(Q)$(MAKE) --no-print-directory check-unit
	$(Q)$(MAKE) --no-print-directory check-bpf
	$(Q)$(MAKE) --no-print-directory check-e2e

check-unit: $(unit_tests) ## Unit tests
	$(call run_each,$(unit_tests))

check-bpf: $(bpf_tests) ## BPF programs, packet by packet
	$(call run_each,$(bpf_tests))

check-e2e: all $(e2e_progs) $(e2e_bpf) ## End-to-end tests in network namespaces (T="name ..." for some)
	$(Q)WC_BUILD=$(BUILD) $(PYTHON) tests/e2e/run.py $(T)

check-tcp: check-bpf all $(tcp_progs) $(e2e_bpf) $(BUILD)/tests/unit/test_tcp $(BUILD)/tests/unit/test_tcp_model ## TCP: packet by packet, as a model, and real stacks under loss
	$(call run_each,$(BUILD)/tests/unit/test_tcp $(BUILD)/tests/unit/test_tcp_model)
	$(Q)WC_BUILD=$(BUILD) $(PYTHON) tests/tcp/run.py --seconds 90 $(T)

soak-tcp: all $(tcp_progs) $(e2e_bpf) ## Real stacks under loss for SECONDS, another seed each time (T="hook=xdp loss=1 ...")
	$(Q)WC_BUILD=$(BUILD) $(PYTHON) tests/tcp/run.py --seconds $(SECONDS) --run-seconds 20 --seed $$$$ $(T)

bench: all $(bench_progs) ## Speed on loopback, beside redis-server and valkey-server if there are any (ARGS="--rounds 5")
	$(Q)WC_BUILD=$(BUILD) $(PYTHON) bench/run.py $(ARGS)

lint: $(skel) ## clang-format, clang-tidy, cppcheck, shellcheck
	$(Q)tools/lint.sh $(all_cflags)

# ---- use -----------------------------------------------------------------------------------------------------

run: all ## Start the server (ARGS="--port 7000 ...")
	$(Q)$(BUILD)/wirecache $(ARGS)

install: all ## Install under PREFIX (/usr/local), below DESTDIR if given
	install -D -m 755 $(BUILD)/wirecache $(DESTDIR)$(PREFIX)/bin/wirecache
	$(if $(ctl_objs),install -D -m 755 $(BUILD)/wirecachectl $(DESTDIR)$(PREFIX)/bin/wirecachectl)

clean: ## Remove what was built
	rm -rf $(BUILD)

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

FORCE:
.PHONY: all tests check check-unit check-bpf check-e2e check-tcp soak-tcp bench lint run install clean help FORCE

-include $(patsubst %.o,%.d,$(objs) $(ctl_objs) $(test_objs) $(bpf_objs) $(e2e_bpf)) $(e2e_progs:=.d)
