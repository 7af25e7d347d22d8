/* Any bytes as an executable: what is accepted keeps what qy_elf_check promises. */
#include "fuzz.h"

#define USER_END 0x800000000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct qy_bytes file = {data, count};
    uint64_t entry = 0, end = 0;
    unsigned segments = 0;
    const char *why = NULL;
    bool entry_found = false;

    if (qy_elf_check(file, 62, USER_END, &entry, &segments, &why)) {
        CHECK(why != NULL);
        return 0;
    }
    CHECK(why == NULL && segments > 0);
    for (unsigned i = 0; i < segments; i++) {
        struct qy_elf_segment s = qy_elf_segment(file, i);
        CHECK(s.memory_bytes > 0 && s.memory_bytes >= s.data.count);
        CHECK(s.address >= 4096 && s.address >= end && s.address < USER_END);
        CHECK(s.memory_bytes <= USER_END - s.address);
        CHECK((s.flags & 6) != 6);
        CHECK(s.data.at >= data && s.data.at + s.data.count <= data + count);
        end = qy_align_up(s.address + s.memory_bytes, 4096);
        entry_found |= (s.flags & 4) && entry >= s.address && entry - s.address < s.memory_bytes;
    }
    CHECK(entry_found);
    return 0;
}
