/*
 * BLAKE2s against digests of another implementation (Python's hashlib), fed in pieces of every size; the generator on it
 * against the same construction there.
 */
#include <lib/blake2s.h>
#include <lib/secret.h>
#include <string.h>
#include <tap.h>

static bool is(const uint8_t *bytes, size_t count, const char *hex)
{
    char text[129] = "";

    for (size_t i = 0; i < count; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    if (strcmp(text, hex) == 0)
        return true;
    printf("# got %s\n", text);
    return false;
}

static void known_digests(void)
{
    struct blake2s hash;
    uint8_t out[BLAKE2S_BYTES];

    blake2s_begin(&hash, NULL, 0);
    blake2s_end(&hash, out);
    CHECK(is(out, 32, "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9"));
    blake2s_begin(&hash, NULL, 0);
    blake2s_add(&hash, "abc", 3);
    blake2s_end(&hash, out);
    CHECK(is(out, 32, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"));
    for (size_t i = 0; i < sizeof(hash); i++)
        CHECK(((const uint8_t *)&hash)[i] == 0);
}

/* The digest of the digests of all lengths below 260, with keys of 0, 1 and 32 bytes. */
static void all_lengths(void)
{
    static const size_t keys[] = {0, 1, 32};
    uint8_t data[260], key[32], out[BLAKE2S_BYTES];
    struct blake2s all, hash;

    for (unsigned i = 0; i < 32; i++)
        key[i] = (uint8_t)(i * 3 + 1);
    blake2s_begin(&all, NULL, 0);
    for (size_t n = 0; n < 260; n++)
        for (unsigned k = 0; k < 3; k++) {
            for (size_t i = 0; i < n; i++)
                data[i] = (uint8_t)(i * 7 + n);
            blake2s_begin(&hash, key, keys[k]);
            for (size_t at = 0, part = k; at < n; at += part) {
                part = part % 100 + 1 < n - at ? part % 100 + 1 : n - at;
                blake2s_add(&hash, data + at, part);
            }
            blake2s_end(&hash, out);
            blake2s_add(&all, out, sizeof(out));
        }
    blake2s_end(&all, out);
    CHECK(is(out, 32, "907257dde8064979277fe307e1a29ee596b6d39e9a84d49f0998eb0c1e1a1c60"));
}

static void the_generator(void)
{
    struct secret random = {.key = {0}}, before;
    uint8_t out[40], again[40];

    secret_add(&random, "seed", 4);
    before = random;
    secret_draw(&random, out, 40);
    CHECK(is(out, 40,
             "372365fb219e19bb5c4bf1ef9e3978c9efdcd94cebf0057f14ec8f2265261f02e8bde05322e083c2"));
    CHECK(memcmp(&random, &before, sizeof(random)) != 0); /* the key that drew it is gone */
    secret_draw(&random, out, 8);
    CHECK(is(out, 8, "cfe8a7ef1b324c78"));
    secret_draw(&before, again, 40);
    secret_draw(&before, again, 8);
    CHECK(memcmp(out, again, 8) == 0); /* the same seed, the same bytes */
    secret_add(&before, "", 0);
    secret_draw(&random, out, 8);
    secret_draw(&before, again, 8);
    CHECK(memcmp(out, again, 8) != 0); /* even nothing, added, counts */
}

static const struct test tests[] = {
    {"known digests", known_digests},
    {"all lengths, in pieces, with keys", all_lengths},
    {"the generator", the_generator},
};
TEST_MAIN(tests)
