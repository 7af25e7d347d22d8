/* Any bytes as an archive: each file that it shows is read to its last byte. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct qy_bytes archive = {data, count};
    struct qy_file file;
    size_t offset = 0, before = 0, total = 0;
    enum qy_error error;

    while (!(error = qy_cpio_next(archive, &offset, &file))) {
        CHECK(offset > before);
        before = offset;
        CHECK(strlen(file.name) > 0 && file.name[0] != '/');
        CHECK(strcmp(file.name, "..") != 0 && strncmp(file.name, "../", 3) != 0 &&
              !strstr(file.name, "/../"));
        CHECK(file.data.at >= data && file.data.at + file.data.count <= data + count);
        total += file.data.count;
    }
    CHECK(total <= count);
    CHECK(error == QY_NOT_FOUND || error == QY_CORRUPT || error == QY_TRUNCATED);
    (void)qy_cpio_find(archive, "bin/root", &file);
    return 0;
}
