/* SPDX-License-Identifier: MIT */
/* Tests what the commands print. Control characters in names, files or words never reach a terminal, and
   neither do very long texts. Commands and paths that are printed for pasting or for a script work unchanged.
   Also tests that files with the names of temporary files remain unchanged. TI names the program; run from
   the repository's root. */
#define _XOPEN_SOURCE 700
#include "tests/command.h"
#include "tests/refusal.h"
#include "io/canvas.h"
#include "io/image_write.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

static char *folder;

/* An escape sequence, a line end, a tab, DEL, and the control sequence introducer as the character U+009B. */
#define HOSTILE "\x1b[31m\n\t\x7f\xc2\x9b"
/* The same characters between "a" and "b", as a shell and JSON spell them, and as they are shown. */
#define SHELL_HOSTILE "\"$(printf 'a\\033[31m\\n\\t\\177\\302\\233b')\""
#define JSON_HOSTILE  "a\\u001b[31m\\n\\t\\u007f\\u009bb"
#define SHOWN         "a?[31m????b"

static char *printed(const char *name) {
    char *path = mem_format("%s/%s", folder, name), *text = read_text(path, NULL);
    free(path);
    return text;
}

static void show(const char *name) {
    char *text = printed(name);
    printf("%s", text);
    free(text);
}

/* Runs a script, in which each @ stands for the folder. Its output goes to @/out and @/err. Returns 0 when it
   succeeds, and 1 otherwise. */
static int run(const char *script) {
    char *line = mem_format("{ %s\n} >@/out 2>@/err", script), *with = with_folder(line, folder);
    int status = system(with);
    if (status) show("err");
    free(line);
    free(with);
    return status == 0 ? 0 : 1;
}

/* Returns whether a file has only lines of text without control characters. JSON may have tabs as well. */
static bool is_clean(const char *name) {
    char *text = printed(name), *safe;
    for (char *c = text; *c; c++)
        if (*c == '\n' || (*c == '\t' && text[0] == '{')) *c = ' ';
    safe = mem_string(text);
    text_sanitize(safe);
    bool clean = strcmp(safe, text) == 0;
    free(text);
    free(safe);
    return clean;
}

static bool holds(const char *name, const char *what) {
    char *text = printed(name);
    bool found = strstr(text, what) != NULL;
    if (!found) printf("%s", text);
    free(text);
    return found;
}

/* Functions that make texts safe to print */

static void test_texts(void) {
    char all[] = "\x1f \x7e\x7f\xc2\x80\xc2\x9f\xc2\xa0\xff\xc3\n\xf0\x9f\x98\x80";
    text_sanitize(all);
    test_true("control characters and broken bytes", strcmp(all, "? ~???\xc2\xa0???\xf0\x9f\x98\x80") == 0,
              "%s", all);
    static const struct {
        const char *text;
        size_t head, tail;
        const char *want;
    } cases[] = {
        { "12345", 3, 2, "12345" },
        { "123456", 3, 2, "123...56" },
        { "123456", 3, 0, "123..." },
        { "", 0, 0, "" },
        { "\xc3\xa9\xc3\xa9\xc3\xa9", 3, 0, "\xc3\xa9..." },
        { "\xc3\xa9\xc3\xa9\xc3\xa9", 0, 3, "...\xc3\xa9\xc3\xa9" },
        { "\x80\x80\x80\x80\x80\x80\x80\x80", 5, 1, "\x80\x80...\x80\x80\x80\x80" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = text_shortened(cases[i].text, cases[i].head, cases[i].tail);
        test_true("shortened", strcmp(got, cases[i].want) == 0, "to %d bytes", (int)strlen(got));
        free(got);
    }
    Text quoted = { 0 };
    json_quote(&quoted, "a" HOSTILE "\xc2\xa0\xff\"");
    test_true("JSON",
              strcmp(quoted.at, "\""
                                "a\\u001b[31m\\n\\t\\u007f\\u009b\xc2\xa0\xff\\\"\"") == 0,
              "%s", quoted.at);
    free(quoted.at);
    Messages m = { 0 };
    char *key = mem_alloc(3000001);
    memset(key, 'k', 3000000);
    messages_add(&m, "config.json: the key \"%s\" appears twice", key);
    test_true("a message with a key of 3 MB",
              m.length < 5000 && strncmp(m.text, "config.json: the key", 20) == 0 &&
                  text_ends_with(m.text, "kk\" appears twice\n"),
              "%d bytes", (int)m.length);
    free(key);
    messages_free(&m);
}

static void test_shell(void) {
    static const char *const words[] = { "plain",
                                         "",
                                         "two words",
                                         "it's",
                                         "a\"b$c`d\\e!",
                                         "\xc3\xa9 \xe7\x8c\xab",
                                         HOSTILE,
                                         "\x1b"
                                         "7",
                                         "\n'\\",
                                         "\xff",
                                         "~",
                                         "a\x01"
                                         "23" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char *quoted = text_for_shell(words[i]), *plain = mem_string(quoted);
        text_sanitize(plain);
        bool clean = strcmp(plain, quoted) == 0;
        char *path = mem_format("%s/script", folder), *out = mem_format("%s/word", folder);
        char *line = mem_format("printf %%s %s >'%s'\n", quoted, out);
        Messages errors = { 0 };
        CHECK(file_write(path, line, strlen(line), &errors));
        bool same = run("bash @/script") == 0;
        char *got = printed("word");
        test_true("a word as bash reads it", clean && same && strcmp(got, words[i]) == 0, "%s", quoted);
        free(quoted);
        free(plain);
        free(path);
        free(out);
        free(line);
        free(got);
    }
}

/* Commands */

#define GENERATE "\"$TI\" generate --threads 1 --steps 1 --prompt x "
#define SMALL    "--model golden/models/narrow "

/* Makes files and folders with hostile names and contents. The model's embeddings have 24 numbers. */
static void make_inputs(void) {
    char *header = mem_format("{\"__metadata__\":{\"%s\":\"%s\"},\"%s\":{\"dtype\":\"F32\",\"shape\":[1,24],"
                              "\"data_offsets\":[0,96]}}",
                              JSON_HOSTILE, JSON_HOSTILE, JSON_HOSTILE);
    size_t n = strlen(header), size = 8 + n + 96;
    unsigned char *bytes = mem_alloc(size);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(n >> 8 * i);
    memcpy(bytes + 8, header, n);
    char *path = mem_format("%s/a" HOSTILE "b.safetensors", folder);
    Messages errors = { 0 };
    CHECK(file_write(path, bytes, size, &errors));
    free(path);
    free(bytes);
    free(header);
    CHECK(run("set -e; cp -R golden/models/narrow @/" SHELL_HOSTILE
              "; cp -R golden/loop_pictures @/pictures\n"
              "chmod -R u+w @/pictures; cp golden/loop_pictures/1.png @/pictures/" SHELL_HOSTILE ".png\n"
              "chmod -R u+w @/" SHELL_HOSTILE "; printf %s '{\"" JSON_HOSTILE "\": {\"x\": \"" JSON_HOSTILE
              "\"}}' >@/" SHELL_HOSTILE "/defaults.json") == 0);
    Image one;
    path = mem_format("%s/t", folder);
    CHECK(canvas_new(1, 1, &one, &errors) && image_write_png(path, &one, &errors));
    image_free(&one);
    free(path);
}

static void test_commands(void) {
    static const struct {
        const char *name, *script;
        int status;
        const char *file, *says;
    } cases[] = {
        { "a model's path", "\"$TI\" tokens --model @/" SHELL_HOSTILE " x", 0, "err", "ti: model " },
        { "a model", "\"$TI\" inspect --tensors @/" SHELL_HOSTILE, 0, "out", "ti " SHOWN ": --x \"a\\u001b" },
        { "a model as JSON", "\"$TI\" inspect --json @/" SHELL_HOSTILE, 0, "out", JSON_HOSTILE },
        { "a model that is not there", "\"$TI\" tokens --model @/no" SHELL_HOSTILE " x", 1, "err", SHOWN },
        { "a word of a file", "\"$TI\" inspect " SMALL "@/" SHELL_HOSTILE ".safetensors", 0, "out",
          "\"" SHOWN "\"" },
        { "a word as JSON", "\"$TI\" inspect --json @/" SHELL_HOSTILE ".safetensors", 0, "out",
          JSON_HOSTILE },
        { "a word that is loaded", "\"$TI\" tokens " SMALL "--embedding @/" SHELL_HOSTILE ".safetensors x", 0,
          "err", "ti: word \"" SHOWN "\"" },
        { "a word under another name",
          "\"$TI\" tokens " SMALL "--embedding '<h>='@/" SHELL_HOSTILE ".safetensors 'a <h>'", 0, "err",
          "where it is called \"" SHOWN "\"" },
        { "a prompt", "\"$TI\" tokens " SMALL "--json " SHELL_HOSTILE, 0, "out", JSON_HOSTILE },
        { "a picture", "\"$TI\" sheet --out @/x.png @/pictures/no" SHELL_HOSTILE ".png", 1, "err", SHOWN },
        { "an option's value", GENERATE SMALL "--steps " SHELL_HOSTILE " --out x.png", 1, "err",
          "--steps " SHOWN ": is neither a whole number nor ays" },
        { "an unknown command", "\"$TI\" " SHELL_HOSTILE, 1, "err", "'" SHOWN "'" },
        { "an unknown option", "\"$TI\" plan --" SHELL_HOSTILE, 1, "err", "--" SHOWN ": unknown option" },
        { "a token, refused", "\"$TI\" train --images x --init a --token \"$(printf 'a\\302\\233b')\"", 1,
          "err", "--token 'a?b': has a control character in it" },
        { "a token with U+0080", "\"$TI\" train --images x --init a --token \"$(printf 'a\\302\\200b')\"", 1,
          "err", "has a control character in it" },
        { "a training that begins, and shows what to do",
          "\"$TI\" train " SMALL
          "--threads 1 --images @/pictures --token '<g>' --init a --steps 1 --grid-loss 0 "
          "--memory 1 --out @/" SHELL_HOSTILE "-run",
          1, "err", "--memory: 0 MB are too little" },
        { "a plan",
          "\"$TI\" train " SMALL "--threads 1 --images @/pictures --token '<g>' --init a --steps 1 "
          "--grid-loss 0 --dry-run --out @/run",
          0, "out", "reading the pictures" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool ok = run(cases[i].script) == cases[i].status && holds(cases[i].file, cases[i].says);
        test_true(cases[i].name, ok && is_clean("out") && is_clean("err"), "%s in %s", cases[i].says,
                  cases[i].file);
    }
}

/* The commands and the line of Python that a run prints at its end work when they are pasted. */
static void test_pasted(void) {
    bool ok =
        run("\"$TI\" train " SMALL "--threads 1 --images golden/loop_pictures --token \"<it's>\" --init a "
            "--steps 1 --grid-loss 0 --out @/" SHELL_HOSTILE "\"'q\\$x\" 2>@/said") == 0;
    ok = ok && is_clean("said") && holds("said", "ti: generate with it: ti generate --embedding $'");
    test_true("a run in such a folder", ok, "trains");
    test_true("the path of the word, for a script", holds("out", "/a" HOSTILE "b'q$x/it-s.safetensors\n"),
              "its own bytes");
    test_true("Python", holds("said", JSON_HOSTILE "'q$x/learned_embeds.safetensors\"), then \"<it's>\" in"),
              "as a string of its own");
    ok = run("{ printf '\"$TI\"'; sed -n 's/^ti: generate with it: ti//p' @/said; } >@/script\n"
             "sed -i 's|picture.png$|@/x.png --steps 1 --threads 1 " SMALL "|' @/script; bash @/script") == 0;
    test_true("ti generate, pasted", ok && holds("err", "word \"<it's>\""), "generates");
    ok = run("{ printf '\"$TI\"'; sed -n 's/^ti: for more than these 1 steps: ti//p' @/said; } >@/script\n"
             "sed -i 's|N$|2|' @/script; bash @/script") == 0;
    test_true("ti train --resume, pasted", ok && holds("err", "continues at step 1 of 2"), "goes on");
}

/* When standard output is a terminal, no control characters are written to it, not even those of a path. */
static void test_terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    const char *slave = master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 ? ptsname(master) : NULL;
    /* While it is open, the terminal keeps what is written. */
    int kept = slave ? open(slave, O_RDWR | O_NOCTTY) : -1;
    test_true("a terminal for this test", kept >= 0, "%s", kept >= 0 ? slave : "is /dev/pts mounted?");
    if (kept < 0) return;
    char *command = mem_format(GENERATE SMALL "--out @/" SHELL_HOSTILE ".png >'%s'", slave);
    bool ok = run(command) == 0;
    char text[4096] = "";
    struct pollfd ready = { .fd = master, .events = POLLIN };
    ssize_t n = poll(&ready, 1, 10000) == 1 ? read(master, text, sizeof text - 1) : 0;
    text[n > 0 ? n : 0] = 0;
    test_true("a path on a terminal", ok && strstr(text, "/" SHOWN ".png\r\n") && !strchr(text, 0x1b), "%s",
              SHOWN);
    close(kept);
    close(master);
    free(command);
    ok = run("rm @/*.png; " GENERATE SMALL "--out @/" SHELL_HOSTILE ".png") == 0;
    test_true("a path for a script", ok && holds("out", "/a" HOSTILE "b.png\n"), "its own bytes");
}

/* Tests a header with a thousand short names and one name of 3 MB, of metadata keys or of tensors. */
static void test_long(void) {
    for (int names = 0; names < 2; names++) {
        Text header = { 0 };
        char *name = mem_alloc(3000001);
        memset(name, 'k', 3000000);
        text_add(&header, names ? "{" : "{\"__metadata__\":{");
        for (int i = 0; i < 1000; i++)
            text_format(&header,
                        names ? "\"%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
                              : "\"%d\":\"v\",",
                        i);
        text_format(&header,
                    names ? "\"%s\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}"
                          : "\"%s\":\"v\"}}",
                    name);
        unsigned char size[8];
        for (int i = 0; i < 8; i++) size[i] = (unsigned char)(header.length >> 8 * i);
        char *path = mem_format("%s/long.safetensors", folder);
        Output out;
        Messages errors = { 0 };
        output_open(&out, path);
        output_write(&out, size, 8);
        output_write(&out, header.at, header.length);
        CHECK(output_commit(&out, &errors));
        bool ok = run("\"$TI\" inspect @/long.safetensors") == 0;
        char *text = printed("out");
        test_true(names ? "a tensor with a name of 3 MB" : "metadata with a key of 3 MB",
                  ok && strlen(text) < 100000 && strstr(text, "kkk..."), "%d bytes", (int)strlen(text));
        free(text);
        free(path);
        free(name);
        free(header.at);
    }
}

/* Files with the names of temporary files */

/* An output is first written to a temporary file. Here a file, a folder or a link has its name already. $$ is
   the process number, which exec keeps. */
static void test_planted(void) {
    static const struct {
        const char *name, *plant;
    } traps[] = {
        { "a link", "ln -s victim @/y.png.tmp-$$" },
        { "a link to nothing", "ln -s nothing @/y.png.tmp-$$" },
        { "a file", "cp @/victim @/y.png.tmp-$$" },
        { "a folder", "mkdir @/y.png.tmp-$$" },
        { "several", "ln -s victim @/y.png.tmp-$$; ln -s victim @/y.png.tmp-$$001; mkdir @/y.png.tmp-$$002" },
    };
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++)
        for (int k = 0; k < 2; k++) {
            char *script =
                mem_format("rm -rf @/y.* @/nothing; echo mine >@/victim; sh -c '%s; ls -l @/y.* >@/before; "
                           "export TI_FAIL=%s; exec \"%s\" sheet --out @/y.png @/t'",
                           traps[i].plant, k ? "nameless:1" : "none:1", k ? "${TI%/*}/ti_failing" : "$TI");
            bool ok = run(script) == 0;
            free(script);
            ok = ok && run("test -s @/y.png && test ! -L @/y.png && test ! -e @/nothing && echo mine | cmp - "
                           "@/victim "
                           "&& ls -l @/y.png.* | cmp - @/before") == 0;
            test_true(traps[i].name, ok, k ? "where files have names" : "where they have none");
        }
    bool ok = run("mkdir @/theirs; sh -c 'ln -s theirs @/dump.tmp-$$; exec \"$TI\" train " SMALL
                  "--threads 1 --images golden/loop_pictures --token \"<g>\" --init a --dump @/dump'") == 0;
    ok = ok && run("test -z \"$(ls @/theirs)\" && test -s @/dump/graph.json && test ! -L @/dump") == 0;
    test_true("a link with the name of a dump's temporary folder", ok, "is not followed");
}

/* The size of a sheet is checked before the pictures are read. */
static void test_many(void) {
    bool ok =
        run("ti=$(realpath \"$TI\"); cd @; exec \"$ti\" sheet --out s.png $(yes 'c t' | head -n 77000)") == 1;
    test_true("a sheet of 77,000 pictures",
              ok && holds("err", "ti: s.png: 550 x 4004028 is more than a picture can have"), "is refused");
    ok = run("test ! -e @/s.png") == 0;
    test_true("no file is left of it", ok, "no s.png");
}

int main(void) {
    CHECK(getenv("TI"));
    folder = folder_new();
    test_texts();
    test_shell();
    make_inputs();
    test_commands();
    test_pasted();
    test_terminal();
    test_long();
    test_planted();
    test_many();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
