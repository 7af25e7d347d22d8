/*
 * What can go wrong with files, written once: the enum, the names, and sentences for people.
 */
#ifndef FAT_FILE_ERROR_H
#define FAT_FILE_ERROR_H

/* X(name, sentence) */
#define FILE_ERRORS(X)                                                                             \
    X(OK, "done")                                                                                  \
    X(NOT_FOUND, "there is no such file")                                                          \
    X(EXISTS, "there is one of that name already")                                                 \
    X(NOT_DIRECTORY, "a part of the path is a file")                                               \
    X(IS_DIRECTORY, "it is a directory")                                                           \
    X(NOT_EMPTY, "the directory is not empty")                                                     \
    X(BAD_NAME, "no file can have that name")                                                      \
    X(FULL, "the disk, or the directory, has no room for it")                                      \
    X(TOO_LARGE, "no file can be that large")                                                      \
    X(BUSY, "somebody has it open")                                                                \
    X(TOO_MANY, "more is open, or deeper, than there is room for")                                 \
    X(READ_ONLY, "it can only be read")                                                            \
    X(OUTSIDE, "that is not inside the file")                                                      \
    X(UNSUPPORTED, "that is not done here")                                                        \
    X(CORRUPT, "the disk breaks the rules of its file system")                                     \
    X(IO, "the disk failed")                                                                       \
    X(NO_MEMORY, "there is no memory for it")

enum file_error {
#define X(name, sentence) FILE_##name,
    FILE_ERRORS(X)
#undef X
};

static inline const char *file_error_name(enum file_error error)
{
    static const char *const names[] = {
#define X(name, sentence) #name,
        FILE_ERRORS(X)
#undef X
    };
    return (unsigned)error < sizeof(names) / sizeof(names[0]) ? names[error] : "?";
}

static inline const char *file_error_sentence(enum file_error error)
{
    static const char *const sentences[] = {
#define X(name, sentence) sentence,
        FILE_ERRORS(X)
#undef X
    };
    return (unsigned)error < sizeof(sentences) / sizeof(sentences[0]) ? sentences[error] : "?";
}

#endif
