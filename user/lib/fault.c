/*
 * Fault messages: see user/fault.h.
 */
#include <user/fault.h>

bool fault_from(const struct message *message, struct fault *out)
{
    *out = (struct fault){.address = message->word[0],
                          .instruction = message->word[1],
                          .thread = message->word[2],
                          .access = (enum qy_access)(message->label >> 8 & 0xff),
                          .mark = (enum qy_fault_found)(message->label >> 16 & 0xff)};
    return (message->label & 0xff) == QY_LABEL_FAULT;
}

const char *fault_access_name(enum qy_access access)
{
    switch (access) {
    case QY_ACCESS_READ:
        return "read";
    case QY_ACCESS_WRITE:
        return "write";
    case QY_ACCESS_EXEC:
        return "execute";
    }
    return "unknown access";
}

const char *fault_mark_name(enum qy_fault_found mark)
{
    switch (mark) {
    case QY_FOUND_NOTHING:
        return "nothing is mapped there";
    case QY_FOUND_PROTECTED:
        return "the mapping does not allow it";
    case QY_FOUND_EXCEPTION:
        return "not a page fault but another exception";
    default:
        return qy_found_words(mark);
    }
}
