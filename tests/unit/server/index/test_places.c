/* The indices that a refresh is for. */
#include "tests/unit/server/index/batches.h"

#include <stdio.h>

#include "server/index/places.h"

static const struct targets targets = {.index = "{tenant}-{model}"};

static void add(struct places *places, const char *const *models, uint32_t count)
{
    struct index_batch *batch = open_batch(1);
    for (uint32_t i = 0; i < count; i++) {
        put_document(batch, models[i], "p", TAKE_WHOLE);
        put_change(batch, 1, NULL);
    }
    places_add(places, &targets, batch);
    index_batch_free(batch);
}

static void each_is_there_once(void **state)
{
    (void)state;
    struct places places;
    places_clear(&places);
    static const char *const models[] = {"ab", "ab", "b", "Bad", "ab", "a", "b", "abc"};
    add(&places, models, 8);
    add(&places, models, 8);
    assert_string_equal(places.list, "/acme-ab,acme-b,acme-a,acme-abc");
    assert_int_equal(places.length, strlen(places.list));
    assert_false(places.all);
}

static void names_are_escaped(void **state)
{
    (void)state;
    struct places places;
    places_clear(&places);
    static const char *const models[] = {"a%b+c;d.e_f"};
    add(&places, models, 1);
    assert_string_equal(places.list, "/acme-a%25b%2Bc%3Bd.e_f");
}

static void too_many_are_all(void **state)
{
    (void)state;
    struct places places;
    places_clear(&places);
    uint32_t added = 0;
    for (; !places.all && added < 1000; added++) {
        char model[64];
        (void)snprintf(model, sizeof model, "model-with-a-rather-long-name-%u", added);
        const char *const models[] = {model};
        add(&places, models, 1);
        assert_true(places.length < PLACES_LIST_MAX);
    }
    assert_in_range(added, 50, 100);
    add(&places, (const char *const[]){"a"}, 1);
    assert_true(places.all);
    assert_int_equal(places.length, 0);
}

static void joined(void **state)
{
    (void)state;
    struct places a;
    struct places b;
    places_clear(&a);
    places_clear(&b);
    places_join(&a, &b);
    assert_int_equal(a.length, 0);
    add(&b, (const char *const[]){"x", "y"}, 2);
    places_join(&a, &b);
    assert_string_equal(a.list, "/acme-x,acme-y");
    places_clear(&b);
    add(&b, (const char *const[]){"z"}, 1);
    places_join(&a, &b);
    assert_string_equal(a.list, "/acme-x,acme-y,acme-z");
    assert_int_equal(a.length, strlen(a.list));
    places_all(&b);
    places_join(&a, &b);
    assert_true(a.all);
    places_clear(&b);
    places_join(&b, &a);
    assert_true(b.all);
    /* What is too long together is all. */
    places_clear(&a);
    memset(a.list, 'a', 2000);
    a.length = 2000;
    a.list[2000] = '\0';
    b = a;
    places_join(&a, &b);
    assert_true(a.all);
}

static void patterns(void **state)
{
    (void)state;
    struct target_model models[] = {{.model = "a", .kind = TAKE_WHOLE},
                                    {.model = "b", .kind = TAKE_WHOLE, .index = "*-b"},
                                    {.model = "c", .kind = TAKE_WHOLE, .index = "c"}};
    struct targets some = {.index = "{tenant}-{model}", .models = models, .model_count = 3};
    char list[PLACES_LIST_MAX];
    places_patterns(&some, list);
    assert_string_equal(list, "/*-a,*-b,c,*-*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_there_once), cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(too_many_are_all),   cmocka_unit_test(joined),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
