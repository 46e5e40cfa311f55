# activityd: `make help` lists what can be done. Everything generated goes below $(B); nothing has to be listed here when a
# file is added, since every .c in a folder is built.

B       ?= build
VARIANT ?= plain
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
DEPS    ?= build/deps
DATA    ?= .data
PREFIX  ?= /usr/local
FUZZ    ?= frame
SECONDS ?= 30
N       ?= 10
TLS     ?= own

# As many jobs as processors, unless -j says otherwise.
MAKEFLAGS += --no-print-directory
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

Q   := $(if $(V),,@)
say  = $(if $(V),,@echo "  $(1) $(2)")
OUT := $(B)/$(VARIANT)$(if $(findstring clang,$(CC)),-clang)
O   := $(OUT)/obj

# --- Dependencies: .make/deps.sh installs or fetches them and tells in deps.mk where NNG is ---------------------------

.DEFAULT_GOAL := all
ifneq ($(filter-out help clean deps opensearch soak-trixie,$(or $(MAKECMDGOALS),all)),)
$(DEPS)/deps.mk: .make/deps.sh
	@.make/deps.sh $(DEPS)
include $(DEPS)/deps.mk
endif

# --- Flags ------------------------------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla $(if $(WERROR),-Werror)
MODE_plain := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong
MODE_asan  := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan  := -O1 -fno-omit-frame-pointer -fsanitize=thread
MODE_fuzz  := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link
MODE       := $(or $(MODE_$(VARIANT)),$(error VARIANT is plain, asan, tsan or fuzz))

FLAGS    := -std=gnu11 -g -fPIE -pthread $(MODE)
INCLUDE   = -I. -Iclient/include -I$(B)/gen $(NNG_CFLAGS)
LINK     := -pie -pthread $(filter-out -D%,$(MODE)) -Wl,-z,relro,-z,now -Wl,--as-needed
LIBS      = $(NNG_LIBS) -lprotobuf-c -lconfuse -lxxhash -ljansson -lyajl -lcurl -lz -lcmocka -lm

# --- What is built ----------------------------------------------------------------------------------------------------

objects = $(patsubst %.c,$(O)/%.o,$(wildcard $(1)))
program = $(patsubst %.c,$(OUT)/%,$(wildcard $(1)))

GEN     := $(patsubst proto/%.proto,$(B)/gen/%.pb-c.c,$(wildcard proto/activity/v1/*.proto))
GEN_O   := $(GEN:$(B)/gen/%.c=$(O)/gen/%.o)
PROTO   := $(call objects,proto/*.c) $(GEN_O)
# NNG's TLS engine: ours, or with TLS=stock NNG's own. Programs with the other one are built below $(OUT)/stock for the tests.
STOCK   := $(call objects,proto/tls/stock/*.c)
ENGINE  := $(filter-out $(if $(filter stock,$(TLS)),$(O)/proto/tls/engine.o),$(call objects,proto/tls/*.c)) \
    $(if $(filter stock,$(TLS)),$(STOCK))
SERVER  := $(call objects,$(addsuffix /*.c,server $(addprefix server/,wire engine rpc net feed index ops)))

LIBRARY := $(addprefix $(OUT)/,libproto.a libtls.a libcore.a libjournal.a libserver.a libactivity.a libshim.a)
$(OUT)/libproto.a:    $(PROTO)
$(OUT)/libtls.a:      $(ENGINE)
$(OUT)/libcore.a:     $(call objects,server/core/*.c)
$(OUT)/libjournal.a:  $(call objects,server/journal/*.c)
$(OUT)/libserver.a:   $(filter-out $(O)/server/main.o,$(SERVER))
$(OUT)/libactivity.a: $(call objects,client/lib/*.c) $(PROTO) $(ENGINE)
$(OUT)/libshim.a:     $(patsubst %.c,$(O)/%.o,$(NNG_SHIM))

MAIN    := $(if $(wildcard server/main.c),$(OUT)/activityd) $(if $(wildcard client/ctl/*.c),$(OUT)/activityctl)
EXAMPLE := $(call program,client/examples/*.c)
UNIT    := $(call program,$(shell find tests/unit -name 'test_*.c' 2>/dev/null))
SIM     := $(call program,tests/sim/test_*.c)
E2E     := $(call program,tests/e2e/test_*.c)
CORPUS  := $(call program,tests/fuzz/fuzz_*.c)
BENCH   := $(filter-out $(OUT)/bench/harness%,$(call program,bench/*.c))
TESTS   := $(UNIT) $(SIM) $(E2E) $(CORPUS)

$(OUT)/activityd:   $(O)/server/main.o $(addprefix $(OUT)/,libserver.a libjournal.a libcore.a libtls.a libproto.a)
$(OUT)/activityctl: $(call objects,client/ctl/*.c) $(OUT)/libactivity.a
$(EXAMPLE):         $(OUT)/%: $(O)/%.o $(OUT)/libactivity.a
$(TESTS) $(BENCH):  $(OUT)/%: $(O)/%.o $(filter-out %/libproto.a %/libtls.a,$(LIBRARY))
$(SIM):             $(filter-out $(O)/tests/sim/test_%,$(call objects,tests/sim/*.c))
$(E2E):             $(call objects,tests/e2e/harness*.c)
$(BENCH):           $(call objects,bench/harness*.c tests/e2e/harness*.c)
$(CORPUS):          $(if $(filter fuzz,$(VARIANT)),,$(call objects,tests/fuzz/driver.c))
$(CORPUS):          LINK += $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer)
OTHER   := $(MAIN:$(OUT)/%=$(OUT)/stock/%)
$(OUT)/stock/activityd:   $(STOCK) $(O)/server/main.o $(addprefix $(OUT)/,libserver.a libjournal.a libcore.a libtls.a libproto.a)
$(OUT)/stock/activityctl: $(STOCK) $(call objects,client/ctl/*.c) $(OUT)/libactivity.a
PROGRAM := $(MAIN) $(OTHER) $(EXAMPLE) $(TESTS) $(BENCH)
$(PROGRAM): $(OUT)/libshim.a

# --- How it is built --------------------------------------------------------------------------------------------------

.SECONDARY:
.DELETE_ON_ERROR:
$(O)/%.o: %.c Makefile | $(GEN)
	$(call say,CC  ,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) $(WARN) $(INCLUDE) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.pb-c.c: proto/%.proto
	$(call say,GEN ,$<)
	@mkdir -p $(B)/gen
	$(Q)protoc -Iproto --c_out=$(B)/gen $<

$(O)/gen/%.o: $(B)/gen/%.c Makefile | $(GEN)
	$(call say,CC  ,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) $(INCLUDE) $(CFLAGS) -MMD -MP -c -o $@ $<

# An archive without members is fine: a folder may still be empty.
$(LIBRARY):
	$(call say,AR  ,$@)
	@mkdir -p $(@D) && rm -f $@
	$(Q)ar rcs $@ $^

$(PROGRAM):
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) $(LIBS) -Wl,--end-group

-include $(shell find $(O) -name '*.d' 2>/dev/null)

# --- Targets: `name: ... ## text` is a line of `make help` --------------------------------------------------------------

.PHONY: all run demo tests test check lint format bench asan-test tsan-test interop opensearch soak-trixie fuzz certs deps install clean help
all: $(MAIN) $(OUT)/libactivity.a $(EXAMPLE) ## build activityd, activityctl, libactivity and the examples
	$(if $(filter $(B)/plain,$(OUT)),@$(foreach m,$(MAIN),ln -sf plain/$(notdir $m) $(B)/;))

run: all certs ## start a development server in the foreground (DATA=.data, ARGS=...)
	@.make/run.sh $(OUT)/activityd $(DATA) $(ARGS)

demo: all ## show the service at work on real input, unattended, in under a minute
	@ACTIVITY_BIN=$(OUT) .make/demo.sh

# What the tests get to know. Sanitizers stop at the first finding.
export ACTIVITY_BIN := $(abspath $(OUT))
export ASAN_OPTIONS ?= detect_stack_use_after_return=1:strict_string_checks=1
export LSAN_OPTIONS ?= suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS ?= halt_on_error=1:second_deadlock_stack=1:suppressions=$(CURDIR)/tests/tsan.supp
LINT := LINT_FLAGS="$(filter-out -Werror,$(WARN)) $(INCLUDE)" LINT_BUF=$(B)/buf

tests: $(TESTS) $(OTHER) ## build the test programs without running them

test: all tests ## all tests: unit, scenario, simulation, fuzz corpus, lint (VARIANT=plain|asan|tsan, V=1)
	@$(LINT) tests/run.sh $(OUT)/logs $(E2E) tests/lint/test_lint.sh $(SIM) $(CORPUS) $(UNIT)

check: lint all $(UNIT) ## the fast part: lint and unit tests, in under a minute
	@tests/run.sh $(OUT)/logs $(UNIT)

lint: $(GEN) ## include table, purity of the core, sizes, banned calls, headers, gcc and clang, buf
	@$(LINT) tests/lint/lint.sh

format: ## bring the C files into the tree's format (clang-format 14, not installed by deps)
	@find proto server client tests bench -name '*.[ch]' | xargs clang-format -i

asan-test: ## all tests with the address and undefined behaviour sanitizers
	@$(MAKE) VARIANT=asan test

tsan-test: ## all tests with the thread sanitizer
	@$(MAKE) VARIANT=tsan test

soak-%: all tests ## run the test or fuzz program of that name with N times its counts (make soak-journal_damage N=10)
	@N=$(N) TEST_TIMEOUT=86400 V=1 tests/run.sh $(OUT)/logs $(or $(filter %/test_$* %/fuzz_$*,$(TESTS)),$(error no test of that name))

soak-trixie: ## the whole suite in a Debian 13, made for it in a scratch folder and removed again (as root)
	@.make/trixie.sh $(B)

interop: all ## the clients in Python and Go (tests/interop) against the server; fetches their libraries with pip and go
	@INTEROP_DIR=$(B)/interop DEPS=$(DEPS) tests/run.sh $(OUT)/logs tests/interop/test_python.sh tests/interop/test_go.sh

opensearch: ## start a real OpenSearch in the foreground, to try out (DATA=.data, ARGS=secure); fetched with mvn
	@tests/opensearch/run.sh $(DATA)/opensearch $(ARGS)

fuzz: ## search with libFuzzer (FUZZ=frame SECONDS=30); what it finds is kept in build/corpus
	@$(MAKE) VARIANT=fuzz CC=clang $(B)/fuzz-clang/tests/fuzz/fuzz_$(FUZZ)
	@mkdir -p $(B)/corpus/$(FUZZ) tests/fuzz/corpus/$(FUZZ)
	@$(B)/fuzz-clang/tests/fuzz/fuzz_$(FUZZ) -max_total_time=$(SECONDS) -artifact_prefix=$(B)/corpus/ \
	    $(B)/corpus/$(FUZZ) tests/fuzz/corpus/$(FUZZ)

bench: all $(BENCH) $(OTHER) ## our benchmarks
	@for b in $(BENCH); do $$b || exit 1; done

certs: ## create a development CA, certificates, policy and profile in DATA (.data), as far as missing
	@.make/devcerts.sh $(DATA)

deps: ## install the Debian packages that are missing; on Debian 12 also fetch a newer NNG and mbedTLS
	@.make/deps.sh $(DEPS)

install: all ## install programs, library, header, examples and man pages (PREFIX=/usr/local, DESTDIR=)
	@.make/install.sh "$(DESTDIR)" "$(PREFIX)" $(OUT) $(if $(NNG_ARCHIVES),"$(NNG_ARCHIVES) $(OUT)/libshim.a","")

clean: ## remove everything built (but not what was fetched: NNG and mbedTLS in build/deps, OpenSearch)
	@! [ -d $(B) ] || find $(B) -mindepth 1 -maxdepth 1 ! -name deps ! -name opensearch -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
