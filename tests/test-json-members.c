/* SPDX-License-Identifier: MIT
 *
 * test-json-members: the answers of credential endpoints, taken apart.
 *
 * Passes when the wanted strings of flat objects come out with their escapes decoded, whatever
 * else is in the object, and when everything that is no flat object is refused with a reason:
 * nesting, rubbish before and behind, wrong escapes, half surrogates, NULs, what is too long, what
 * comes twice, and every prefix of a good one.
 */
#include "config.h"

#include "json.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char one[32], two[32];
static struct hl_json_member members[] = {
    { .key = "One", .value = one, .room = sizeof one },
    { .key = "Two", .value = two, .room = sizeof two },
};

static void good(const char *text, const char *first, const char *second)
{
    const char *wrong = NULL;

    one[0] = two[0] = '\0';
    EXPECT_RC(hl_json_read(text, strlen(text), members, 2, &wrong), 0);
    EXPECT_EQ(members[0].found, first != NULL);
    EXPECT_EQ(members[1].found, second != NULL);
    EXPECT_STR(one, first ? first : "");
    EXPECT_STR(two, second ? second : "");
}

static void bad(const char *text, const char *why)
{
    const char *wrong = "nothing";

    EXPECT_RC(hl_json_read(text, strlen(text), members, 2, &wrong), -EBADMSG);
    EXPECT_CONTAINS(wrong, why);
}

int main(void)
{
    static const char whole[] = "{\"One\":\"\\u00e4b\",\"x\":-1.5e3,\"Two\":\"c\"}";
    const char *wrong;
    char longer[200], many[2000] = "{";

    good("{}", NULL, NULL);
    good(" \t\r\n{ \"One\" : \"a\" , \"Two\" : \"b\" } \n", "a", "b");
    good("{\"One\":1,\"Two\":null,\"other\":true}", NULL, NULL);
    good("{\"one\":\"x\",\"Two\":\"\"}", NULL, "");
    good("{\"O\\u006ee\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t", NULL);
    good("{\"One\":\"\\u00e4\\u20AC\\ud83d\\ude00\"}",
         "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", NULL);
    good("{\"a\":\"more than fits into any of the wanted members, and not wanted\",\"Two\":\"b\"}",
         NULL, "b");
    good(whole, "\xc3\xa4" "b", "c");
    for (size_t length = 0; length < strlen(whole); length++)
        EXPECT_RC(hl_json_read(whole, length, members, 2, &wrong), -EBADMSG);
    EXPECT_RC(hl_json_read("{}\0", 3, members, 2, &wrong), -EBADMSG);
    EXPECT_RC(hl_json_read("{\"One\":\0}", 9, members, 2, &wrong), -EBADMSG);

    bad("", "not a JSON object");
    bad("[]", "not a JSON object");
    bad("<html>", "not a JSON object");
    bad("{} x", "something follows");
    bad("{\"One\":{}}", "no string");
    bad("{\"One\":[\"a\"]}", "no string");
    bad("{\"One\":\"a\",}", "a string was expected");
    bad("{\"One\" \"a\"}", "':'");
    bad("{\"One\":\"a\" \"Two\":\"b\"}", "','");
    bad("{\"One\":\"a\",\"One\":\"b\"}", "twice");
    bad("{\"One\":\"a\nb\"}", "control character");
    bad("{\"One\":\"\\x\"}", "unknown escape");
    bad("{\"One\":\"\\u00g0\"}", "four hexadecimal");
    bad("{\"One\":\"\\u0000\"}", "NUL");
    bad("{\"One\":\"\\ud83d\"}", "surrogate");
    bad("{\"One\":\"\\ud83d\\u0041\"}", "surrogate");
    bad("{\"One\":\"\\ude00\"}", "surrogate");
    bad("{One:\"a\"}", "a string was expected");

    snprintf(longer, sizeof longer, "{\"One\":\"%031d\"}", 7);
    good(longer, "0000000000000000000000000000007", NULL);
    snprintf(longer, sizeof longer, "{\"One\":\"%032d\"}", 7);
    bad(longer, "too long");
    for (unsigned i = 0; i < 65; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "\"m%u\":%u%s", i, i,
                 i < 64 ? "," : "}");
    bad(many, "too many");
    return 0;
}
