# make            builds ./ti (installs what is missing)        make test     everything against the golden tensors
# make test-full  models at full size (5 GB of disk; minutes)
# make demo       learns a word on the embedded model           make bench    times, against PyTorch where there is one
# make bench-full the same at full size (PYTHON=, MODEL=, RUNS=: tools/bench.sh)
# make fuzz     hostile input to every parser, COUNT of them   make verification   writes docs/verification.md
# make install    into PREFIX (/usr/local), and uninstall
# make clean
# make docs     the tables that tests write
#
# Variables: CC, MARCH (empty: a portable build), SANITIZE=address,undefined, WERROR=1, BUILD (folder of objects), PYTHON

CC      = gcc
MARCH   = -march=native
PREFIX  = /usr/local
BUILD   = build
CFLAGS  = -std=c11 -O3 $(MARCH) -fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp -g
WARN    = -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(if $(WERROR),-Werror)
SAN     = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)
LIBS    = -lopenblas -lcjson -lutf8proc -lm
LAYERS  = cli nn autograd weights tensor
ALL_C   = ti.c $(wildcard $(LAYERS:%=%/*.c) tests/*.c)

# Each layer is an archive, and a test links its own layer and those below: the linker keeps dependencies one-way.
archives  = $(patsubst %,$(BUILD)/lib%.a,$(1))
UP_TO_tensor   = weights tensor
UP_TO_weights  = weights tensor
UP_TO_autograd = autograd weights tensor
UP_TO_nn       = nn autograd weights tensor
UP_TO_cli      = $(LAYERS)
TESTS_tensor   = vmath rng image
TESTS_weights  = limits weights folder
TESTS_autograd = graph conv ops optim plan
TESTS_nn       = edges diffusion drawing tokenizer single modules models critters
TESTS_cli      = options sheet state commands microscope bad_input failures loop resume picture dump full memory
TESTS    = $(patsubst tests/test_%.c,%,$(wildcard $(foreach layer,$(LAYERS),$(TESTS_$(layer):%=tests/test_%.c))))
PROGRAMS = $(TESTS:%=$(BUILD)/test_%) $(BUILD)/fuzz

TO              = $(DESTDIR)$(PREFIX)
MAN             = $(TO)/share/man/man1/ti.1
BASH_COMPLETION = $(TO)/share/bash-completion/completions/ti
ZSH_COMPLETION  = $(TO)/share/zsh/site-functions/_ti

ti: $(BUILD)/ti
	@cp -f $< $@

$(BUILD)/ti: $(BUILD)/ti.o $(call archives,$(LAYERS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

# ti, where the N-th call of a kind can be made to fail: tests/failing.c.
WRAPPED = malloc calloc realloc aligned_alloc mmap open write fsync close rename linkat mkdir fopen fflush opendir
$(BUILD)/ti_failing: $(BUILD)/ti.o $(BUILD)/tests/failing.o $(call archives,$(LAYERS))
	$(CC) $(CFLAGS) $(SAN) $(WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS)

# What the test programs share.
$(BUILD)/libtest.a: $(patsubst %,$(BUILD)/tests/%.o,test golden command run_graph network made_model single_file bad_files bad_models bad_pictures \
                      bad_commands bad_outputs)
	@rm -f $@; ar rcs $@ $^

define layer_rules
$(BUILD)/lib$(1).a: $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))
	@rm -f $$@; ar rcs $$@ $$^
$(TESTS_$(1):%=$(BUILD)/test_%): $(BUILD)/test_%: $(BUILD)/tests/test_%.o $(BUILD)/libtest.a $(call archives,$(UP_TO_$(1)))
	$$(CC) $$(CFLAGS) $$(SAN) -o $$@ $$^ $$(LIBS)
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_rules,$(layer))))

$(BUILD)/fuzz: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz*.c)) $(call archives,$(LAYERS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)
$(BUILD)/bench_%: $(BUILD)/tests/bench_%.o $(call archives,$(LAYERS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)
$(BUILD)/make_model: $(BUILD)/tests/make_model.o $(BUILD)/libtest.a $(call archives,$(LAYERS))
	$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c | deps
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(WARN) $(SAN) -I. -MMD -MP -c -o $@ $<
-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d)

deps:
	@sh tools/deps.sh

tests: $(PROGRAMS) $(BUILD)/make_model $(BUILD)/ti_failing

test: tests $(BUILD)/ti
	@TI=$(BUILD)/ti sh tests/run.sh $(PROGRAMS)

test-full: $(BUILD)/ti $(BUILD)/make_model $(BUILD)/test_full $(BUILD)/test_memory
	$(BUILD)/test_full sd15
	$(BUILD)/test_full sd21
	TI=$(BUILD)/ti $(BUILD)/test_memory sd15

# COUNT inputs to all parsers, with the sanitizers; what crashes one goes to out/ (see tests/fuzz.c).
COUNT = 1000000
SEED  = 1
fuzz:
	@$(MAKE) BUILD=build-asan SANITIZE=address,undefined build-asan/fuzz
	build-asan/fuzz all --count $(COUNT) --seed $(SEED)

verification: tests $(BUILD)/ti
	+@TI=$(BUILD)/ti COVERAGE=$(BUILD)-coverage sh tools/verification.sh $(PROGRAMS)

# The tables in docs/ that tests write.
docs: $(BUILD)/test_bad_input
	$(BUILD)/test_bad_input --table >docs/bad-input.md

demo: ti
	@sh tools/demo.sh out/demo

bench: ti $(BUILD)/bench_kernels $(BUILD)/bench_steps
	@PYTHON='$(PYTHON)' sh tools/bench.sh $(BUILD)

# MODEL: a folder in F32, with MODEL_F16 the same in F16; else both are made (7 GB of disk). RUNS: 3.
bench-full: ti $(BUILD)/bench_steps $(BUILD)/make_model
	@PYTHON='$(PYTHON)' MODEL='$(MODEL)' MODEL_F16='$(MODEL_F16)' sh tools/bench.sh $(BUILD) full

install: ti
	install -D -m 755 ti $(TO)/bin/ti
	mkdir -p $(TO)/share/ti && cp -R weights/critters weights/clip $(TO)/share/ti/
	mkdir -p $(dir $(MAN) $(BASH_COMPLETION) $(ZSH_COMPLETION))
	./ti help --man >$(MAN)
	./ti help --completion bash >$(BASH_COMPLETION)
	./ti help --completion zsh >$(ZSH_COMPLETION)

uninstall:
	rm -rf $(TO)/bin/ti $(TO)/share/ti $(MAN) $(BASH_COMPLETION) $(ZSH_COMPLETION)

clean:
	rm -rf $(BUILD) ti

.PHONY: ti deps tests test test-full fuzz verification docs demo bench bench-full install uninstall clean
.SECONDARY:
