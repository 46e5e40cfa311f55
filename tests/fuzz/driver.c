/*
 * Runs a fuzz target without a fuzzer, as part of the suite: over its corpus, and over a fixed
 * number of mutations of it that are the same on every machine. `make fuzz` runs the same targets
 * under libFuzzer.
 *
 * The corpus of fuzz_NAME is tests/fuzz/corpus/NAME below the current folder; an absent one counts
 * as one empty input. N in the environment multiplies the mutations (`make soak-NAME`).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS_MAX = 1024, INPUT_BYTES_MAX = 1 << 20, MUTATIONS = 20000, MUTATED_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

struct input {
    uint8_t *bytes;
    size_t size;
};

static struct input inputs[INPUTS_MAX];
static size_t inputs_count;
static uint64_t seed = 0x9E3779B97F4A7C15U;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static size_t below(size_t bound)
{
    return bound == 0 ? 0 : (size_t)(next_random() % bound);
}

/* The target gets a block of exactly its input's size, so that a read past its end is seen. */
static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    assert_int_equal(LLVMFuzzerTestOneInput(exact, size), 0);
    free(exact);
}

static void add_input(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot open %s", path);
    }
    uint8_t *bytes = malloc(INPUT_BYTES_MAX);
    assert_non_null(bytes);
    size_t size = fread(bytes, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    assert_in_range(inputs_count, 0, INPUTS_MAX - 1);
    inputs[inputs_count++] = (struct input){.bytes = bytes, .size = size};
}

static int keep_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Sorted, so that the mutations do not depend on the file system's order. */
static void load_corpus(const char *folder)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, keep_file, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096];
        int length = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        assert_in_range(length, 1, sizeof path - 1);
        add_input(path);
        free(entries[i]);
    }
    free(entries);
    if (inputs_count == 0) {
        inputs[inputs_count++] = (struct input){.bytes = calloc(1, 1), .size = 0};
    }
}

/*
 * One change of the kinds that parsers get wrong: a flipped bit, a byte at its extreme, a random
 * byte, a cut, an insertion, a copied stretch.
 */
static size_t mutate(uint8_t *bytes, size_t size)
{
    static const uint8_t extremes[] = {0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF};
    switch (below(6)) {
    case 0:
        if (size > 0) {
            bytes[below(size)] ^= (uint8_t)(1U << below(8));
        }
        return size;
    case 1:
        if (size > 0) {
            bytes[below(size)] = extremes[below(sizeof extremes)];
        }
        return size;
    case 2:
        if (size > 0) {
            bytes[below(size)] = (uint8_t)next_random();
        }
        return size;
    case 3:
        return below(size + 1);
    case 4:
        if (size < MUTATED_BYTES_MAX) {
            size_t at = below(size + 1);
            memmove(bytes + at + 1, bytes + at, size - at);
            bytes[at] = extremes[below(sizeof extremes)];
            return size + 1;
        }
        return size;
    default:
        if (size > 1) {
            size_t from = below(size);
            size_t to = below(size);
            size_t room = size - (from > to ? from : to);
            memmove(bytes + to, bytes + from, below(room + 1));
        }
        return size;
    }
}

static void corpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < inputs_count; i++) {
        run(inputs[i].bytes, inputs[i].size);
    }
}

static void mutations(void **state)
{
    (void)state;
    static uint8_t bytes[MUTATED_BYTES_MAX + 1];
    const char *times = getenv("N");
    long count = MUTATIONS * (times == NULL ? 1 : strtol(times, NULL, 10));
    for (long i = 0; i < count; i++) {
        const struct input *input = &inputs[below(inputs_count)];
        size_t size = input->size < MUTATED_BYTES_MAX ? input->size : MUTATED_BYTES_MAX;
        memcpy(bytes, input->bytes, size);
        for (size_t changes = 1 + below(8); changes > 0; changes--) {
            size = mutate(bytes, size);
        }
        run(bytes, size);
    }
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    name = name == NULL ? argv[0] : name + 1;
    char folder[256];
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s",
             name + (strncmp(name, "fuzz_", 5) == 0 ? 5 : 0));
    if (LLVMFuzzerInitialize != NULL) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    load_corpus(folder);

    const struct CMUnitTest tests[] = {cmocka_unit_test(corpus), cmocka_unit_test(mutations)};
    int failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    for (size_t i = 0; i < inputs_count; i++) {
        free(inputs[i].bytes);
    }
    return failed;
}
