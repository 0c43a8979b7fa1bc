# make             builds ./ti; says what is missing         make help    this text
# make deps        installs what building needs (apt)        make clean   takes away what make built in BUILD
# make demo        learns a word on the embedded model and generates pictures with it (installs what is missing)
# make test        checks everything against the golden tensors (installs what is missing)
# make test-full   checks models at full size (5 GB of disk; minutes)
# make fuzz        feeds COUNT hostile inputs to the parsers, with sanitizers
# make bench       times ti beside PyTorch, where there is one (PYTHON=); make bench-full: the same at full size (MODEL=, RUNS=)
# make install     installs into PREFIX (/usr/local); make uninstall takes it away again
# make plain       builds build/plain: Textual Inversion in one file (plain/ti.c)
# make debug       builds build-debug/ti and the tests without optimisation, with sanitizers
# make compile_commands.json   tells editors how each file is compiled
# make docs        writes the tables that tests produce; make verification writes docs/verification.md
# make lines       counts the lines of C by room
#
# Variables: CC, MARCH (empty: a portable build), OPT (-O3), SANITIZE=address,undefined, WERROR=1, PREFIX, PYTHON, and BUILD, the
# folder of objects, in whose name make allows no spaces. When the flags are others than in the last build, everything is built anew.

CC      = gcc
MARCH   = -march=native
BUILD   = build
export PREFIX = /usr/local
OPT     = -O3
CFLAGS  = -std=c11 $(OPT) $(MARCH) -fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp -g
WARN    = -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(if $(WERROR),-Werror)
SAN     = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
LIBS    = -lopenblas -ljansson -lutf8proc -lm
ROOMS   = cli inversion diffusion nn exchange weights autograd tensor text io

# Each room is an archive. The linker keeps dependencies one-way: room_NAME is all of a room and of those below it, and links only so.
archives = $(patsubst %,$(BUILD)/lib%.a,$(1))
BELOW_io        =
BELOW_text      = io
BELOW_tensor    = io
BELOW_autograd  = tensor io
BELOW_weights   = text tensor io
BELOW_exchange  = weights text tensor io
BELOW_nn        = autograd weights text tensor io
BELOW_diffusion = nn autograd weights text tensor io
BELOW_inversion = diffusion nn autograd weights text tensor io
BELOW_cli       = inversion diffusion nn exchange autograd weights text tensor io

TESTS    = $(patsubst test_%.c,%,$(notdir $(wildcard tests/*/test_*.c)))
PROGRAMS = $(TESTS:%=$(BUILD)/test_%) $(BUILD)/fuzz

ifneq ($(words $(BUILD)),1)
$(error ti: BUILD must be the name of one folder and have no spaces, not "$(BUILD)")
endif

ti: $(BUILD)/ti
	@cp -f $< $@

$(BUILD)/ti: $(BUILD)/ti.o $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

# ti, where the N-th call of a kind can be made to fail: tests/commands/failing.c.
WRAPPED = malloc calloc realloc aligned_alloc mmap open read write fsync close rename linkat mkdir fopen fflush opendir
$(BUILD)/ti_failing: $(BUILD)/ti.o $(BUILD)/tests/commands/failing.o $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) $(WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS)

# What the test programs share.
$(BUILD)/libtest.a: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*.c)) $(BUILD)/sources
	@rm -f $@; ar rcs $@ $(filter %.o,$^)

define room_rules
$(BUILD)/lib$(1).a: $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c)) $(BUILD)/sources
	@rm -f $$@; ar rcs $$@ $$(filter %.o,$$^)
$(BUILD)/room_$(1): $(BUILD)/tests/rooms/room.o $(call archives,$(1) $(BELOW_$(1)))
	$$(CC) $$(CFLAGS) $$(SAN) -o $$@ $$< -Wl,--whole-archive $(BUILD)/lib$(1).a -Wl,--no-whole-archive $(call archives,$(BELOW_$(1))) $$(LIBS)
endef
$(foreach room,$(ROOMS),$(eval $(call room_rules,$(room))))

define test_rule
$(BUILD)/test_$(1): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*/test_$(1).c)) $(BUILD)/libtest.a $(call archives,$(ROOMS))
	$$(CC) $$(CFLAGS) $$(SAN) -o $$@ $$^ $$(LIBS)
endef
$(foreach test,$(TESTS),$(eval $(call test_rule,$(test))))

# The cases of bad input are tables in files of their own.
$(BUILD)/test_bad_input: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/bad_input/*.c))

# Textual Inversion in one file, which needs only libm.
plain: $(BUILD)/plain
$(BUILD)/plain: plain/ti.c $(BUILD)/flags | needs
	$(CC) -std=c11 -O2 $(WARN) $(SAN) -o $@ $< -lm
$(BUILD)/tests/plain.o: plain/ti.c

$(BUILD)/fuzz: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/*.c)) $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)
$(BUILD)/bench_%: $(BUILD)/tests/bench/bench_%.o $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)
$(BUILD)/make_model: $(BUILD)/tests/models/make_model.o $(BUILD)/libtest.a $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

# Files that hold the flags and the sources of the last build. They are written only where these are others now, and then they
# are newer than all objects and archives, which are made anew: also an archive of which a source has gone.
flags   := $(CC) $(CFLAGS) $(WARN) $(SAN) $(LIBS)
sources := $(sort ti.c $(wildcard $(ROOMS:%=%/*.c) tests/*.c tests/*/*.c))
define last_rule
ifneq ($$(file <$(BUILD)/$(1)),$$($(1)))
$(BUILD)/$(1): force
endif
$(BUILD)/$(1): export TEXT := $$($(1))
$(BUILD)/$(1): | folder
	@printf '%s\n' "$$$$TEXT" >$$@
endef
$(foreach name,flags sources,$(eval $(call last_rule,$(name))))

$(BUILD)/%.o: %.c $(BUILD)/flags | needs
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(WARN) $(SAN) -I. -MMD -MP -c -o $@ $<
# stb_image_write shifts bits out of a signed int, which -fwrapv defines; gcc's sanitizer has to be told.
$(BUILD)/io/stb.o: CFLAGS += -fwrapv
$(BUILD)/io/stb.o: SAN += $(if $(SANITIZE),-fno-sanitize=shift)

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d $(BUILD)/*/*/*.d)

# make demo and make test install what is missing; any other build only says so.
needs:
	@CC="$(CC)" sh tools/deps.sh $(if $(filter demo test,$(MAKECMDGOALS)),install,check)
deps:
	@CC="$(CC)" sh tools/deps.sh install

# A folder with other things in it is not built in, since make clean would take them away. The links are for the programs, which
# look for the embedded model in the folder weights beside them.
folder:
	@[ -e $(BUILD)/flags ] || [ -e $(BUILD)/ti.o ] || [ -z "$$(ls -A $(BUILD) 2>/dev/null)" ] || \
	    { echo "ti: $(BUILD) holds other things than a build: BUILD must be a new folder or an empty one" >&2; exit 1; }
	@mkdir -p $(BUILD)/weights && ln -sf "$$(pwd)/weights/critters" "$$(pwd)/weights/clip" $(BUILD)/weights/

tests: $(PROGRAMS) $(BUILD)/plain $(ROOMS:%=$(BUILD)/room_%) $(BUILD)/make_model $(BUILD)/ti_failing $(BUILD)/bench_kernels $(BUILD)/bench_steps

test: tests $(BUILD)/ti
	@TI=$(BUILD)/ti sh tests/run.sh $(PROGRAMS)

test-full: $(BUILD)/ti $(BUILD)/make_model $(BUILD)/test_full $(BUILD)/test_memory
	$(BUILD)/test_full sd15
	$(BUILD)/test_full sd21
	TI=$(BUILD)/ti $(BUILD)/test_memory sd15

# COUNT inputs to all parsers, with the sanitizers; what crashes one goes to out/ (see tests/fuzz/fuzz.c).
COUNT = 1000000
SEED  = 1
fuzz:
	@$(MAKE) BUILD=build-asan SANITIZE=address,undefined build-asan/fuzz
	build-asan/fuzz all --count $(COUNT) --seed $(SEED)

verification: tests $(BUILD)/ti
	+@TI=$(BUILD)/ti COVERAGE=$(BUILD)-coverage sh tools/verification.sh $(PROGRAMS)

# The tables in docs/ that tests write.
docs: $(BUILD)/test_bad_input
	$(BUILD)/test_bad_input --table >tests/bad_input/messages.md

debug:
	@$(MAKE) BUILD=build-debug OPT='-O0 -g3' SANITIZE=address,undefined build-debug/ti tests

compile_commands.json: $(BUILD)/flags $(BUILD)/sources
	@CC="$(CC)" FLAGS="$(CFLAGS) $(WARN) $(SAN) -I." sh tools/compile_commands.sh $(sources) >$@

# The comment at the top of this file.
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

lines:
	@sh tools/lines.sh $(ROOMS)

demo: ti
	@sh tools/demo.sh out/demo

bench: ti $(BUILD)/bench_kernels $(BUILD)/bench_steps
	@sh tools/bench.sh $(BUILD)

# MODEL: a folder in F32, with MODEL_F16 the same in F16; else both are made (7 GB of disk). RUNS: 3.
bench-full: ti $(BUILD)/bench_steps $(BUILD)/make_model
	@sh tools/bench.sh $(BUILD) full

install: ti
	@sh tools/install.sh install
uninstall:
	@sh tools/install.sh uninstall

clean:
	@sh tools/clean.sh $(BUILD)

.PHONY: ti plain deps needs debug help folder force tests test test-full fuzz verification docs lines demo bench bench-full install uninstall clean
.SECONDARY:
