# SPDX-License-Identifier: MIT
# make             builds ./ti, or says what is missing      make help    prints this text
# make deps        installs what building needs (apt)        make clean   removes ./ti and the build folder BUILD
# make demo        learns a word on the embedded model and generates pictures with it (installs what is missing)
# make test        runs all tests, most of which compare with golden files (installs what is missing)
# make test-full   tests models at full size (takes minutes and 5 GB of disk)
# make check-real  compares two pictures of the model in the folder or file MODEL with those of Stable Diffusion 1.4
# make fuzz        feeds COUNT hostile inputs to the parsers, with sanitizers
# make bench       measures the speed of ti, and that of PyTorch if PYTHON names a Python that has it
# make bench-full  does the same at full size, with RUNS runs of the model in the folder MODEL
# make study       learns words with many settings and scores them (hours; QUICK=1: minutes)
# make install     installs into PREFIX (/usr/local), and make uninstall removes the same files
# make dist        makes the tarball of the last commit and builds it in an empty folder; make deb makes a Debian package
# make plain       builds build/plain: Textual Inversion in one file (plain/ti.c)
# make debug       builds build-debug/ti and the tests without optimisation, with sanitizers
# make docs        writes the tables that tests produce, and make verification writes docs/verification.md
# make lines       counts the lines of C in each room
# make compile_commands.json   tells editors how each file is compiled
#
# Variables: CC, MARCH (an empty one makes a portable build), OPT (-O3), SANITIZE=address,undefined, WERROR=1, PREFIX,
# MPI=1 (training on several machines, docs/scale.md), PYTHON, and BUILD, the build folder, whose name may not contain spaces. Changed flags cause a complete build.

# A single goal is made with as many jobs as there are processors, unless make is given -j.
ifeq ($(MAKELEVEL)$(filter-out 0 1,$(words $(MAKECMDGOALS))),0)
MAKEFLAGS += -j$(shell nproc)
endif

CC      = gcc
MARCH   = -march=native
BUILD   = build
export PREFIX = /usr/local
OPT     = -O3
CFLAGS  = -std=c11 $(OPT) $(MARCH) -fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp -g
WARN    = -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(if $(WERROR),-Werror)
SAN     = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
MPI     =
MPICC   = mpicc
LIBS    = $(LDFLAGS) -lopenblas -lminizip -lz -ljansson -lutf8proc -lm $(if $(MPI),$(shell $(MPICC) --showme:link))
ROOMS   = cli inversion diffusion nn exchange weights autograd tensor text io

# Each room, which is a source folder, becomes an archive. The linker checks that a room uses only rooms below it: the
# program room_NAME consists of the whole room NAME and the rooms below it, and links only if nothing is missing.
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

# The longest tests come first, so that none of them runs alone at the end.
LONGEST  = resume failures loop picture bad_input
TESTS    = $(LONGEST) $(filter-out $(LONGEST),$(patsubst test_%.c,%,$(notdir $(wildcard tests/*/test_*.c))))
PROGRAMS = $(TESTS:%=$(BUILD)/test_%) $(BUILD)/fuzz

ifneq ($(MPI),)
ifeq ($(shell command -v $(MPICC))$(filter deps,$(MAKECMDGOALS)),)
$(error ti: MPI=1 needs Open MPI, and there is no $(MPICC): "make deps MPI=1" installs libopenmpi-dev and openmpi-bin)
endif
endif
# The file of a room that this build does without
OTHER    = $(if $(MPI),inversion/ranks.c,inversion/ranks_mpi.c)

ifneq ($(words $(BUILD)),1)
$(error ti: BUILD must be the name of one folder and have no spaces, not "$(BUILD)")
endif

ti: $(BUILD)/ti
	@cp -f $< $@

$(BUILD)/ti: $(BUILD)/ti.o $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

# A ti in which the N-th call of a kind can be made to fail (tests/commands/failing.c)
WRAPPED = malloc calloc realloc aligned_alloc mmap open read write fsync close rename linkat mkdir fopen fflush opendir
$(BUILD)/ti_failing: $(BUILD)/ti.o $(BUILD)/tests/commands/failing.o $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) $(WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS)

# The code that all test programs share
$(BUILD)/libtest.a: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*.c)) $(BUILD)/sources
	@rm -f $@; ar rcs $@ $(filter %.o,$^)

define room_rules
$(BUILD)/lib$(1).a: $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(OTHER),$(wildcard $(1)/*.c))) $(BUILD)/sources
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

# The cases of bad input are tables in other files of the folder.
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

$(BUILD)/plot_points: $(BUILD)/tools/plot_points.o $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)
$(BUILD)/check_real: $(BUILD)/tests/models/check_real.o $(BUILD)/libtest.a $(call archives,$(ROOMS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

# The files $(BUILD)/flags and $(BUILD)/sources hold the flags and the sources of the last build. They are rewritten only
# when these have changed. Objects and archives depend on them and are then rebuilt, also an archive that lost a source.
flags   := $(CC) $(CFLAGS) $(WARN) $(SAN) $(LIBS)
sources := $(filter-out $(OTHER),$(sort ti.c $(wildcard $(ROOMS:%=%/*.c) tools/*.c tests/*.c tests/*/*.c)))
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
# stb_image_write shifts bits out of a signed int. -fwrapv makes that defined, but gcc's sanitizer still reports it.
$(BUILD)/io/stb.o: CFLAGS += -fwrapv
$(BUILD)/io/stb.o: SAN += $(if $(SANITIZE),-fno-sanitize=shift)

$(BUILD)/inversion/ranks_mpi.o: CFLAGS += $(subst -I,-isystem ,$(shell $(MPICC) --showme:compile))

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d $(BUILD)/*/*/*.d)

# `make demo` and `make test` install missing packages; all other builds only name them.
needs:
	@CC="$(CC)" MPI="$(MPI)" sh tools/deps.sh $(if $(filter demo test,$(MAKECMDGOALS)),install,check)
deps:
	@CC="$(CC)" MPI="$(MPI)" sh tools/deps.sh install

# make does not build in a folder with other files, since `make clean` would remove them. A program looks for the embedded
# model in the folder weights beside it, where the links lead to it.
folder: | needs
	@[ -e $(BUILD)/flags ] || [ -e $(BUILD)/ti.o ] || [ -z "$$(ls -A $(BUILD) 2>/dev/null | grep -vx weights)" ] || \
	    { echo "ti: $(BUILD) holds other things than a build: BUILD must be a new folder or an empty one" >&2; exit 1; }
	@mkdir -p $(BUILD)/weights && ln -sf "$$(pwd)/weights/critters" "$$(pwd)/weights/clip" $(BUILD)/weights/

tests: $(PROGRAMS) $(BUILD)/plain $(ROOMS:%=$(BUILD)/room_%) $(BUILD)/make_model $(BUILD)/check_real $(BUILD)/ti_failing $(BUILD)/bench_kernels $(BUILD)/bench_steps $(BUILD)/bench_peak $(BUILD)/plot_points

test: tests $(BUILD)/ti
	@TI=$(BUILD)/ti sh tests/run.sh $(PROGRAMS)

test-full: $(BUILD)/ti $(BUILD)/make_model $(BUILD)/test_full $(BUILD)/test_memory
	$(BUILD)/test_full sd15
	$(BUILD)/test_full sd21
	TI=$(BUILD)/ti $(BUILD)/test_memory sd15

check-real: $(BUILD)/check_real
	@$(BUILD)/check_real "$(MODEL)"

# COUNT is the number of inputs. An input that crashes a parser is saved in out/ (tests/fuzz/fuzz.c).
COUNT = 1000000
SEED  = 1
fuzz:
	@$(MAKE) BUILD=build-asan SANITIZE=address,undefined build-asan/fuzz
	build-asan/fuzz all --count $(COUNT) --seed $(SEED)

verification: tests $(BUILD)/ti
	+@TI=$(BUILD)/ti COVERAGE=$(BUILD)-coverage sh tools/verification.sh $(PROGRAMS)

# The tables that tests write
docs: $(BUILD)/test_bad_input
	$(BUILD)/test_bad_input --table >tests/bad_input/messages.md

debug:
	@$(MAKE) BUILD=build-debug OPT='-O0 -g3' SANITIZE=address,undefined build-debug/ti tests

compile_commands.json: $(BUILD)/flags $(BUILD)/sources
	@CC="$(CC)" FLAGS="$(CFLAGS) $(WARN) $(SAN) -I." sh tools/compile_commands.sh $(sources) >$@

# Prints the comment at the top of this file.
help:
	@sed -n '/^#/!q; /SPDX/d; s/^# \{0,1\}//p' Makefile

lines:
	@sh tools/lines.sh $(ROOMS)

demo: ti
	@sh tools/demo.sh out/demo

bench: ti $(BUILD)/bench_kernels $(BUILD)/bench_steps $(BUILD)/bench_peak
	@sh tools/bench.sh $(BUILD)

# MODEL is a model folder in F32, and MODEL_F16 the same model in F16. Without MODEL both are made, in 7 GB of disk.
bench-full: ti $(BUILD)/bench_steps $(BUILD)/bench_peak $(BUILD)/make_model
	@sh tools/bench.sh $(BUILD) full

study: ti $(BUILD)/plot_points
	@PLOT=$(BUILD)/plot_points sh tools/study.sh

install: ti
	@sh tools/install.sh install
uninstall:
	@sh tools/install.sh uninstall

dist:
	@sh tools/dist.sh
deb:
	@sh tools/deb.sh

clean:
	@sh tools/clean.sh $(BUILD)

.PHONY: ti plain deps needs debug help folder force tests test test-full check-real fuzz verification docs lines demo bench bench-full study install uninstall dist deb clean
.SECONDARY:
