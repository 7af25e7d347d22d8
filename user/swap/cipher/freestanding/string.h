/* For mbed TLS where there is no C library. */
#include <lib/string.h>
