/* SPDX-License-Identifier: MIT
 *
 * fuzz-response: header lines of a server, and whether they answer a question.  The input is the
 * lines; its length chooses the question.
 *
 * Passes when the parser stays inside its input, says the same of lines with and without CR LF,
 * every text that it keeps is clean and ended, and when an answer that is taken is nothing but what
 * was asked for; all others have an errno and a sentence.
 */
#include "config.h"

#include "answer.h"
#include "fuzz.h"

#include <errno.h>
#include <string.h>

static void expect_clean(const char *text, size_t room)
{
    FUZZ_EXPECT(memchr(text, '\0', room));
    for (; *text; text++)
        FUZZ_EXPECT((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void expect_facts(const struct hl_response *response)
{
    char validator[HL_VALIDATOR_BYTES];

    FUZZ_EXPECT(response->status == 0 || (response->status >= 100 && response->status <= 999));
    FUZZ_EXPECT(!response->has_range ||
                (response->first <= response->last && response->last < response->total));
    expect_clean(response->etag, sizeof response->etag);
    expect_clean(response->last_modified, sizeof response->last_modified);
    expect_clean(response->version_id, sizeof response->version_id);
    expect_clean(response->region, sizeof response->region);
    expect_clean(response->encoding, sizeof response->encoding);
    expect_clean(response->type, sizeof response->type);
    hl_response_validator(response, validator);
    expect_clean(validator, sizeof validator);
}

static void read_lines(const uint8_t *data, size_t size, struct hl_response *ret)
{
    struct hl_response bare = { 0 };

    memset(ret, 0, sizeof *ret);
    while (size) {
        const uint8_t *newline = memchr(data, '\n', size);
        size_t length = newline ? (size_t)(newline - data) + 1 : size, text = length;

        hl_response_line(ret, (const char *)data, length);
        text -= newline != NULL;
        text -= newline && text && data[text - 1] == '\r';
        hl_response_line(&bare, (const char *)data, text);
        data += length;
        size -= length;
    }
    FUZZ_EXPECT(memcmp(ret, &bare, sizeof bare) == 0);
}

static void ask(const struct hl_question *question, const struct hl_response *response)
{
    struct hl_answer answer = { .rc = 1 };

    hl_answer_judge(question, response, &answer);
    FUZZ_EXPECT(answer.rc == 0 || answer.rc == -EIO || answer.rc == -ESTALE ||
                answer.rc == -EACCES || answer.rc == -ENOENT);
    if (answer.rc < 0) {
        FUZZ_EXPECT(strncmp(answer.sentence, "fuzz: ", 6) == 0 && strlen(answer.sentence) > 10);
        return;
    }
    FUZZ_EXPECT(answer.length <= question->length);
    FUZZ_EXPECT(answer.length == question->length || question->suffix || question->may_be_short);
    FUZZ_EXPECT(question->suffix || answer.src_offset == question->src_offset ||
                answer.length == 0);
    if (answer.length) {
        FUZZ_EXPECT(response->status == 206 && response->first == answer.src_offset);
        FUZZ_EXPECT(response->last - response->first + 1 == answer.length);
        FUZZ_EXPECT(!response->encoding[0] && !response->malformed);
        FUZZ_EXPECT(question->validator_kind != HL_VALIDATOR_ETAG ||
                    strcmp(response->etag, question->validator) == 0);
        FUZZ_EXPECT(!question->src_bytes || !response->has_total ||
                    response->total == question->src_bytes);
    } else {
        FUZZ_EXPECT(response->status == 200 || response->status == 416);
        FUZZ_EXPECT(question->suffix || question->may_be_short);
    }
}

const char fuzz_name[] = "response";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hl_question questions[] = {
        { .name = "fuzz", .src_offset = 100, .length = 50 },
        { .name = "fuzz", .length = 200, .may_be_short = true },
        { .name = "fuzz", .length = 64, .suffix = true },
        { .name = "fuzz", .src_offset = UINT64_MAX - 10, .length = 5 },
        { .name = "fuzz", .src_offset = 100, .length = 50, .src_bytes = 1000,
          .validator_kind = HL_VALIDATOR_ETAG, .validator = "\"a\"" },
        { .name = "fuzz", .length = 64, .suffix = true, .src_bytes = 1000,
          .validator_kind = HL_VALIDATOR_LAST_MODIFIED,
          .validator = "Mon, 23 Nov 2026 18:00:00 GMT" },
        { .name = "fuzz", .src_offset = 900, .length = 500, .may_be_short = true,
          .validator_kind = HL_VALIDATOR_VERSION, .validator = "v1" },
    };
    struct hl_response response;

    read_lines(data, size, &response);
    expect_facts(&response);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        ask(&questions[i], &response);
    return 0;
}
